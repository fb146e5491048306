import { randomInt } from "node:crypto";
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startServer as startInProcess } from "@licet/server";
import { afterAll, expect, inject, test } from "vitest";
import { enrolCreator, expectStatus, uniqueId } from "./fixtures/actors.ts";
import { type Answer, createCaller } from "./fixtures/caller.ts";
import { bundleServer } from "./fixtures/bundled-server.ts";
import { type Child, SHORT_LIVED, startChild } from "./fixtures/child-process.ts";
import { configFor, createTestDatabase } from "./fixtures/databases.ts";
import { credit, putDetails } from "./fixtures/payouts.ts";
import { freePort } from "./fixtures/platform.ts";
import { checkPlatform } from "./fixtures/check-platform.ts";
import { type Month, closeMonth, expectClosed, prepareMonths } from "./fixtures/crash-months.ts";
import { roundsOf } from "./fixtures/settings.ts";
import { startStripeSimulator } from "./fixtures/stripe-simulator.ts";
import { createTestClock } from "./fixtures/test-clock.ts";

/** A round is one start of a server, some seconds on the embedded database: more of them would take many minutes. */
const MAX_ROUNDS = 80;
const ROUNDS = Math.min(MAX_ROUNDS, roundsOf(4));
const CREATORS_PER_ROUND = 3;
const AMOUNT_MICROS = 20_000_000n;
/** By then the sender has looked, and the month is closed: a kill hits each of them as often as not. */
const MAX_DELAY_MS = 700;
const SEND_INTERVAL_MS = 100;
/** What was claimed by the server that was killed waits for the end of its lease. */
const LEASE_SECONDS = 5;
/** A kill counts as an attempt, and after the third one whose answer is lost the sender waits for two minutes. */
const SETTLED_MS = 180_000;

const port = await freePort();
const now = (): number => Math.floor(Date.now() / 1_000);
const origin = `http://127.0.0.1:${port}`;
const database = await createTestDatabase(inject("templateFolder"));
const program = await bundleServer();
const folder = await mkdtemp(join(tmpdir(), "licet-payouts-"));
const stripe = await startStripeSimulator();
const { operatorToken, rounds } = await prepare();
const operator = createCaller(origin, operatorToken);
let server = await startServer();
// A process that is killed leaves no compiled code behind, so the first one ends in peace.
await server.stop();
server = await startServer();

afterAll(async () => {
  await server.stop();
  await database.drop();
  await rm(folder, { recursive: true, force: true });
});

interface Round {
  readonly adapter: "csv" | "stripe";
  readonly creatorIds: readonly string[];
  readonly month: Month;
}

/** Every round has creators of its own, who are owed something from the start, and a month that is over. */
async function prepare(): Promise<{ readonly operatorToken: string; readonly rounds: readonly Round[] }> {
  const clock = createTestClock();
  const config = configFor(database, { port, origin });
  const settings = { secretKey: stripe.secretKey, webhookSecret: undefined, api: new URL(stripe.api) };
  const payments = { ...config.payments, stripe: settings };
  const running = await startInProcess({ config: { ...config, payments }, clock });
  const token = running.bootstrapToken ?? "";
  const platform = {
    origin,
    operator: createCaller(origin, token),
    clock,
    server: running,
    anonymous: createCaller(origin),
    as: (own: string) => createCaller(origin, own),
  };
  const prepared: Round[] = [];
  for (const [index, month] of (await prepareMonths(platform, ROUNDS)).entries()) {
    const adapter = index % 2 === 0 ? "stripe" : "csv";
    const creatorIds: string[] = [];
    for (let count = 0; count < CREATORS_PER_ROUND; count += 1) {
      const creator = await enrolCreator(platform);
      const account = uniqueId("acct_");
      stripe.addAccount(account);
      const details =
        adapter === "csv"
          ? { adapter, holder: "A. Creator", account: "DE02120300000000202051" }
          : { adapter, stripe_account: account };
      expectStatus(await putDetails(creator.caller, creator.creatorId, { currency: "EUR", ...details }), 200);
      await credit(running, creator.creatorId, AMOUNT_MICROS);
      creatorIds.push(creator.creatorId);
    }
    prepared.push({ adapter, creatorIds, month });
  }
  await running.stop();
  return { operatorToken: token, rounds: prepared };
}

