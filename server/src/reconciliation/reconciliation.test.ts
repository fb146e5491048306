import { type JsonObject, accept } from "@licet/protocol";
import { sql } from "kysely";
import { describe, expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  giveConsent,
  offerDataset,
  publishDataset,
  registerMarketplace,
  registerWork,
  uniqueId,
} from "../../../test/fixtures/actors.ts";
import type { Answer } from "../../../test/fixtures/caller.ts";
import { type Platform, startPlatform } from "../../../test/fixtures/platform.ts";
import { licenseFor, postReceipt } from "../../../test/fixtures/receipts.ts";
import { eventsOf } from "../events/store.ts";
import { writeFact } from "../events/write-fact.ts";
import { type NewTransaction, postTransactions } from "../ledger/post-transactions.ts";
import { MAX_CAUSES } from "./cause-store.ts";

const UNREPORTED_SECONDS = 20;
/** Later than that, and soon enough for access tokens to live on. */
const LATER = UNREPORTED_SECONDS + 1;
const money = {
  platformFeeBps: 0,
  closeAfterSeconds: undefined,
  modelListSeconds: undefined,
  remediationSeconds: 2_592_000,
  receiptPullSeconds: undefined,
  reconcileSeconds: undefined,
  unreportedSeconds: UNREPORTED_SECONDS,
  unsplitSeconds: 10 * 86_400,
};
const platform = await startPlatform({ money });
const now = (): number => Math.floor(platform.clock.nowMs() / 1_000);

async function offerOne(on: Platform = platform) {
  const creator = await enrolCreator(on);
  const work = await registerWork(on, creator.creatorId);
  await giveConsent(creator);
  const dataset = await publishDataset(on, [work]);
  const marketplace = await registerMarketplace(on);
  await offerDataset(on, dataset.dataset_id, marketplace);
  return { dataset, marketplace };
}

/** Asks for a run and waits for its end. */
async function reconcile({ operator }: Pick<Platform, "operator"> = platform): Promise<Answer["body"]> {
  const { body } = await operator.post("/api/v1/reconciliations");
  const path = `/api/v1/reconciliations/${body.reconciliation_id}`;
  await expect
    .poll(async () => (await operator.get(path)).body.state, { timeout: 30_000, interval: 50 })
    .toMatch(/done|failed/);
  const report = expectStatus(await operator.get(path), 200).body;
  expect(report).toMatchObject({ state: "done" });
  return report;
}

/** The finding about a subject, whatever its state; undefined when there never was one. */
async function findingOf(kind: string, subject: string): Promise<Answer["body"]> {
  const { body } = expectStatus(await platform.operator.get(`/api/v1/findings?kind=${kind}&limit=1000`), 200);
  return body.findings.find((finding: { subject: string }) => finding.subject === subject);
}

/** What happened to a finding, in order. */
async function historyOf(findingId: string): Promise<readonly string[]> {
  return (await eventsOf(platform.server.ctx.db, findingId)).map((event) => event.type);
}

async function post(transaction: NewTransaction): Promise<string> {
  const posted = await writeFact(platform.server.ctx, async (fact) => accept(postTransactions(fact, [transaction])));
  if (!posted.ok) throw new Error(posted.refusal.detail);
  return posted.value[0] ?? "";
}

function chargeOf(marketplaceId: string, owner: string, members: Partial<NewTransaction> = {}): NewTransaction {
  const explanation: JsonObject = { unit: "tokens" };
  return {
    kind: "usage_charge",
    reference: `${marketplaceId}/${uniqueId("r_")}`,
    currency: "USD",
    explanation,
    entries: [
      { account: { kind: "marketplace", owner: marketplaceId }, amountMicros: 900n },
      { account: { kind: "pool", owner }, amountMicros: -900n },
    ],
    ...members,
  };
}

async function reverse(transactionId: string): Promise<void> {
  const path = `/api/v1/ledger/transactions/${transactionId}/reversal`;
  expectStatus(await platform.operator.post(path, { reason: "a test" }), 201);
}

