import { describe, expect, test } from "vitest";
import { expectStatus, registerMarketplace, uniqueId } from "../../../test/fixtures/actors.ts";
import { post } from "../../../test/fixtures/payouts.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { closeDuePeriods } from "../ledger/close-period.ts";
import { recordPayment } from "../ledger/record-payment.ts";
import { reverseTransaction } from "../ledger/reverse-transaction.ts";
import { issueInvoices } from "./issue-invoices.ts";

const DAY = 86_400;
const platform = await startPlatform();
const { operator, server, clock } = platform;

const marketplace = await registerMarketplace(platform);
const other = await registerMarketplace(platform);
// Clients' tokens live five minutes, and the clock moves on by months.
const [own, foreign] = [await marketplace.call(), await other.call()];

interface Charged {
  readonly license: string;
  readonly units: number;
  readonly price?: string;
  readonly marketplaceId?: string;
}

/** A charge as receipts write it, of a flat thousandth of a cent for each unit. The pool's dataset is never split, because it is nobody's. */
async function charge({ license, units, price = "per-token:0.00001", marketplaceId }: Charged): Promise<void> {
  const amountMicros = BigInt(units) * 10n;
  await post(server, [
    {
      kind: "usage_charge",
      reference: uniqueId("r_"),
      currency: "EUR",
      explanation: { license_id: license, unit: "tokens", units, price },
      entries: [
        { account: { kind: "marketplace", owner: marketplaceId ?? marketplace.marketplaceId }, amountMicros },
        { account: { kind: "platform_fee", owner: "" }, amountMicros: -amountMicros },
      ],
    },
  ]);
}

function nextMonth(): string {
  const now = new Date(clock.nowMs());
  clock.advance(Math.ceil((Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 5) - clock.nowMs()) / 1_000));
  return now.toISOString().slice(0, 7);
}

/** Closes the months that are over and waits for the invoices of the last one. */
async function closeMonth(): Promise<string> {
  const period = nextMonth();
  await closeDuePeriods(server.ctx);
  await expect
    .poll(async () => (await list()).filter((row) => row.period === period).length, { timeout: 30_000, interval: 100 })
    .toBeGreaterThan(0);
  return period;
}

interface Listed {
  readonly invoice_id: string;
  readonly number: string;
  readonly period: string;
  readonly state: string;
  readonly total_micros: string;
  readonly paid_micros: string;
}

async function list(): Promise<readonly Listed[]> {
  const path = `/api/v1/invoices?marketplace_id=${marketplace.marketplaceId}`;
  return expectStatus(await operator.get(path), 200).body.invoices;
}

async function pay(amountMicros: bigint): Promise<string> {
  const { marketplaceId } = marketplace;
  const reference = uniqueId("bank-");
  const paid = await recordPayment(server.ctx, {
    marketplaceId,
    amountMicros,
    currency: "EUR",
    reference,
    by: "operator",
  });
  if (!paid.ok) throw new Error(paid.refusal.detail);
  return paid.value.transactionId;
}

const owed = async () =>
  expectStatus(await operator.get(`/api/v1/marketplaces/${marketplace.marketplaceId}/balance`), 200).body.balances[0];

