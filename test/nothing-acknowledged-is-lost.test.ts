import { STATUS, parseJsonObject, statusAt, verifyKeySet, verifyStatusList } from "@licet/protocol";
import { randomInt } from "node:crypto";
import { afterAll, expect, inject, test } from "vitest";
import { enrolCreator, expectStatus, registerMarketplace, uniqueId } from "./fixtures/actors.ts";
import { createCaller } from "./fixtures/caller.ts";
import { type Happened, checkPlatform } from "./fixtures/check-platform.ts";
import { bundleServer } from "./fixtures/bundled-server.ts";
import { type Child, SHORT_LIVED, startChild } from "./fixtures/child-process.ts";
import { beginReporting, findLostReceipts } from "./fixtures/crash-receipts.ts";
import { type Acknowledged, type Round, prepareRound, writeUntilKilled } from "./fixtures/crash-rounds.ts";
import { createTestDatabase } from "./fixtures/databases.ts";
import { freePort } from "./fixtures/platform.ts";
import { licenseFor } from "./fixtures/receipts.ts";
import { roundsOf } from "./fixtures/settings.ts";
import { startSink } from "./fixtures/webhook-sink.ts";

const ROUNDS = roundsOf(4);
/** The whole platform is looked at this often, and after the last round: reading all of it takes longer each time. */
const ROUNDS_PER_CHECK = Math.max(10, Math.ceil(ROUNDS / 4));
/** A dataset gets a version in each round, so that its documents stay as long as a platform's are. */
const ROUNDS_PER_DATASET = 20;
const MAX_DELAY_MS = 60;
/** The sweep looks after what a lost job left behind within seconds. */
const FAN_OUT_MS = 60_000;

const port = await freePort();
const origin = `http://127.0.0.1:${port}`;
const now = (): number => Math.floor(Date.now() / 1_000);
const database = await createTestDatabase(inject("templateFolder"));
const program = await bundleServer();
const sink = await startSink();

let server: Child<{ readonly operator_token?: string }> = await startServer();
const operatorToken = server.ready.operator_token ?? "";
const platform = {
  origin,
  operatorToken,
  operator: createCaller(origin, operatorToken),
  anonymous: createCaller(origin),
  clock: { nowMs: () => Date.now(), advance: () => undefined },
  as: (token: string) => createCaller(origin, token),
};
// A process that is killed leaves no compiled code behind, so the first one ends in peace.
await server.stop();
server = await startServer();

const creator = await enrolCreator(platform);
const marketplace = await registerMarketplace(platform, { webhook_url: sink.url("/hook") });
const acknowledged: Acknowledged = {
  granted: new Map(),
  revoked: new Set(),
  unknown: new Set(),
  kids: new Set(),
  versions: new Map(),
  backups: 0,
};
const standing = new Map<string, string>();

afterAll(async () => {
  await server.stop();
  await database.drop();
});

/**
 * Revocations, a publication, receipts, a rotation, deliveries, a backup and readers at once, and SIGKILL at a
 * random moment. Whatever was answered with success is there after the restart; what was not
 * answered may or may not be, but all of it or nothing.
 */
test(
  `${ROUNDS} times: what was acknowledged before SIGKILL is there after it, and nothing is half-written`,
  { timeout: 120_000 + ROUNDS * 30_000 },
  async () => {
    let round = await beginDataset();
    await prepareRound(round);
    for (let played = 0; played < ROUNDS; played += 1) {
      if (played > 0 && played % ROUNDS_PER_DATASET === 0) round = await beginDataset();
      await prepareRound(round);
      const before = new Set([...acknowledged.revoked, ...acknowledged.unknown]);
      await playUntilKilled(round);
      server = await startServer();
      const touched = [...acknowledged.revoked, ...acknowledged.unknown].filter((jti) => !before.has(jti));
      await expectAcknowledged(touched);
      expect(await findLostReceipts(platform, round.reporting)).toEqual([]);
      const isCheckDue = (played + 1) % ROUNDS_PER_CHECK === 0 || played + 1 === ROUNDS;
      if (isCheckDue) await checkPlatform({ hasCrashed: true, ...platform, now, happened: happened() });
    }
    await expectTold();
  },
);

function startServer(): Promise<Child<{ readonly operator_token?: string }>> {
  const env = {
    LICET_PORT: String(port),
    LICET_ORIGIN: origin,
    LICET_DATA_DIR: database.dataFolder,
    LICET_LOG_LEVEL: "error",
    LICET_RATE_LIMITS: "off",
    LICET_ALLOW_HOSTS: sink.host,
    LICET_EXIT_WITH_PARENT: "1",
    ...(database.databaseUrl === undefined ? {} : { DATABASE_URL: database.databaseUrl }),
  };
  return startChild(program, env, [], SHORT_LIVED);
}