describe("license_never_reported", () => {
  test("is open while a license stands without a receipt, and closes with the first", async () => {
    const { dataset, marketplace } = await offerOne();
    const { license_id } = await licenseFor(platform, marketplace, dataset);
    await reconcile();
    expect(await findingOf("license_never_reported", license_id)).toBeUndefined();
    platform.clock.advance(LATER);
    await reconcile();
    const opened = await findingOf("license_never_reported", license_id);
    expect(opened).toMatchObject({
      state: "open",
      times_opened: 1,
      detail: { license_id, marketplace_id: marketplace.marketplaceId, dataset_id: dataset.dataset_id },
    });
    await reconcile();
    expect(await findingOf("license_never_reported", license_id)).toMatchObject({
      finding_id: opened.finding_id,
      state: "open",
      times_opened: 1,
      opened_at: opened.opened_at,
    });
    expectStatus(await postReceipt(platform, marketplace, dataset), 201);
    await reconcile();
    expect(await findingOf("license_never_reported", license_id)).toMatchObject({
      state: "closed",
      closed_at: expect.any(String),
    });
    expect(await historyOf(opened.finding_id)).toEqual(["finding.opened", "finding.closed"]);
  });
});

describe("receipt_without_license", () => {
  test("is use after the license's end, and stays until a person resolves it", async () => {
    const { dataset, marketplace } = await offerOne();
    const { license_id } = await licenseFor(platform, marketplace, dataset);
    expectStatus(await platform.operator.post(`/api/v1/licenses/${license_id}/revoke`, { reason: "a test" }), 200);
    platform.clock.advance(1);
    const accepted = expectStatus(await postReceipt(platform, marketplace, dataset), 201).body;
    const subject = `${marketplace.marketplaceId}/${accepted.receipt_id}`;
    await reconcile();
    const opened = await findingOf("receipt_without_license", subject);
    expect(opened).toMatchObject({ state: "open", detail: { license_id, flags: "license_ended" } });
    const path = `/api/v1/findings/${opened.finding_id}/resolve`;
    expect(await platform.operator.post(path, { note: " " })).toMatchObject({ status: 422 });
    const resolved = expectStatus(await platform.operator.post(path, { note: "They will pay for it." }), 200).body;
    expect(resolved).toMatchObject({ state: "resolved", resolved_by: "operator", note: "They will pay for it." });
    expect((await platform.operator.post(path, { note: "They will pay for it." })).status).toBe(200);
    expect(await platform.operator.post(path, { note: "Something else." })).toMatchObject({ status: 409 });
    await reconcile();
    expect(await findingOf("receipt_without_license", subject)).toMatchObject({ state: "resolved" });
    expect(await historyOf(opened.finding_id)).toEqual(["finding.opened", "finding.resolved"]);
    expect(await platform.operator.post("/api/v1/findings/fnd_none/resolve", { note: "x" })).toMatchObject({
      status: 404,
    });
  });
});

test("receipt_without_license is found however many others a person has dealt with", async () => {
  const own = await startPlatform({ money });
  const { dataset, marketplace } = await offerOne(own);
  const { marketplaceId } = marketplace;
  const { license_id } = await licenseFor(own, marketplace, dataset);
  expectStatus(await own.operator.post(`/api/v1/licenses/${license_id}/revoke`, { reason: "a test" }), 200);
  own.clock.advance(1);
  const first = expectStatus(await postReceipt(own, marketplace, dataset), 201).body.receipt_id;
  // As many as a run takes in, before the next one in the order of subjects, each with its finding.
  const { db } = own.server.ctx;
  await sql`insert into usage_receipt (receipt_id, marketplace_id, dataset_id, dataset_version, nonce, sha256, model_id,
              model_fingerprint, unit, units, receipt, accepted_at, license_id, flags, charged_micros, currency, period_from, period_to)
    select 'a_' || number, marketplace_id, dataset_id, dataset_version, 'a_' || number, sha256, model_id, model_fingerprint,
           unit, 0, receipt, accepted_at, license_id, flags, 0, currency, period_from, period_to
      from usage_receipt, generate_series(1, ${MAX_CAUSES}) as number where receipt_id = ${first}`.execute(db);
  await sql`insert into finding (finding_id, kind, subject, state, detail, first_opened_at, opened_at, last_seen_at, seen_in, times_opened)
    select 'fnd_a' || number, 'receipt_without_license', ${marketplaceId} || '/a_' || number, 'resolved', '{}', 1, 1, 1, 'rec_1', 1
      from generate_series(1, ${MAX_CAUSES}) as number`.execute(db);
  const { outcome } = await reconcile(own);
  expect(outcome.receipt_without_license).toMatchObject({ opened: 1, closed: 0, is_complete: true });
  expect(outcome.receipt_without_license.found).toBeGreaterThan(MAX_CAUSES);
  const found = await db
    .selectFrom("finding")
    .select("state")
    .where("subject", "=", `${marketplaceId}/${first}`)
    .execute();
  expect(found).toEqual([{ state: "open" }]);
});

