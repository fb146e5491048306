import { parseJsonObject, verifyKeySet, verifyStatusList, statusAt, STATUS } from "@licet/protocol";
import { randomInt } from "node:crypto";
import { afterAll, expect, inject, test } from "vitest";
import { type Creator, enrolCreator, giveConsent, publishDataset, registerWork } from "./fixtures/actors.ts";
import { type Caller, createCaller } from "./fixtures/caller.ts";
import { checkPlatform } from "./fixtures/check-platform.ts";
import { type Child, fileOf, startChild } from "./fixtures/child-process.ts";
import { createTestDatabase } from "./fixtures/databases.ts";
import { roundsOf } from "./fixtures/settings.ts";

const ROUNDS = roundsOf(5);
const CONSENTS_PER_ROUND = 6;
/** The whole platform is looked at this often, and in the last round. */
const ROUNDS_PER_CHECK = 10;
const MAX_DELAY_MS = 60;
const PORT = 20_000 + randomInt(12_000);
const origin = `http://127.0.0.1:${PORT}`;
const now = (): number => Math.floor(Date.now() / 1_000);

const database = await createTestDatabase(inject("templateFolder"));
let server: Child<{ readonly operator_token?: string }> = await startServer();
const operatorToken = server.ready.operator_token ?? "";
const operator = createCaller(origin, operatorToken);
const anonymous = createCaller(origin);

afterAll(async () => {
  await server.stop();
  await database.drop();
});

/**
 * Many revocations at once while readers read, and SIGKILL at a random moment. Whatever was
 * answered with 200 must be in every document after the restart; what was not answered may or may
 * not, but all of it or nothing.
 */
test(
  `${ROUNDS} times: what was revoked before SIGKILL is revoked in every document after it`,
  { timeout: 60_000 + ROUNDS * 30_000 },
  async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const { creator, datasetId, jtis } = await prepare();
      const acknowledged = await revokeUntilKilled(creator, jtis);
      server = await startServer();
      await expectRevoked(datasetId, acknowledged);
      const isCheckDue = (round + 1) % ROUNDS_PER_CHECK === 0 || round + 1 === ROUNDS;
      if (isCheckDue) await checkPlatform({ origin, operatorToken, operator, anonymous, now });
    }
  },
);

async function startServer(): Promise<Child<{ readonly operator_token?: string }>> {
  return startChild(fileOf("server/src/main.ts"), {
    LICET_PORT: String(PORT),
    LICET_ORIGIN: `http://127.0.0.1:${PORT}`,
    LICET_DATA_DIR: database.dataFolder,
    LICET_LOG_LEVEL: "error",
    LICET_EXIT_WITH_PARENT: "1",
    ...(database.databaseUrl === undefined ? {} : { DATABASE_URL: database.databaseUrl }),
  });
}

interface Prepared {
  readonly creator: Creator;
  readonly datasetId: string;
  readonly jtis: readonly string[];
}

/** One dataset on as many consents as will be taken back: one for each work. */
async function prepare(): Promise<Prepared> {
  const platform = {
    origin,
    operator,
    clock: { nowMs: () => Date.now(), advance: () => undefined },
    as: (token: string): Caller => createCaller(origin, token),
  };
  const creator = await enrolCreator(platform);
  const works: string[] = [];
  const jtis: string[] = [];
  for (let index = 0; index < CONSENTS_PER_ROUND; index += 1) {
    const work = await registerWork(platform, creator.creatorId);
    works.push(work);
    jtis.push((await giveConsent(creator, { subject: `content:${work}` })).jti);
  }
  const dataset = await publishDataset(platform, works);
  return { creator, datasetId: dataset.dataset_id, jtis };
}

/** Answers the jtis whose revocation was acknowledged before the crash. */
async function revokeUntilKilled(creator: Creator, jtis: readonly string[]): Promise<readonly string[]> {
  const acknowledged: string[] = [];
  const killAfter = randomInt(1, jtis.length);
  let killed: Promise<void> | undefined;
  const revocations = jtis.map(async (jti) => {
    const answer = await creator.caller.post(`/api/v1/consents/${jti}/revoke`, {}).catch(() => undefined);
    if (answer?.status === 200) acknowledged.push(jti);
    if (acknowledged.length >= killAfter) killed ??= killSoon();
  });
  const reads = jtis.map(() => anonymous.get("/.well-known/consent-revocations.json").catch(() => undefined));
  await Promise.all([...revocations, ...reads]);
  await (killed ?? server.kill());
  return acknowledged;
}

async function killSoon(): Promise<void> {
  const delayMs = randomInt(2) === 0 ? 0 : randomInt(MAX_DELAY_MS);
  if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
  await server.kill();
}

async function expectRevoked(datasetId: string, acknowledged: readonly string[]): Promise<void> {
  const [view, status, manifest] = await Promise.all(
    [
      "/.well-known/consent-revocations.json",
      `/.well-known/dataset-status/${datasetId}`,
      `/datasets/${datasetId}/manifest.json`,
    ].map((path) => anonymous.get(path)),
  );
  const listed = await readListedJtis(view?.body);
  expect(listed).toEqual(expect.arrayContaining([...acknowledged]));
  expect(status?.body.revoked_jtis).toEqual(expect.arrayContaining([...acknowledged]));
  expect(manifest?.body.withdrawn.map((entry: { jti?: string }) => entry.jti)).toEqual(
    expect.arrayContaining([...acknowledged]),
  );
  for (const jti of acknowledged) expect(await readBit(jti)).toBe(STATUS.revoked);
}

async function readListedJtis(view: {
  readonly revocations: readonly { readonly jti: string }[];
  readonly next?: string;
}): Promise<readonly string[]> {
  const older =
    view.next === undefined ? [] : await readListedJtis((await anonymous.get(view.next.slice(origin.length))).body);
  return [...view.revocations.map((entry) => entry.jti), ...older];
}

async function readBit(jti: string): Promise<number> {
  const { body } = await operator.get(`/api/v1/consents/${jti}`);
  const claims = JSON.parse(Buffer.from(body.token.split(".")[1], "base64url").toString("utf8"));
  const { idx, uri } = claims.status.status_list;
  const document = parseJsonObject((await anonymous.get("/.well-known/keys.json")).text);
  if (!document.ok) throw new Error(document.refusal.detail);
  const keys = await verifyKeySet(document.value, origin, now());
  if (!keys.ok) throw new Error(keys.refusal.detail);
  const list = await verifyStatusList((await anonymous.get(uri.slice(origin.length))).text, {
    uri,
    keys: keys.value,
    now: now(),
  });
  if (!list.ok) throw new Error(list.refusal.detail);
  const status = statusAt(list.value.bits, idx);
  if (!status.ok) throw new Error(status.refusal.detail);
  return status.value;
}
