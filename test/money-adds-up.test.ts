import { sha256Hex } from "@licet/protocol";
import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import {
  type Creator,
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
import { type MoneyReplay, replayOf } from "./fixtures/money-replay.ts";
import { licenseDataset } from "./fixtures/licenses.ts";
import { putDetails } from "./fixtures/payouts.ts";
import { startPlatform } from "./fixtures/platform.ts";
import {
  type LicensedDataset,
  licenseFor,
  linesOf,
  postBatch,
  receiptContent,
  signAnyReceipt,
} from "./fixtures/receipts.ts";
import { drawSeed, roundsOf } from "./fixtures/settings.ts";

/** Things that happen, one after the other; what they may be is drawn by dice. */
const STEPS = Math.min(160, 10 * roundsOf(4));
/** After each of them the months that are over are closed, and everybody is paid. */
const MONTHS = 2;
/** The first step of the second month. */
const LATER_FROM = STEPS - Math.floor(STEPS / 4);
const SEED = drawSeed();
const MAX_COUNT = 200_000;
const MAX_BATCH = 6;
const DAY_SECONDS = 86_400;
/** Awkward on purpose: nearly every charge leaves something to be rounded. */
const PRICES = ["0.0000037", "0.000123456789"] as const;

const platform = await startPlatform();

/** Dice that fall the same way for the same seed. */
function diceOf(seed: string): (below: number) => number {
  let thrown = 0;
  return (below) => {
    thrown += 1;
    return createHash("sha256").update(`${seed} ${thrown}`).digest().readUInt32BE(0) % below;
  };
}

interface Model {
  readonly model_id: string;
  readonly fingerprint: string;
}

interface Licensed {
  readonly marketplace: RegisteredMarketplace;
  readonly dataset: LicensedDataset;
  readonly price: string;
  /** Undefined for the fixture's own. */
  readonly model?: Model;
}

interface World {
  readonly creators: readonly Creator[];
  readonly marketplaces: readonly RegisteredMarketplace[];
  readonly licenses: Licensed[];
  readonly replay: MoneyReplay;
  readonly roll: (below: number) => number;
  /** Transactions that may still be taken back. */
  readonly reversible: string[];
}

async function setUp(): Promise<World> {
  const creators = [await enrolCreator(platform), await enrolCreator(platform), await enrolCreator(platform)];
  const works: (readonly string[])[] = [];
  for (const [index, creator] of creators.entries()) {
    const own: string[] = [];
    for (let count = 0; count <= index; count += 1)
      own.push(await registerWork(platform, creator.creatorId, { size_bytes: 1_000 + 77 * count + index }));
    await giveConsent(creator, { price_floor: "per-token:0" });
    const details = { adapter: "csv", holder: "A. Creator", account: "DE02120300000000202051" };
    expectStatus(await putDetails(creator.caller, creator.creatorId, { currency: "USD", ...details }), 200);
    works.push(own);
  }
  const replay = replayOf(creators.map(({ creatorId }) => creatorId));
  const marketplaces = [await registerMarketplace(platform), await registerMarketplace(platform)];
  const licenses: Licensed[] = [];
  for (const [index, price] of PRICES.entries()) {
    const by = index === 0 ? "items" : "bytes";
    const platform_fee_bps = 1_234 * (index + 1);
    const published = await publishDataset(platform, works.flat(), {
      pricing: { model_use: `per-token:${price}` },
      revenue_split: { by, platform_fee_bps },
    });
    const weights = works.map((own, creator) =>
      by === "items"
        ? BigInt(own.length)
        : own.reduce((sum, _work, count) => sum + BigInt(1_000 + 77 * count + creator), 0n),
    );
    replay.addPool(`${published.dataset_id}/1`, { feeBps: platform_fee_bps, weights });
    for (const marketplace of marketplaces) {
      await offerDataset(platform, published.dataset_id, marketplace);
      const dataset = await licenseFor(platform, marketplace, {
        dataset_id: published.dataset_id,
        version: published.version,
        items_root: published.items_root,
      });
      licenses.push({ marketplace, dataset, price });
      replay.addLicense(dataset.license_id, {
        price,
        marketplace: marketplace.marketplaceId,
        pool: `${published.dataset_id}/1`,
      });
    }
  }
  return { creators, marketplaces, licenses, replay, roll: diceOf(SEED), reversible: [] };
}

function pick<T>(list: readonly T[], roll: (below: number) => number): T {
  const value = list[roll(list.length)];
  if (value === undefined) throw new Error("expected something to choose from");
  return value;
}

/** Some receipts under one license, handed in twice at once. */
async function report({ licenses, replay, roll }: World): Promise<void> {
  const { marketplace, dataset, model } = pick(licenses, roll);
  const named = model === undefined ? {} : { model_id: model.model_id, model_fingerprint: model.fingerprint };
  const receipts = [];
  for (let count = 1 + roll(MAX_BATCH); count > 0; count -= 1) {
    const tokens = roll(4) === 0 ? 1 + roll(3) : 1 + roll(MAX_COUNT);
    const usage = { ...named, usage: { unit: "tokens", count: tokens }, tokens_used: tokens };
    receipts.push(
      await signAnyReceipt(receiptContent(platform, marketplace, dataset, usage), marketplace.receiptSigner),
    );
    replay.use(dataset.license_id, BigInt(tokens));
  }
  const answers = await Promise.all([postBatch(marketplace, receipts), postBatch(marketplace, receipts)]);
  const lines = answers.flatMap((answer) => linesOf(expectStatus(answer, 200)));
  expect(lines.filter(({ status }) => status === "refused")).toEqual([]);
  expect(lines.filter(({ status }) => status === "accepted")).toHaveLength(receipts.length);
}

/** One more license of a dataset, for another model. */
async function license({ licenses, replay, roll }: World, step: number): Promise<void> {
  const { marketplace, dataset, price } = pick(licenses, roll);
  const model_id = `model-${step}-of-${marketplace.marketplaceId}`;
  const model = { model_id, fingerprint: sha256Hex(model_id) };
  const { license_id } = await licenseDataset(platform, dataset.dataset_id, marketplace, { model });
  licenses.push({ marketplace, dataset: { ...dataset, license_id }, price, model });
  replay.addLicense(license_id, {
    price,
    marketplace: marketplace.marketplaceId,
    pool: `${dataset.dataset_id}/${dataset.version}`,
  });
}

/** Ends a license: use under it goes on to be owed. */
async function endLicense({ licenses, roll }: World): Promise<void> {
  const path = `/api/v1/licenses/${pick(licenses, roll).dataset.license_id}/revoke`;
  const answer = await platform.operator.post(path, { reason: "as the dice fell" });
  expect([200, 409]).toContain(answer.status);
}

async function share({ licenses, replay, roll }: World): Promise<void> {
  platform.clock.advance(2);
  const { dataset } = pick(licenses, roll);
  const answer = await platform.operator.post(`/api/v1/ledger/pools/${dataset.dataset_id}/${dataset.version}/split`);
  const isSplit = replay.split(`${dataset.dataset_id}/${dataset.version}`, String(answer.body.reference ?? ""));
  expect(answer.status).toBe(isSplit ? 201 : answer.status === 404 ? 404 : 409);
}

async function pay({ marketplaces, replay, roll, reversible }: World, step: number): Promise<void> {
  const { marketplaceId } = pick(marketplaces, roll);
  const amount = BigInt(1 + roll(5_000_000));
  const body = { amount_micros: String(amount), currency: "USD", reference: `bank-${step}` };
  const answer = await platform.operator.post(`/api/v1/marketplaces/${marketplaceId}/payments`, body);
  // Whoever never owed anything in a currency has nothing to pay in it.
  if (answer.status === 422) return;
  reversible.push(expectStatus(answer, 201).body.transaction_id);
  replay.move([
    ["cash", "", amount],
    ["marketplace", marketplaceId, -amount],
  ]);
}

/** Takes back a payment, or a charge that may be shared out already. */
async function reverse({ licenses, replay, roll, reversible }: World): Promise<void> {
  const { marketplace } = pick(licenses, roll);
  const path = `/api/v1/ledger/accounts?kind=marketplace&owner=${marketplace.marketplaceId}`;
  const [account] = expectStatus(await platform.operator.get(path), 200).body.accounts;
  if (account === undefined) return;
  const { entries } = expectStatus(
    await platform.operator.get(`/api/v1/ledger/accounts/${account.account_id}/entries?limit=1000`),
    200,
  ).body;
  const charges = entries.filter((entry: { transaction_kind: string }) => entry.transaction_kind === "usage_charge");
  const charge: { transaction_id: string } | undefined =
    charges.length === 0 ? undefined : pick<{ transaction_id: string }>(charges, roll);
  const transactionId = reversible.pop() ?? charge?.transaction_id;
  if (transactionId === undefined) return;
  const answer = await platform.operator.post(`/api/v1/ledger/transactions/${transactionId}/reversal`, {
    reason: "counted wrongly",
  });
  if (answer.status === 409) return;
  for (const { account: name, amount_micros } of expectStatus(answer, 201).body.entries)
    replay.move([[name.kind, name.owner, BigInt(amount_micros)]]);
}

async function readBalances(): Promise<ReadonlyMap<string, bigint>> {
  const { accounts } = expectStatus(await platform.operator.get("/api/v1/ledger/accounts?limit=1000"), 200).body;
  return new Map(
    accounts.map(({ kind, owner, balance_micros }: { kind: string; owner: string; balance_micros: string }) => [
      `${kind} ${owner}`,
      BigInt(balance_micros),
    ]),
  );
}

/** Pays everybody what is available; one payout fails and comes back. */
async function payOut({ creators, replay }: World): Promise<void> {
  const asked = { currency: "USD", adapter: "csv" };
  const made = await platform.operator.post("/api/v1/payout-batches", asked);
  if (made.status === 409) return;
  const { batch_id, payouts } = expectStatus(made, 201).body;
  await expect
    .poll(
      async () =>
        (await platform.operator.get(`/api/v1/payout-batches/${batch_id}`)).body.payouts.map(
          (payout: { state: string }) => payout.state,
        ),
      { timeout: 30_000 },
    )
    .toEqual(payouts.map(() => "sent"));
  const settled = payouts.map(({ payout_id }: { payout_id: string }, index: number) =>
    index === 0 ? { payout_id, outcome: "failed", reason: "account closed" } : { payout_id, outcome: "paid" },
  );
  expectStatus(
    await platform.operator.post(`/api/v1/payout-batches/${batch_id}/settlements`, { payouts: settled }),
    200,
  );
  for (const [index, { creator_id, amount_micros }] of payouts.entries()) {
    expect(creators.map(({ creatorId }) => creatorId)).toContain(creator_id);
    if (index === 0) continue;
    replay.move([
      ["creator", creator_id, BigInt(amount_micros)],
      ["cash", "", -BigInt(amount_micros)],
    ]);
  }
}

/** What the platform does by itself in later months: clients' tokens are by the real clock, and hold in the first alone. */
async function actLater(world: World, step: number): Promise<void> {
  const turn = world.roll(6);
  if (turn < 2) return share(world);
  if (turn < 4) return pay(world, step);
  return turn < 5 ? reverse(world) : endLicense(world);
}

async function act(world: World, step: number): Promise<void> {
  const turn = world.roll(12);
  if (turn < 5) return report(world);
  if (turn < 7) return share(world);
  if (turn < 9) return pay(world, step);
  if (turn < 10) return reverse(world);
  return turn < 11 ? license(world, step) : endLicense(world);
}

/** Closes every month that is over, and each of them once more. */
async function closeMonths({ replay }: World): Promise<void> {
  const { periods } = expectStatus(await platform.operator.get("/api/v1/ledger/periods"), 200).body;
  for (const { period, until, state } of periods.toReversed()) {
    if (state === "closed" || Date.parse(until) / 1_000 + 3_600 > platform.clock.nowMs() / 1_000) continue;
    const close = () => platform.operator.post(`/api/v1/ledger/periods/${period}/close`);
    const { body } = expectStatus(await close(), 200);
    for (const pool of replay.pools()) replay.split(pool, `${period}/${pool}`);
    expect(expectStatus(await close(), 200).body).toEqual(body);
  }
}

test(
  `${STEPS} receipts, licenses and their ends, splits, payments, corrections and a revocation, ${MONTHS} closes and payouts later every balance is the replay of what happened (LICET_SEED=${SEED})`,
  { timeout: 120_000 + STEPS * 10_000 },
  async () => {
    const world = await setUp();
    const check = () => checkPlatform({ ...platform, now: () => Math.floor(platform.clock.nowMs() / 1_000) });
    const revokeAt = Math.floor(STEPS / 2);
    for (let month = 0; month < MONTHS; month += 1) {
      const first = month === 0 ? 0 : LATER_FROM;
      for (let step = first; step < (month === 0 ? LATER_FROM : STEPS); step += 1) {
        if (step === revokeAt)
          expectStatus(
            await platform.operator.post(`/api/v1/creators/${world.creators[2]?.creatorId}/revocations`, { all: true }),
            200,
          );
        await (month === 0 ? act : actLater)(world, step);
      }
      await check();
      platform.clock.advance(40 * DAY_SECONDS);
      await closeMonths(world);
      await payOut(world);
    }
    const balances = await readBalances();
    for (const [account, expected] of world.replay.balances())
      expect([account, balances.get(account) ?? 0n]).toEqual([account, expected]);
    expect([...balances.values()].reduce((sum, balance) => sum + balance, 0n)).toBe(0n);
    await check();
  },
);