describe("fetches_without_receipt", () => {
  test("is open while somebody read items and has no license, closes with one, and opens anew when it is gone", async () => {
    const { dataset, marketplace } = await offerOne();
    const subject = `${dataset.dataset_id}/${marketplace.marketplaceId}`;
    const caller = await marketplace.call();
    const read = async (): Promise<void> => {
      expectStatus(await caller.get(`/datasets/${dataset.dataset_id}/versions/1/items`), 200);
      // Reading the log has it written first.
      expectStatus(await platform.operator.get(`/api/v1/interactions?dataset_id=${dataset.dataset_id}`), 200);
      platform.clock.advance(LATER);
    };
    await read();
    await reconcile();
    const opened = await findingOf("fetches_without_receipt", subject);
    expect(opened).toMatchObject({ state: "open", detail: { reads: 1, last_read_at: expect.stringContaining("T") } });
    const { license_id } = await licenseFor(platform, marketplace, dataset);
    await reconcile();
    expect(await findingOf("fetches_without_receipt", subject)).toMatchObject({ state: "closed" });
    expectStatus(await platform.operator.post(`/api/v1/licenses/${license_id}/revoke`, { reason: "a test" }), 200);
    platform.clock.advance(1);
    await read();
    await reconcile();
    expect(await findingOf("fetches_without_receipt", subject)).toMatchObject({
      finding_id: opened.finding_id,
      state: "open",
      times_opened: 2,
    });
    expect(await historyOf(opened.finding_id)).toEqual(["finding.opened", "finding.closed", "finding.opened"]);
    // What a finding knows is not forgotten with the log.
    await sql`delete from interaction where dataset_id = ${dataset.dataset_id}`.execute(platform.server.ctx.db);
    await reconcile();
    expect(await findingOf("fetches_without_receipt", subject)).toMatchObject({ state: "open", times_opened: 2 });
  });
});

describe("money_without_receipt", () => {
  test("is a charge whose receipt is missing, until it is reversed", async () => {
    const { dataset, marketplace } = await offerOne();
    const transactionId = await post(chargeOf(marketplace.marketplaceId, `${dataset.dataset_id}/1`));
    await reconcile();
    expect(await findingOf("money_without_receipt", `transaction/${transactionId}`)).toMatchObject({
      state: "open",
      detail: { reason: "receipt_missing", transaction_id: transactionId },
    });
    await reverse(transactionId);
    await reconcile();
    expect(await findingOf("money_without_receipt", `transaction/${transactionId}`)).toMatchObject({ state: "closed" });
  });

  test("is a receipt whose charge is missing, or another than it says", async () => {
    const { dataset, marketplace } = await offerOne();
    const { marketplaceId } = marketplace;
    const kept = expectStatus(await postReceipt(platform, marketplace, dataset), 201).body.receipt_id;
    // A receipt as a restore of half the tables would leave it.
    const receiptId = uniqueId("r_");
    await sql`insert into usage_receipt (receipt_id, marketplace_id, dataset_id, dataset_version, nonce, sha256, model_id,
                model_fingerprint, unit, units, receipt, accepted_at, license_id, charged_micros, currency, period_from, period_to)
      select ${receiptId}, marketplace_id, dataset_id, dataset_version, ${receiptId}, sha256, model_id, model_fingerprint,
             unit, units, receipt, accepted_at, license_id, 900, currency, period_from + 1, period_to + 1
        from usage_receipt where receipt_id = ${kept}`.execute(platform.server.ctx.db);
    const subject = `receipt/${marketplaceId}/${receiptId}`;
    await reconcile();
    expect(await findingOf("money_without_receipt", subject)).toMatchObject({
      state: "open",
      detail: { reason: "charge_missing", charged_micros: "900", ledger_micros: null },
    });
    expect(await findingOf("money_without_receipt", `receipt/${marketplaceId}/${kept}`)).toBeUndefined();
    const reference = `${marketplaceId}/${receiptId}`;
    await post(chargeOf(marketplaceId, `${dataset.dataset_id}/1`, { reference }));
    await reconcile();
    expect(await findingOf("money_without_receipt", subject)).toMatchObject({ state: "closed" });
  });
});

