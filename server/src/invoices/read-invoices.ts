import { type Result, accept, formatInstant, formatMoney, refuse } from "@licet/protocol";
import { type Context, nowSeconds } from "../context.ts";
import { type CsvCell, csvOf } from "../http/csv.ts";
import { type Page, cutPage } from "../http/parameters.ts";
import { type Principal, isPlatform } from "../http/principal.ts";
import { readAccounts } from "../ledger/lookup.ts";
import { findMarketplace } from "../marketplaces/lookup.ts";
import { type InvoiceLineRow, type OpenInvoice, findInvoiceOwner, readInvoices, readLines } from "./store.ts";

export interface InvoiceView {
  readonly invoice_id: string;
  readonly number: string;
  readonly marketplace_id: string;
  readonly currency: string;
  readonly period: string;
  readonly total_micros: string;
  readonly paid_micros: string;
  readonly state: "paid" | "open" | "overdue";
  readonly issued_at: string;
  readonly due_at: string;
}

function viewOf(row: OpenInvoice, now: number): InvoiceView {
  const isPaid = BigInt(row.paid) >= BigInt(row.total);
  return {
    invoice_id: row.invoice_id,
    number: row.number,
    marketplace_id: row.marketplace_id,
    currency: row.currency,
    period: row.period,
    total_micros: row.total,
    paid_micros: row.paid,
    state: isPaid ? "paid" : row.due_at < now ? "overdue" : "open",
    issued_at: formatInstant(row.issued_at),
    due_at: formatInstant(row.due_at),
  };
}

/** Invoices that the caller may see, oldest first. Refuses `not_yours`. */
export async function listInvoices(
  ctx: Context,
  principal: Principal,
  { marketplaceId, after, limit }: Page & { readonly marketplaceId: string | undefined },
): Promise<Result<{ readonly invoices: readonly InvoiceView[]; readonly next: string | null }>> {
  const own = principal.kind === "marketplace" ? principal.marketplaceId : marketplaceId;
  if (marketplaceId !== undefined && own !== marketplaceId)
    return refuse("not_yours", "expected marketplace_id to be your own");
  const found = await readInvoices(ctx.db, { marketplaceId: own, after, limit: limit + 1 });
  const { rows, next } = cutPage(found, limit, (row) => row.number);
  return accept({ invoices: rows.map((row) => viewOf(row, nowSeconds(ctx))), next });
}

function lineView(line: InvoiceLineRow) {
  return {
    position: line.position,
    kind: line.kind,
    is_reversal: line.is_reversal,
    dataset_id: line.dataset_id,
    dataset_version: line.dataset_version,
    license_id: line.license_id,
    price: line.price,
    unit: line.unit,
    units: line.units,
    entries: line.entries,
    amount_micros: line.amount,
  };
}

export type InvoiceWithLines = InvoiceView & { readonly lines: readonly ReturnType<typeof lineView>[] };

/** One invoice with its lines. Refuses `not_found` and `not_yours`. */
export async function readInvoice(
  ctx: Context,
  principal: Principal,
  invoiceId: string,
): Promise<Result<InvoiceWithLines>> {
  const marketplaceId = await findInvoiceOwner(ctx.db, invoiceId);
  if (marketplaceId === undefined) return refuse("not_found", `there is no invoice ${invoiceId}`);
  if (!mayRead(principal, marketplaceId)) return refuse("not_yours", `the invoice ${invoiceId} is somebody else's`);
  const [row] = await readInvoices(ctx.db, { marketplaceId, invoiceId, after: undefined, limit: 1 });
  if (row === undefined) throw new TypeError(`invoice ${invoiceId}: expected it to be there still`);
  const lines = await readLines(ctx.db, invoiceId);
  return accept({ ...viewOf(row, nowSeconds(ctx)), lines: lines.map(lineView) });
}

