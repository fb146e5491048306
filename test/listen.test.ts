import { type WebhookReceiverOptions, createWebhookReceiver } from "@licet/sdk";
import { listen } from "@licet/sdk/testing";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { afterEach, describe, expect, test } from "vitest";
import { type Ended, collect, runLicet, startLicet } from "../cli/src/testing/run-licet.ts";
import {
  type Consent,
  type RegisteredMarketplace,
  enrolCreator,
  expectStatus,
  giveConsent,
  offerDataset,
  publishDataset,
  registerMarketplace,
  registerWork,
} from "./fixtures/actors.ts";
import { checkPlatform } from "./fixtures/check-platform.ts";
import { startPlatform } from "./fixtures/platform.ts";
import { startSink } from "./fixtures/webhook-sink.ts";

const sink = await startSink();
const platform = await startPlatform({ allowedHosts: [sink.host] });
const children: ChildProcess[] = [];
afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill("SIGKILL");
    await once(child, "close");
  }
});

type Event = Parameters<WebhookReceiverOptions["onEvent"]>[0];

/** A developer's receiver, which the sdk makes, on this machine. */
async function startReceiver(secrets: readonly string[]): Promise<{
  readonly url: string;
  readonly events: Event[];
  readonly refusals: string[];
  readonly trust: (secret: string) => void;
  readonly close: () => Promise<void>;
}> {
  const events: Event[] = [];
  const refusals: string[] = [];
  const listener = await listen();
  const trust = (...inForce: string[]): void =>
    listener.answerWith(
      createWebhookReceiver({
        trust: { secrets: inForce },
        onEvent: (event) => void events.push(event),
        onRefusal: (refusal) => void refusals.push(refusal.code),
      }),
    );
  trust(...secrets);
  return { url: `${listener.origin}/webhooks/consent-updated`, events, refusals, trust, close: listener.close };
}

function environmentOf({ clientId, clientSecret }: RegisteredMarketplace, origin = platform.origin) {
  return { LICET_ORIGIN: origin, LICET_CLIENT_ID: clientId, LICET_CLIENT_SECRET: clientSecret };
}

interface Listening {
  readonly out: () => string;
  readonly err: () => string;
  readonly end: () => Promise<Ended>;
}

function startListening(args: readonly string[], environment: Record<string, string>): Listening {
  const child = startLicet(["listen", ...args], environment);
  children.push(child);
  const [out, err] = [collect(child.stdout), collect(child.stderr)];
  return {
    out,
    err,
    end: async () => {
      const closed = once(child, "close");
      child.kill("SIGINT");
      await closed;
      return { exitCode: child.exitCode, out: out(), err: err() };
    },
  };
}

async function offerOne(marketplace: RegisteredMarketplace) {
  const creator = await enrolCreator(platform);
  const works = [await registerWork(platform, creator.creatorId), await registerWork(platform, creator.creatorId)];
  const consents: Consent[] = [];
  for (const work of works) consents.push(await giveConsent(creator, { subject: `content:${work}` }));
  const { dataset_id: datasetId } = await publishDataset(platform, works);
  await offerDataset(platform, datasetId, marketplace);
  const revoke = async (index: number): Promise<string> => {
    const jti = consents[index]?.jti ?? "";
    expectStatus(await creator.caller.post(`/api/v1/consents/${jti}/revoke`), 200);
    return jti;
  };
  return { datasetId, revoke };
}

async function newMarketplace(): Promise<RegisteredMarketplace> {
  return registerMarketplace(platform, { base_url: sink.url("/base"), webhook_url: sink.url("/hook") });
}

const PATIENT = { timeout: 30_000, interval: 50 };

