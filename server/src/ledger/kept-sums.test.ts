import { sql } from "kysely";
import { expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  giveConsent,
  publishDataset,
  registerWork,
  uniqueId,
} from "../../../test/fixtures/actors.ts";
import { checkLedger } from "../../../test/fixtures/check-ledger.ts";
import { readAll } from "../../../test/fixtures/check-platform.ts";
import { balanceOf, post } from "../../../test/fixtures/payouts.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import type { Db, Trx } from "../db/open-database.ts";

/** More than is written in the fact that publishes a version. */
const MANY_WORKS = 502;
const MONTH_SECONDS = 31 * 86_400;

const platform = await startPlatform();
const { operator, server, clock } = platform;
const [one, two] = [await enrolCreator(platform), await enrolCreator(platform)];
const oneWork = await registerWork(platform, one.creatorId);
const works: string[] = [oneWork];
for (let count = 1; count < MANY_WORKS; count += 1) works.push(await registerWork(platform, two.creatorId));
for (const creator of [one, two]) await giveConsent(creator);

async function charge(owner: string, amountMicros: bigint, valueAt: number): Promise<void> {
  await post(server, [
    {
      kind: "license_fee",
      reference: uniqueId("lic_"),
      currency: "USD",
      valueAt,
      explanation: { charged_micros: String(amountMicros) },
      entries: [
        { account: { kind: "marketplace", owner: "mkt_kept" }, amountMicros },
        { account: { kind: "pool", owner }, amountMicros: -amountMicros },
      ],
    },
  ]);
}

const now = (): number => Math.floor(clock.nowMs() / 1_000);

test("what a creator's works of a large version count is kept, and an explanation adds it up anew", async () => {
  const { dataset_id, version } = await publishDataset(platform, works);
  await charge(`${dataset_id}/${version}`, 1_000_000n, now());
  const expected = 1_000_000n / BigInt(MANY_WORKS);
  expect((await balanceOf(one.caller, one.creatorId, "USD")).accruing_micros).toBe(String(expected));
  const split = expectStatus(await operator.post(`/api/v1/ledger/pools/${dataset_id}/${version}/split`), 201).body;
  const entry = split.entries.find(
    ({ account }: { readonly account: { owner: string } }) => account.owner === one.creatorId,
  );
  expect([`-${expected}`, `-${expected + 1n}`]).toContain(entry.amount_micros);
  const told = expectStatus(await operator.get(`/api/v1/ledger/entries/${entry.entry_id}/explanation`), 200).body;
  expect(JSON.stringify(told.steps)).toContain(`1 of ${MANY_WORKS} works`);
});

test("what counts for an account is kept by month, for whoever may see the account", async () => {
  const { dataset_id, version } = await publishDataset(platform, [oneWork]);
  const owner = `${dataset_id}/${version}`;
  await charge(owner, 5n, now() - MONTH_SECONDS);
  await charge(owner, 7n, now());
  await charge(owner, 11n, now());
  const path = `/api/v1/ledger/accounts?kind=pool&owner=${encodeURIComponent(owner)}`;
  const [{ account_id }] = expectStatus(await operator.get(path), 200).body.accounts;
  const monthsOf = `/api/v1/ledger/accounts/${account_id}/months`;
  const periodOf = (at: number): string => new Date(at * 1_000).toISOString().slice(0, "2026-11".length);
  expect(expectStatus(await operator.get(monthsOf), 200).body.months).toEqual([
    { period: periodOf(now() - MONTH_SECONDS), amount_micros: "-5", balance_micros: "-5" },
    { period: periodOf(now()), amount_micros: "-18", balance_micros: "-23" },
  ]);
  const foreign = await one.caller.get(monthsOf);
  expect([foreign.status, foreign.body.code]).toEqual([403, "not_yours"]);
  expect((await operator.get("/api/v1/ledger/accounts/999999999/months")).status).toBe(404);
});

test("a split ahead of the month's end leaves out what counts for later", async () => {
  const { dataset_id, version } = await publishDataset(platform, [oneWork]);
  const owner = `${dataset_id}/${version}`;
  await charge(owner, 100n, now());
  await charge(owner, 30n, now() + 1_000);
  const split = expectStatus(await operator.post(`/api/v1/ledger/pools/${owner}/split`), 201).body;
  const moved = split.entries.find(({ account }: { readonly account: { kind: string } }) => account.kind === "pool");
  expect(moved.amount_micros).toBe("100");
  expect(await checkLedger(operator, readAll)).toEqual([]);
});

test("a month or a balance that is not what its entries add up to does not go unseen", async () => {
  const { db } = server.ctx;
  const row = await db.selectFrom("account_month").selectAll().limit(1).executeTakeFirstOrThrow();
  const at = { account_id: row.account_id, month_at: row.month_at };
  const change = (trx: Trx | Db, amount: string) =>
    trx
      .updateTable("account_month")
      .set({ amount })
      .where("account_id", "=", at.account_id)
      .where("month_at", "=", at.month_at)
      .execute();
  await expect(change(db, "0")).rejects.toThrow("account_month is kept by the database");
  /** As damage would, or a hand. */
  const set = (amount: string) =>
    db.transaction().execute(async (trx) => {
      await sql`alter table account_month disable trigger kept`.execute(trx);
      await change(trx, amount);
      await sql`alter table account_month enable trigger kept`.execute(trx);
    });
  await set(String(BigInt(row.amount) + 1n));
  expect((await checkLedger(operator, readAll)).join()).toContain(`the account ${row.account_id} is kept as`);
  const subject = `account/${row.account_id}`;
  expect(await reconciled(subject)).toMatchObject({ state: "open", detail: { reason: "month" } });
  await set(row.amount);
  expect(await reconciled(subject)).toMatchObject({ state: "closed" });
});

/** Has everything compared, and answers the finding about a subject. */
async function reconciled(subject: string) {
  const { body } = await operator.post("/api/v1/reconciliations");
  const state = async () => (await operator.get(`/api/v1/reconciliations/${body.reconciliation_id}`)).body.state;
  await expect.poll(state, { timeout: 30_000 }).toBe("done");
  const path = "/api/v1/findings?kind=kept_sums_differ&limit=1000";
  const { findings } = expectStatus(await operator.get(path), 200).body;
  return findings.find((finding: { readonly subject: string }) => finding.subject === subject);
}
