import { type IncomingMessage, type Server, createServer } from "node:http";
import { once } from "node:events";
import { createHmac } from "node:crypto";
import {
  type Creator,
  enrolCreator,
  expectStatus,
  giveConsent,
  publishDataset,
  registerWork,
  uniqueId,
} from "../../test/fixtures/actors.ts";
import { inParallel } from "../in-parallel.ts";
import { type MeasuredPlatform, startMeasuredPlatform } from "../platform.ts";
import { type BenchSettings, type Row, digits, median, millisecondsOf, ratioOf } from "../row.ts";

const ENDPOINTS = 1_000;
const ROUNDS = 3;
const BUDGET_MS = 3_000;
const AT_ONCE = 50;
const OFFERS_AT_ONCE = 8;
const POLL_MS = 5;
const PATIENCE_MS = 120_000;

/** Telling a thousand marketplaces about one revocation. */
export async function measureFanOut(settings: BenchSettings): Promise<readonly Row[]> {
  const rows = [await measureOn({ ...settings, postgresUrl: undefined })];
  return settings.postgresUrl === undefined ? rows : [...rows, await measureOn(settings)];
}

interface Receiver {
  readonly host: string;
  readonly server: Server;
  /** Waits until that many requests have come since the last call. */
  readonly waitFor: (count: number) => Promise<void>;
}

async function measureOn(settings: BenchSettings): Promise<Row> {
  const endpoints = settings.isQuick ? 50 : ENDPOINTS;
  const rounds = settings.isQuick ? 1 : ROUNDS;
  const receiver = await startReceiver();
  const platform = await startMeasuredPlatform(settings, { LICET_ALLOW_HOSTS: receiver.host });
  try {
    const creator = await enrolCreator(platform);
    settings.note(`  registering ${endpoints} marketplaces on ${platform.engine}`);
    const marketplaces = await registerMarketplaces(platform, receiver.host, endpoints);
    const samples = { ours: [] as number[], baseline: [] as number[] };
    for (let round = 0; round < rounds; round += 1) {
      const jti = await offerToAll(platform, creator, marketplaces, receiver);
      samples.ours.push(
        await millisecondsOf(async () => {
          expectStatus(await creator.caller.post(`/api/v1/consents/${jti}/revoke`, {}), 200);
          await receiver.waitFor(endpoints);
        }),
      );
      samples.baseline.push(await millisecondsOf(() => postToAll(receiver, endpoints)));
    }
    const ours = median(samples.ours);
    return {
      what: `fan-out of one revocation to ${digits(endpoints)} endpoints, ${platform.engine}`,
      budget: `< ${BUDGET_MS / 1_000} s`,
      ours: `${digits(ours / 1_000)} s`,
      baseline: `${digits(median(samples.baseline) / 1_000)} s`,
      ratio: ratioOf(samples).text,
      holds: ours < BUDGET_MS,
      how: `${rounds} revocations, from the request until the last endpoint has its message, median; all endpoints are one process; the baseline signs and posts as many bodies with \`fetch\`, ${AT_ONCE} at once, and keeps no record.`,
    };
  } finally {
    await platform.stop();
    receiver.server.closeAllConnections();
    receiver.server.close();
  }
}

async function startReceiver(): Promise<Receiver> {
  const counter = { received: 0 };
  const server = createServer((request: IncomingMessage, response) => {
    request.resume();
    request.on("end", () => {
      counter.received += 1;
      response.writeHead(200, { "content-type": "application/json" }).end("{}");
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const host = `127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
  return {
    host,
    server,
    waitFor: async (count) => {
      for (const until = Date.now() + PATIENCE_MS; counter.received < count;) {
        if (Date.now() > until) throw new Error(`expected ${count} requests, got ${counter.received}`);
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      }
      counter.received = 0;
    },
  };
}

async function registerMarketplaces(
  platform: MeasuredPlatform,
  host: string,
  count: number,
): Promise<readonly string[]> {
  const ids: string[] = [];
  await inParallel(count, 4, async () => {
    const marketplace_id = uniqueId("mkt_");
    ids.push(marketplace_id);
    expectStatus(
      await platform.operator.post("/api/v1/marketplaces", {
        marketplace_id,
        name: "A marketplace",
        base_url: `http://${host}`,
        webhook_url: `http://${host}/webhooks/${marketplace_id}`,
      }),
      201,
    );
  });
  return ids;
}

/** A fresh dataset on a fresh consent, offered to everybody; answers the consent once all have been told. */
async function offerToAll(
  platform: MeasuredPlatform,
  creator: Creator,
  marketplaces: readonly string[],
  receiver: Receiver,
): Promise<string> {
  const work = await registerWork(platform, creator.creatorId);
  const { jti } = await giveConsent(creator, { subject: `content:${work}` });
  const { dataset_id } = await publishDataset(platform, [work], { name: uniqueId("Collection ") });
  await inParallel(marketplaces.length, OFFERS_AT_ONCE, async (index) => {
    const offer = { marketplace_id: marketplaces[index] };
    expectStatus(await platform.operator.post(`/api/v1/datasets/${dataset_id}/offers`, offer), 201);
  });
  // Each offer registers the dataset with its marketplace, which is a request of its own.
  await receiver.waitFor(marketplaces.length);
  return jti;
}

async function postToAll({ host }: Receiver, count: number): Promise<void> {
  const body = JSON.stringify({ change: "revoked", padding: "x".repeat(800) });
  await inParallel(count, AT_ONCE, async (index) => {
    const signature = createHmac("sha256", `secret ${index}`).update(body).digest("hex");
    const headers = { "content-type": "application/json", "x-signature": `sha256=${signature}` };
    await (await fetch(`http://${host}/bare`, { method: "POST", headers, body })).text();
  });
}