describe("an invoice", () => {
  test("is its marketplace's alone", async () => {
    expectStatus(await own.get("/api/v1/invoices"), 200);
    expect((await foreign.get(`/api/v1/invoices?marketplace_id=${marketplace.marketplaceId}`)).body.code).toBe(
      "not_yours",
    );
    expect((await foreign.get(`/api/v1/marketplaces/${marketplace.marketplaceId}/balance`)).body.code).toBe(
      "not_yours",
    );
    expect((await operator.get("/api/v1/invoices/inv_none")).status).toBe(404);
  });

  test("is issued when its month is closed, once, with lines that add up; money settles the oldest first", async () => {
    await charge({ license: "lic_a", units: 1_000_000 });
    await charge({ license: "lic_a", units: 500_000 });
    await charge({ license: "lic_b", units: 2_000_000 });
    await charge({ license: "lic_z", units: 7, marketplaceId: other.marketplaceId });
    const march = await closeMonth();
    const [first] = await list();
    expect(first).toMatchObject({ period: march, total_micros: "35000000", paid_micros: "0", state: "open" });
    const { body } = expectStatus(await operator.get(`/api/v1/invoices/${first?.invoice_id}`), 200);
    expect(body.lines).toMatchObject([
      { position: 1, license_id: "lic_a", unit: "tokens", units: "1500000", entries: 2, amount_micros: "15000000" },
      { position: 2, license_id: "lic_b", price: "per-token:0.00001", entries: 1, amount_micros: "20000000" },
    ]);

    const { id } = await server.ctx.db
      .selectFrom("event")
      .select("id")
      .where("type", "=", "period.closed")
      .executeTakeFirstOrThrow();
    await Promise.all([1, 2, 3].map(() => issueInvoices(server.ctx, id)));
    expect(await list()).toHaveLength(1);
    const { body: all } = expectStatus(await operator.get("/api/v1/invoices"), 200);
    expect(all.invoices.map((row: Listed) => row.number)).toEqual([`${march}-0001`, `${march}-0002`]);

    await charge({ license: "lic_a", units: 3_000_000 });
    await closeMonth();
    await pay(40_000_000n);
    expect((await list()).map(({ paid_micros, state }) => [paid_micros, state])).toEqual([
      ["35000000", "paid"],
      ["5000000", "open"],
    ]);
    expect(await owed()).toMatchObject({ owed_micros: "25000000", unpaid_micros: "25000000", overdue_micros: "0" });
    clock.advance(31 * DAY);
    expect(await owed()).toMatchObject({ overdue_micros: "25000000" });
    expect((await list()).map(({ state }) => state)).toEqual(["paid", "overdue"]);
  });

  test("of a later month takes back what was reversed, and a payment that is taken back is owed again", async () => {
    const payment = await pay(25_000_000n);
    expect((await list()).map(({ state }) => state)).toEqual(["paid", "paid"]);
    expect((await reverseTransaction(server.ctx, payment, { reason: "bounced", by: "operator" })).ok).toBe(true);
    expect((await list()).map(({ state }) => state)).toEqual(["paid", "overdue"]);
    const { transaction_id } = await server.ctx.db
      .selectFrom("ledger_transaction")
      .select("transaction_id")
      .where("kind", "=", "usage_charge")
      .orderBy("sequence")
      .executeTakeFirstOrThrow();
    expect((await reverseTransaction(server.ctx, transaction_id, { reason: "counted twice", by: "operator" })).ok).toBe(
      true,
    );
    expect(await owed()).toMatchObject({ owed_micros: "15000000", not_invoiced_micros: "-10000000" });
    const before = await list();
    await closeMonth();
    const [, , third] = await list();
    expect(third).toMatchObject({ total_micros: "-10000000", state: "paid" });
    expect((await list()).slice(0, 2).map(({ total_micros, number }) => [total_micros, number])).toEqual(
      before.map(({ total_micros, number }) => [total_micros, number]),
    );
    expect(await owed()).toMatchObject({
      owed_micros: "15000000",
      unpaid_micros: "15000000",
      not_invoiced_micros: "0",
    });
    const csv = expectStatus(await operator.get(`/api/v1/invoices/${third?.invoice_id}.csv`), 200);
    const [, line, total] = csv.text.split("\r\n");
    expect(line).toContain("usage_charge reversed,,,lic_a,per-token:0.00001,tokens,-1000000,1,-10.00,EUR");
    expect(total).toContain("total,,,,,,,,-10.00,EUR");
  });

  test("of a compensation, which goes to no pool, names its dataset", async () => {
    const amountMicros = 3_000_000n;
    const { marketplaceId } = await registerMarketplace(platform);
    await post(server, [
      {
        kind: "compensation",
        reference: uniqueId("case_"),
        currency: "EUR",
        explanation: { case_id: "case_1", dataset_id: "ds_compensated" },
        entries: [
          { account: { kind: "marketplace", owner: marketplaceId }, amountMicros },
          { account: { kind: "creator", owner: "user:compensated" }, amountMicros: -amountMicros },
        ],
      },
    ]);
    nextMonth();
    await closeDuePeriods(server.ctx);
    const path = `/api/v1/invoices?marketplace_id=${marketplaceId}`;
    const issued = async () => expectStatus(await operator.get(path), 200).body.invoices;
    await expect.poll(issued, { timeout: 30_000, interval: 100 }).toHaveLength(1);
    const [{ invoice_id }] = await issued();
    const { lines } = expectStatus(await operator.get(`/api/v1/invoices/${invoice_id}`), 200).body;
    expect(lines).toMatchObject([{ kind: "compensation", dataset_id: "ds_compensated", amount_micros: "3000000" }]);
  });
});