function startServer(): Promise<Child<object>> {
  const env = {
    LICET_PORT: String(port),
    LICET_ORIGIN: origin,
    LICET_DATA_DIR: database.dataFolder,
    LICET_LOG_LEVEL: "error",
    LICET_RATE_LIMITS: "off",
    LICET_ALLOW_HOSTS: stripe.host,
    LICET_EXIT_WITH_PARENT: "1",
    LICET_PAYOUT_HOLD_DAYS: "0",
    LICET_PAYOUT_DIR: folder,
    LICET_PAYOUT_INTERVAL_MS: String(SEND_INTERVAL_MS),
    LICET_PAYOUT_LEASE_SECONDS: String(LEASE_SECONDS),
    LICET_CLOSE_AFTER_HOURS: "0",
    LICET_STRIPE_SECRET_KEY: stripe.secretKey,
    LICET_STRIPE_API: stripe.api,
    ...(database.databaseUrl === undefined ? {} : { DATABASE_URL: database.databaseUrl }),
  };
  return startChild(program, env, [], SHORT_LIVED);
}

const create = ({ adapter, creatorIds }: Round): Promise<Answer | undefined> =>
  operator.post("/api/v1/payout-batches", { currency: "EUR", adapter, creator_ids: creatorIds }).catch(() => undefined);

const close = ({ month }: Round): Promise<Answer | undefined> => closeMonth(operator, month).catch(() => undefined);

/** The same batch and the same close asked for several times at once, and SIGKILL at a random moment of any of it. */
async function playUntilKilled(round: Round): Promise<readonly string[]> {
  if (randomInt(3) === 0) stripe.suffer("lose");
  const answers = [create(round), create(round), create(round)];
  const closes = [close(round), close(round)];
  const delayMs = randomInt(2) === 0 ? randomInt(100) : randomInt(MAX_DELAY_MS);
  await new Promise((resolve) => setTimeout(resolve, delayMs));
  await server.kill();
  for (const closed of await Promise.all(closes)) expect([200, undefined]).toContain(closed?.status);
  const made = (await Promise.all(answers)).filter((answer) => answer?.status === 201);
  expect(made.length).toBeLessThanOrEqual(1);
  return made.map((answer) => String(answer?.body.batch_id));
}

interface Listed {
  readonly payout_id: string;
  readonly batch_id: string;
  readonly state: string;
  readonly amount_micros: string;
}

async function payoutsOf(creatorId: string): Promise<readonly Listed[]> {
  return expectStatus(await operator.get(`/api/v1/creators/${creatorId}/payouts`), 200).body.payouts;
}

test(
  `${ROUNDS} times: payouts and the close of a month that are killed in the middle happen once, whole, and nothing is lost`,
  { timeout: 120_000 + SETTLED_MS + ROUNDS * 60_000 },
  async () => {
    const acknowledged: string[] = [];
    for (const round of rounds) {
      acknowledged.push(...(await playUntilKilled(round)));
      server = await startServer();
      // Whatever was not made is made now; what was is not made again.
      const again = await create(round);
      expect([201, 409]).toContain(again?.status);
      expect((await close(round))?.status).toBe(200);
    }
    await expectPaidOnce();
    for (const batchId of acknowledged) expectStatus(await operator.get(`/api/v1/payout-batches/${batchId}`), 200);
    await expectClosed(
      operator,
      rounds.map(({ month }) => month),
      SETTLED_MS,
    );
    await checkPlatform({ hasCrashed: true, origin, operatorToken, operator, anonymous: createCaller(origin), now });
  },
);

const END = { stripe: "paid", csv: "sent" } as const;

/** Every creator was paid once what they were owed, and nobody anything else. */
async function expectPaidOnce(): Promise<void> {
  for (const { adapter, creatorIds } of rounds)
    for (const creatorId of creatorIds)
      await expect
        .poll(async () => (await payoutsOf(creatorId)).map(({ state }) => state), {
          timeout: SETTLED_MS,
          interval: 500,
        })
        .toEqual([END[adapter]]);
  const files = (await readdir(folder)).filter((name) => !name.startsWith("."));
  const written = (await Promise.all(files.map((name) => readFile(join(folder, name), "utf8")))).join("");
  for (const { adapter, creatorIds } of rounds) {
    for (const creatorId of creatorIds) {
      const [payout] = await payoutsOf(creatorId);
      const id = payout?.payout_id ?? "";
      const times = {
        stripe: stripe.transfers().filter((transfer) => transfer.transfer_group === id).length,
        csv: written.split("\r\n").filter((line) => line.startsWith(`${id},`)).length,
      };
      expect([creatorId, payout?.amount_micros, times[adapter]]).toEqual([creatorId, String(AMOUNT_MICROS), 1]);
      const { body } = expectStatus(await operator.get(`/api/v1/creators/${creatorId}/balance`), 200);
      expect(body.balances).toMatchObject([{ pending_micros: "0", available_micros: "0" }]);
    }
  }
  expect(stripe.transfers()).toHaveLength(
    rounds.filter(({ adapter }) => adapter === "stripe").length * CREATORS_PER_ROUND,
  );
}