/** One dataset on one work, offered to the marketplace. */
async function beginDataset(): Promise<Round> {
  const datasetId = uniqueId("ds_");
  const parts = { platform, creator, datasetId, acknowledged, standing };
  await prepareRound(parts);
  const body = {
    dataset_id: datasetId,
    name: "Sample collection",
    content_items: [...standing.keys()].map((content_id) => ({ content_id })),
    pricing: { model_use: "per-token:0.0001" },
  };
  const published = expectStatus(await platform.operator.post("/api/v1/datasets", body), 201).body;
  acknowledged.versions.set(datasetId, 1);
  const { marketplaceId } = marketplace;
  expectStatus(
    await platform.operator.post(`/api/v1/datasets/${datasetId}/offers`, { marketplace_id: marketplaceId }),
    201,
  );
  const dataset = await licenseFor(platform, marketplace, published);
  return { ...parts, reporting: beginReporting(marketplace, dataset) };
}

async function playUntilKilled(round: Round): Promise<void> {
  const killAfter = randomInt(1, 5);
  let answers = 0;
  let killed: Promise<void> | undefined;
  await writeUntilKilled(round, () => {
    answers += 1;
    if (answers >= killAfter) killed ??= killSoon();
  });
  await (killed ?? server.kill());
}

async function killSoon(): Promise<void> {
  const delayMs = randomInt(2) === 0 ? 0 : randomInt(MAX_DELAY_MS);
  if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
  await server.kill();
}

/** The events of what was acknowledged. */
function happened(): readonly Happened[] {
  return [
    ...[...acknowledged.granted.keys()].map((aggregate) => ({ type: "consent.granted", aggregate })),
    ...[...acknowledged.revoked].map((aggregate) => ({ type: "consent.revoked", aggregate })),
    ...[...acknowledged.versions.keys()].map((aggregate) => ({ type: "dataset.published", aggregate })),
  ];
}

/** All that was acknowledged is listed; what one round touched is looked at everywhere it must show. */
async function expectAcknowledged(touched: readonly string[]): Promise<void> {
  const { body: view } = await platform.anonymous.get("/.well-known/consent-revocations.json");
  const listed = await readListedJtis(view);
  expect(listed).toEqual(expect.arrayContaining([...acknowledged.revoked]));
  const keySet = await readKeySet();
  expect([...keySet.kids]).toEqual(expect.arrayContaining([...acknowledged.kids]));
  for (const [datasetId, version] of acknowledged.versions) {
    const { body } = await platform.anonymous.get(`/datasets/${datasetId}/manifest.json`);
    expect(body.version).toBeGreaterThanOrEqual(version);
  }
  const lists = new Map<string, Uint8Array>();
  for (const jti of touched) {
    const { body: consent } = expectStatus(await platform.operator.get(`/api/v1/consents/${jti}`), 200);
    const { idx, uri } = acknowledged.granted.get(jti)?.claims.status.status_list ?? { idx: 0, uri: "" };
    const bits = lists.get(uri) ?? (await readList(uri, keySet.keys));
    lists.set(uri, bits);
    const status = statusAt(bits, idx);
    const isRevoked = consent.state === "revoked";
    const said = [jti, status.ok && status.value === STATUS.revoked, listed.includes(jti)];
    expect(said).toEqual([jti, isRevoked, isRevoked]);
    expect([jti, isRevoked || !acknowledged.revoked.has(jti)]).toEqual([jti, true]);
  }
}

async function readListedJtis(view: {
  readonly revocations: readonly { readonly jti: string }[];
  readonly next?: string;
}): Promise<readonly string[]> {
  const older =
    view.next === undefined
      ? []
      : await readListedJtis((await platform.anonymous.get(view.next.slice(origin.length))).body);
  return [...view.revocations.map((entry) => entry.jti), ...older];
}

async function readKeySet() {
  const document = parseJsonObject((await platform.anonymous.get("/.well-known/keys.json")).text);
  if (!document.ok) throw new Error(document.refusal.detail);
  const keys = await verifyKeySet(document.value, origin, now());
  if (!keys.ok) throw new Error(keys.refusal.detail);
  const entries = document.value["keys"];
  const kids = Array.isArray(entries) ? entries.map((entry) => Object(entry).kid) : [];
  return { keys: keys.value, kids };
}

async function readList(uri: string, keys: Awaited<ReturnType<typeof readKeySet>>["keys"]): Promise<Uint8Array> {
  const { text } = await platform.anonymous.get(uri.slice(origin.length));
  const list = await verifyStatusList(text, { uri, keys, now: now() });
  if (!list.ok) throw new Error(list.refusal.detail);
  return list.value.bits;
}

/** Whatever a dataset lost, its marketplace was told of, or visibly will be. */
async function expectTold(): Promise<void> {
  for (const datasetId of acknowledged.versions.keys()) {
    const { body } = await platform.anonymous.get(`/.well-known/dataset-status/${datasetId}`);
    const countTold = async (): Promise<number> => {
      const path = `/api/v1/webhook-deliveries?dataset_id=${datasetId}&limit=1000`;
      const { deliveries } = expectStatus(await platform.operator.get(path), 200).body;
      return deliveries.filter((delivery: { readonly change: string }) => delivery.change === "revoked").length;
    };
    await expect
      .poll(countTold, { timeout: FAN_OUT_MS, interval: 100 })
      .toBeGreaterThanOrEqual(body.revoked_jtis.length);
  }
}