describe("rollup_differs", () => {
  test("names the sums that are wrong, and closes once they are counted anew", async () => {
    const { dataset, marketplace } = await offerOne();
    expectStatus(await postReceipt(platform, marketplace, dataset), 201);
    const isCurrent = async (): Promise<boolean> =>
      (await platform.operator.get("/api/v1/analytics/progress")).body.complete_to.is_current;
    await expect.poll(isCurrent, { timeout: 20_000 }).toBe(true);
    await reconcile();
    expect((await findingOf("rollup_differs", "receipts"))?.state ?? "closed").toBe("closed");
    await sql`update usage_rollup set units = units + 5 where dataset_id = ${dataset.dataset_id}`.execute(
      platform.server.ctx.db,
    );
    await reconcile();
    expect(await findingOf("rollup_differs", "receipts")).toMatchObject({
      state: "open",
      detail: { differing: 1, differences: [{ rollup: "1/1205", source: "1/1200" }] },
    });
    expectStatus(await platform.operator.post("/api/v1/analytics/rebuild"), 202);
    await expect.poll(isCurrent, { timeout: 20_000 }).toBe(true);
    await reconcile();
    expect(await findingOf("rollup_differs", "receipts")).toMatchObject({ state: "closed" });
  });
});

describe("a report", () => {
  test("says in words what is open and what to do about it, to those who may read it", async () => {
    const { dataset, marketplace } = await offerOne();
    const transactionId = await post(chargeOf(marketplace.marketplaceId, `${dataset.dataset_id}/1`));
    const report = await reconcile();
    expect(report.outcome.money_without_receipt).toMatchObject({ opened: 1, is_complete: true });
    const entry = report.open.find((kind: { kind: string }) => kind.kind === "money_without_receipt");
    expect(entry).toMatchObject({ count: 1, todo: expect.stringContaining("reverse the charge") });
    const headers = { accept: "text/markdown" };
    for (const path of [`/api/v1/reconciliations/${report.reconciliation_id}`, "/api/v1/findings?state=open"]) {
      const answer = expectStatus(await platform.operator.get(path, headers), 200);
      expect(answer.headers.get("content-type")).toBe("text/markdown; charset=utf-8");
      expect(answer.text).toContain(
        "## Money and receipts that do not fit together\n\nWhat to do: receipt_missing: reverse",
      );
      expect(answer.text).toContain(`- **transaction/${transactionId}** (fnd_`);
    }
    const metric = async (): Promise<string> => (await platform.operator.get("/metrics")).text;
    await expect
      .poll(metric, { timeout: 10_000 })
      .toMatch(/^licet_reconciliation_findings\{kind="money_without_receipt"\} 1$/m);
    expect(await metric()).toMatch(/^licet_reconciliation_last_done_timestamp_seconds [1-9]\d+$/m);
    expect(await (await marketplace.call()).get("/api/v1/findings")).toMatchObject({ status: 403 });
    expect(await platform.operator.get("/api/v1/reconciliations/rec_none")).toMatchObject({ status: 404 });
    await reverse(transactionId);
  });

  test("is of one run: asking again while one waits or is under way is answered with that one", async () => {
    const asked = await Promise.all(Array.from({ length: 4 }, () => platform.operator.post("/api/v1/reconciliations")));
    expect(asked.map((answer) => answer.status).toSorted()).toEqual([200, 200, 200, 202]);
    expect(new Set(asked.map((answer) => answer.body.reconciliation_id)).size).toBe(1);
    const { reconciliation_id } = await reconcile();
    const { body } = expectStatus(await platform.operator.get("/api/v1/reconciliations?limit=1"), 200);
    expect(body.reconciliations).toMatchObject([{ reconciliation_id }]);
  });
});