function mayRead(principal: Principal, marketplaceId: string): boolean {
  return isPlatform(principal) || (principal.kind === "marketplace" && principal.marketplaceId === marketplaceId);
}

const HEAD = [
  "number",
  "period",
  "position",
  "kind",
  "dataset_id",
  "version",
  "license_id",
  "price",
  "unit",
  "units",
  "entries",
  "amount",
  "currency",
] as const;

/** An invoice as lines, the last of which is the total. */
export function invoiceCsv({ number, period, currency, lines, total_micros }: InvoiceWithLines): string {
  const rows = lines.map((line): readonly CsvCell[] => [
    number,
    period,
    { number: String(line.position) },
    line.is_reversal ? `${line.kind} reversed` : line.kind,
    line.dataset_id ?? "",
    { number: String(line.dataset_version ?? "") },
    line.license_id ?? "",
    line.price ?? "",
    line.unit ?? "",
    { number: line.units ?? "" },
    { number: String(line.entries) },
    amountOf(line.amount_micros),
    currency,
  ]);
  const total = [number, period, "", "total", "", "", "", "", "", "", "", amountOf(total_micros), currency];
  return csvOf(HEAD, [...rows, total]);
}

function amountOf(micros: string): CsvCell {
  return { number: formatMoney(BigInt(micros), "").trimEnd() };
}

export interface OwedView {
  readonly currency: string;
  /** All that is owed, invoiced or not; below zero is a credit. */
  readonly owed_micros: string;
  readonly not_invoiced_micros: string;
  readonly unpaid_micros: string;
  readonly overdue_micros: string;
  readonly oldest_due_at: string | null;
}

/** Invoices and currencies of one marketplace that are looked at. */
const MAX_INVOICES = 10_000;
const MAX_CURRENCIES = 200;

/** What a marketplace owes, by currency. Refuses `not_found` and `not_yours`. */
export async function readOwed(
  ctx: Context,
  principal: Principal,
  marketplaceId: string,
): Promise<Result<readonly OwedView[]>> {
  if (!mayRead(principal, marketplaceId)) return refuse("not_yours", "expected a client of this marketplace");
  if ((await findMarketplace(ctx.db, marketplaceId)) === undefined)
    return refuse("not_found", `there is no marketplace ${marketplaceId}`);
  const owner = { kind: "marketplace", owner: marketplaceId, after: undefined, limit: MAX_CURRENCIES } as const;
  const accounts = await readAccounts(ctx.db, owner);
  const views: OwedView[] = [];
  for (const { currency, balanceMicros } of accounts.toSorted((left, right) =>
    left.currency < right.currency ? -1 : 1,
  ))
    views.push(await owedIn(ctx, { marketplaceId, currency, balanceMicros }));
  return accept(views);
}

async function owedIn(
  ctx: Context,
  { marketplaceId, currency, balanceMicros }: { marketplaceId: string; currency: string; balanceMicros: bigint },
): Promise<OwedView> {
  const invoices = await readInvoices(ctx.db, { marketplaceId, currency, after: undefined, limit: MAX_INVOICES });
  const now = nowSeconds(ctx);
  const unpaid = invoices
    .map((row) => ({ due_at: row.due_at, leftMicros: BigInt(row.total) - BigInt(row.paid) }))
    .filter(({ leftMicros }) => leftMicros > 0n);
  const sumOf = (rows: typeof unpaid) => rows.reduce((sum, row) => sum + row.leftMicros, 0n);
  const unpaidMicros = sumOf(unpaid);
  const oldest = unpaid[0];
  return {
    currency,
    owed_micros: String(balanceMicros),
    not_invoiced_micros: String(balanceMicros - unpaidMicros),
    unpaid_micros: String(unpaidMicros),
    overdue_micros: String(sumOf(unpaid.filter(({ due_at }) => due_at < now))),
    oldest_due_at: oldest === undefined ? null : formatInstant(oldest.due_at),
  };
}