describe("licet listen", () => {
  test("sends what happens from now on as webhooks that a receiver takes, and goes on where it stopped", async () => {
    const marketplace = await newMarketplace();
    const { datasetId, revoke } = await offerOne(marketplace);
    const receiver = await startReceiver([]);
    const listening = startListening(["--forward", receiver.url], environmentOf(marketplace));
    await expect.poll(listening.err, PATIENT).toContain("from now on");
    const secret = listening.out().trim();
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    receiver.trust(secret);
    const first = await revoke(0);
    await expect.poll(() => receiver.events.length, PATIENT).toBe(1);
    expect(receiver.events[0]).toMatchObject({
      dataset_id: datasetId,
      change: "revoked",
      jti: first,
      endpoint_id: "whe_listen",
      sequence: expect.any(Number),
      sent_at: expect.stringMatching(/Z$/),
      dataset: { status: "partially_revoked" },
    });
    await expect.poll(listening.out, PATIENT).toMatch(new RegExp(`revoked ${datasetId} ${first} → 200 \\(\\d+ ms\\)`));
    const ended = await listening.end();
    expect({ ...ended, out: "" }).toMatchObject({ exitCode: 0 });
    const after = /--after (\d+)/.exec(ended.err)?.[1] ?? "";

    const second = await revoke(1);
    const again = startListening(["--forward", receiver.url, "--after", after, "--json"], {
      ...environmentOf(marketplace),
      LICET_WEBHOOK_SECRET: secret,
    });
    await expect.poll(() => receiver.events.map((event) => event.jti), PATIENT).toEqual([first, second]);
    await expect.poll(again.out, PATIENT).toContain('"status":200');
    const lines = again.out().trim().split("\n");
    expect(again.out()).not.toContain("whsec_");
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({ change: "revoked", jti: second, dataset_id: datasetId });
    expect((await again.end()).exitCode).toBe(0);
    expect(Number(receiver.events[1]?.sequence)).toBeGreaterThan(Number(receiver.events[0]?.sequence));
    expect(receiver.refusals).toEqual([]);
    await receiver.close();
  });

  test("says what a receiver answers that refuses, or is not there", async () => {
    const marketplace = await newMarketplace();
    const { revoke } = await offerOne(marketplace);
    await revoke(0);
    const receiver = await startReceiver([`whsec_${Buffer.alloc(32, 7).toString("base64")}`]);
    const refused = startListening(["--forward", receiver.url, "--after", "0"], environmentOf(marketplace));
    await expect.poll(refused.out, PATIENT).toContain("→ 401");
    await refused.end();
    expect(receiver.events).toEqual([]);
    await receiver.close();
    const unheard = startListening(["--forward", receiver.url, "--after", "0"], environmentOf(marketplace));
    await expect.poll(unheard.out, PATIENT).toContain("→ no answer: ");
    await unheard.end();
  });

  test("asks again while the platform is away, and ends at once all the same", async () => {
    const listener = await listen();
    const marketplace = await newMarketplace();
    let isAway = true;
    listener.answerWith(async (request) => {
      if (isAway) return new Response(null, { status: 503, headers: { "retry-after": "9" } });
      const { pathname, search } = new URL(request.url);
      const { method, headers } = request;
      headers.delete("host");
      const body = method === "POST" ? { body: await request.text() } : {};
      return fetch(`${platform.origin}${pathname}${search}`, { method, headers, ...body });
    });
    const listening = startListening(
      ["--forward", "http://127.0.0.1:9/hook", "--after", "0"],
      environmentOf(marketplace, listener.origin),
    );
    await expect.poll(listening.err, PATIENT).toContain("asking again in 9 s");
    isAway = false;
    await expect.poll(listening.err, PATIENT).toContain("answers again");
    expect((await listening.end()).exitCode).toBe(0);
    await listener.close();
  });

  test("ends with 1 when the platform does not take the credentials", async () => {
    const marketplace = await newMarketplace();
    const ended = await runLicet(["listen", "--forward", "http://127.0.0.1:9/hook"], {
      ...environmentOf(marketplace),
      LICET_CLIENT_SECRET: "wrong",
    });
    expect(ended.exitCode).toBe(1);
    expect(ended.err).toContain("licet: the platform does not tell: ");
  });

  test.each([
    ["no URL", ["--forward", "here"], "--forward: expected a URL such as http://127.0.0.1:3000"],
    ["another machine", ["--forward", "https://example.org/hook"], "--allow-remote"],
    ["no secret", ["--forward", "http://127.0.0.1:9/", "--secret", "whsec_x"], "--secret: expected whsec_"],
    ["no position", ["--forward", "http://127.0.0.1:9/", "--after", "-1"], "--after: expected a position"],
    ["nowhere", [], "required option '--forward <url>' not specified"],
  ])("refuses %s in one line", async (_what, args, line) => {
    const ended = await runLicet(["listen", ...args], {
      LICET_ORIGIN: platform.origin,
      LICET_CLIENT_ID: "a",
      LICET_CLIENT_SECRET: "b",
    });
    expect(ended.exitCode).toBe(2);
    expect(ended.out).toBe("");
    expect(ended.err.trimEnd().split("\n")).toHaveLength(1);
    expect(ended.err).toContain(line);
  });

  test("refuses what LICET_WEBHOOK_SECRET says by its name", async () => {
    const ended = await runLicet(["listen", "--forward", "http://127.0.0.1:9/"], {
      LICET_ORIGIN: platform.origin,
      LICET_WEBHOOK_SECRET: "whsec_x",
    });
    expect(ended).toMatchObject({
      exitCode: 2,
      out: "",
      err: expect.stringContaining("LICET_WEBHOOK_SECRET: expected whsec_"),
    });
  });

  test("asks for credentials of a marketplace", async () => {
    const ended = await runLicet(["listen", "--forward", "http://127.0.0.1:9/"], { LICET_ORIGIN: platform.origin });
    expect(ended).toMatchObject({ exitCode: 2, err: expect.stringContaining("LICET_CLIENT_ID") });
  });
});

test("and the platform keeps its promises after all of it", async () => {
  await checkPlatform({ ...platform, now: () => Math.floor(platform.clock.nowMs() / 1_000) });
});