describe("pools_not_split", () => {
  test("is a month that nobody closed, a charge after the close, and a pool that owes; each closes with its cause", async () => {
    const { dataset, marketplace } = await offerOne();
    const owner = `${dataset.dataset_id}/1`;
    const subject = `${owner}/USD`;
    const monthOf = (seconds: number): string => new Date(seconds * 1_000).toISOString().slice(0, 7);
    const close = async (period: string): Promise<Answer> =>
      platform.operator.post(`/api/v1/ledger/periods/${period}/close`);
    const begun = now();
    const charged = await post(chargeOf(marketplace.marketplaceId, owner));
    await reconcile();
    expect(await findingOf("pools_not_split", subject)).toBeUndefined();
    platform.clock.advance(42 * 86_400);
    await reconcile();
    expect(await findingOf("pools_not_split", subject)).toMatchObject({
      state: "open",
      detail: { reason: "overdue", balance_micros: "900", unsplit_micros: "900" },
    });
    expectStatus(await close(monthOf(begun)), 200);
    await reconcile();
    expect(await findingOf("pools_not_split", subject)).toMatchObject({ state: "closed" });

    await post(chargeOf(marketplace.marketplaceId, owner, { valueAt: begun }));
    await reconcile();
    expect(await findingOf("pools_not_split", subject)).toMatchObject({
      state: "open",
      times_opened: 2,
      detail: { reason: "closed_month" },
    });
    const { until } = expectStatus(await close(monthOf(begun)), 200).body;
    const second = monthOf(Date.parse(until) / 1_000);
    platform.clock.advance(33 * 86_400);
    expectStatus(await close(second), 200);
    await reconcile();
    expect(await findingOf("pools_not_split", subject)).toMatchObject({ state: "closed" });

    await reverse(charged);
    await reconcile();
    expect(await findingOf("pools_not_split", subject)).toMatchObject({
      state: "open",
      times_opened: 3,
      detail: { reason: "negative", balance_micros: "-900" },
    });
    await post(chargeOf(marketplace.marketplaceId, owner));
    await reconcile();
    expect(await findingOf("pools_not_split", subject)).toMatchObject({ state: "closed" });
  });
});

test("pools_not_split is not said of a pool that was shared out early", async () => {
  const monthOf = (seconds: number): string => new Date(seconds * 1_000).toISOString().slice(0, 7);
  const own = await startPlatform({ money });
  const { dataset, marketplace } = await offerOne(own);
  const owner = `${dataset.dataset_id}/1`;
  const begun = Math.floor(own.clock.nowMs() / 1_000);
  const charge = chargeOf(marketplace.marketplaceId, owner);
  await writeFact(own.server.ctx, async (fact) => accept(postTransactions(fact, [charge])));
  own.clock.advance(32 * 86_400);
  // Counts for the new month, and shares out what came in the month before.
  expectStatus(await own.operator.post(`/api/v1/ledger/pools/${owner}/split`), 201);
  expectStatus(await own.operator.post(`/api/v1/ledger/periods/${monthOf(begun)}/close`), 200);
  await reconcile(own);
  const { findings } = expectStatus(await own.operator.get("/api/v1/findings?kind=pools_not_split"), 200).body;
  expect(findings).toEqual([]);
});

test("a run comes by itself when it is due", async () => {
  const scheduled = await startPlatform({ money: { ...money, reconcileSeconds: 3_600 } });
  const runs = async (): Promise<unknown> =>
    (await scheduled.operator.get("/api/v1/reconciliations")).body.reconciliations;
  const done = { state: "done", requested_by: "timer" };
  await expect.poll(runs, { timeout: 20_000 }).toMatchObject([done]);
  scheduled.clock.advance(3_601);
  await expect.poll(runs, { timeout: 20_000 }).toMatchObject([done, done]);
});
