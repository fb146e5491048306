import { type JsonObject, accept } from "@licet/protocol";
import { ulid } from "ulid";
import type { Context } from "../context.ts";
import { findFirstNumber } from "../db/first-number.ts";
import type { Trx } from "../db/open-database.ts";
import { findEvent } from "../events/store.ts";
import { writeFact } from "../events/write-fact.ts";
import { type PeriodBounds, boundsOf, versionOfPool } from "../ledger/lookup.ts";
import {
  type DerivedLine,
  type InvoiceLineRow,
  type InvoiceRow,
  type Invoiced,
  countInvoices,
  deriveLines,
  findInvoiceOf,
  insertInvoice,
  lockInvoices,
  readInvoiced,
  takeTime,
} from "./store.ts";

/** Invoices every marketplace for the month that was closed. Done again after a crash, it adds what is missing. */
export async function issueInvoices(ctx: Context, eventId: string): Promise<void> {
  const event = await findEvent(ctx.db, eventId);
  const period = event?.body["period"];
  const bounds = boundsOf(typeof period === "string" ? period : "");
  if (!bounds.ok) return;
  for (const invoiced of await readInvoiced(ctx.db, bounds.value)) await issueInvoice(ctx, invoiced, bounds.value);
}

const NUMBER_DIGITS = 4;

async function issueInvoice(ctx: Context, invoiced: Invoiced, bounds: PeriodBounds): Promise<void> {
  const { period } = bounds;
  await writeFact(ctx, async (fact) => {
    await lockInvoices(fact.trx);
    if ((await findInvoiceOf(fact.trx, { ...invoiced, period })) !== undefined) return accept(undefined);
    await takeTime(fact.trx);
    const derived = await deriveLines(fact.trx, invoiced, bounds);
    if (derived.length === 0) return accept(undefined);
    const number = await nextNumber(fact.trx, period);
    const row: InvoiceRow = {
      invoice_id: `inv_${ulid(fact.now * 1_000)}`,
      number,
      ...invoiced,
      period,
      total: String(derived.reduce((sum, { amount }) => sum + BigInt(amount), 0n)),
      issued_at: fact.now,
      due_at: fact.now + ctx.config.payments.invoiceDueSeconds,
    };
    await insertInvoice(
      fact.trx,
      row,
      derived.map((line, index) => lineOf(row.invoice_id, index + 1, line)),
    );
    fact.record({ type: "invoice.issued", aggregate: row.invoice_id, body: bodyOf(row) });
    return accept(undefined);
  });
}

/**
 * Counted within the month, without a gap. After a restore it is a series of its own, because what
 * is lost may have been issued under the numbers that come next.
 */
async function nextNumber(trx: Trx, period: string): Promise<string> {
  const restored = await findFirstNumber(trx);
  const series = restored === undefined ? `${period}-` : `${period}-R${restored}-`;
  const count = await countInvoices(trx, series);
  return series + String(count + 1).padStart(NUMBER_DIGITS, "0");
}

function lineOf(invoice_id: string, position: number, { pool, dataset_id, ...line }: DerivedLine): InvoiceLineRow {
  const version = pool === null ? undefined : versionOfPool(pool);
  return {
    invoice_id,
    position,
    dataset_id: version?.dataset_id ?? dataset_id,
    dataset_version: version?.version ?? null,
    ...line,
  };
}

function bodyOf({ invoice_id, number, marketplace_id, currency, period, total, due_at }: InvoiceRow): JsonObject {
  return { invoice_id, number, marketplace_id, currency, period, total_micros: total, due_at };
}
