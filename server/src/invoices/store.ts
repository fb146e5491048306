import { type Selectable, sql } from "kysely";
import { ADVISORY_LOCKS } from "../db/advisory-locks.ts";
import type { Db, Trx } from "../db/open-database.ts";
import type { TransactionKind } from "../db/ledger-tables.ts";
import type { Tables } from "../db/tables.ts";

export type InvoiceRow = Selectable<Tables["invoice"]>;
export type InvoiceLineRow = Selectable<Tables["invoice_line"]>;

export async function lockInvoices(trx: Trx): Promise<void> {
  await sql`select pg_advisory_xact_lock(${ADVISORY_LOCKS.invoices}::bigint)`.execute(trx);
}

/** Who is invoiced for a month, in which currency. */
export interface Invoiced {
  readonly marketplace_id: string;
  readonly currency: string;
}

export interface Span {
  readonly from: number;
  readonly until: number;
}

/** Payments, and what takes them back, are not invoiced: they settle. */
const IS_PAYMENT = sql`coalesce(original.kind, transaction.kind) = 'payment'`;

/** Marketplaces on whose accounts anything counted in a month: for some it is nothing but payments. */
export async function readInvoiced(db: Db, { from }: Pick<Span, "from">): Promise<readonly Invoiced[]> {
  const { rows } = await sql<Invoiced>`
    select account.owner as marketplace_id, account.currency
      from account_month month join ledger_account account using (account_id)
     where account.kind = 'marketplace' and month.month_at = ${from}
     order by marketplace_id, account.currency`.execute(db);
  return rows;
}

/** A line before it has its place. */
export interface DerivedLine {
  readonly kind: TransactionKind;
  readonly is_reversal: boolean;
  readonly pool: string | null;
  /** Of what went to no pool, as a compensation does. */
  readonly dataset_id: string | null;
  readonly license_id: string | null;
  readonly price: string | null;
  readonly unit: string | null;
  readonly units: string | null;
  readonly entries: number;
  readonly amount: string;
}

/** Has this transaction take its time: a large month's lines are added up from all of its entries. */
export async function takeTime(trx: Trx): Promise<void> {
  await sql`set local statement_timeout = ${sql.lit(MAX_DERIVING_MS)}`.execute(trx);
}

const MAX_DERIVING_MS = 3_600_000;

/** What a marketplace was charged in a month, by dataset version, license and price. */
export async function deriveLines(
  trx: Trx,
  { marketplace_id, currency }: Invoiced,
  { from, until }: Span,
): Promise<readonly DerivedLine[]> {
  const { rows } = await sql<DerivedLine>`
    with charged as (
      select coalesce(original.kind, transaction.kind) as kind, transaction.reverses is not null as is_reversal,
             (select pool.owner from ledger_entry other join ledger_account pool using (account_id)
               where other.transaction_id = transaction.transaction_id and pool.kind = 'pool' limit 1) as pool,
             coalesce(original.explanation, transaction.explanation)::json ->> 'dataset_id' as dataset_id,
             coalesce(original.explanation, transaction.explanation)::json as told, entry.amount
        from ledger_account account
        join ledger_entry entry using (account_id)
        join ledger_transaction transaction using (transaction_id)
        left join ledger_transaction original on original.transaction_id = transaction.reverses
       where account.kind = 'marketplace' and account.owner = ${marketplace_id} and account.currency = ${currency}
         and transaction.value_at >= ${from} and transaction.value_at < ${until} and not ${IS_PAYMENT}
    ), named as (
      select kind, is_reversal, pool, case when pool is null then dataset_id end as dataset_id, told ->> 'license_id' as license_id, told ->> 'price' as price,
             told ->> 'unit' as unit, (told ->> 'units')::numeric as units, amount
        from charged
    )
    select kind, is_reversal, pool, dataset_id, license_id, price, unit,
           case when bool_and(units is not null)
                then (case when is_reversal then -sum(units) else sum(units) end)::text end as units,
           count(*)::int as entries, sum(amount)::text as amount
      from named
     group by kind, is_reversal, pool, dataset_id, license_id, price, unit
     order by pool collate "C" nulls last, dataset_id collate "C" nulls last, license_id collate "C" nulls last, kind, is_reversal, price, unit`.execute(
    trx,
  );
  return rows;
}

export async function findInvoiceOf(
  db: Db | Trx,
  { marketplace_id, currency, period }: Invoiced & { readonly period: string },
): Promise<InvoiceRow | undefined> {
  return db
    .selectFrom("invoice")
    .selectAll()
    .where("marketplace_id", "=", marketplace_id)
    .where("currency", "=", currency)
    .where("period", "=", period)
    .executeTakeFirst();
}

/** Invoices whose numbers are counted in this series. */
export async function countInvoices(trx: Trx, series: string): Promise<number> {
  const { count } = await trx
    .selectFrom("invoice")
    .select((query) => query.fn.countAll<number>().as("count"))
    .where(sql<boolean>`number ~ ${`^${series}[0-9]+$`}`)
    .executeTakeFirstOrThrow();
  return count;
}

/** Rows in one statement, far below the protocol's limit of parameters. */
const INSERT_BATCH = 500;

export async function insertInvoice(trx: Trx, row: InvoiceRow, lines: readonly InvoiceLineRow[]): Promise<void> {
  await trx.insertInto("invoice").values(row).execute();
  for (let at = 0; at < lines.length; at += INSERT_BATCH)
    await trx
      .insertInto("invoice_line")
      .values(lines.slice(at, at + INSERT_BATCH))
      .execute();
}

export async function readLines(db: Db, invoiceId: string): Promise<readonly InvoiceLineRow[]> {
  return db.selectFrom("invoice_line").selectAll().where("invoice_id", "=", invoiceId).orderBy("position").execute();
}

/** An invoice with how much of it is settled: money settles the oldest first, and so do credits. */
export interface OpenInvoice extends InvoiceRow {
  readonly paid: string;
}

export interface InvoiceFilter {
  readonly marketplaceId: string | undefined;
  readonly invoiceId?: string | undefined;
  readonly currency?: string | undefined;
  /** The number of the last invoice seen. */
  readonly after: string | undefined;
  readonly limit: number;
}

export async function readInvoices(db: Db, filter: InvoiceFilter): Promise<readonly OpenInvoice[]> {
  const { marketplaceId, invoiceId, currency, after, limit } = filter;
  const { rows } = await sql<OpenInvoice>`
    with moved as (
      select transaction_id from ledger_transaction where kind = 'payment'
      union
      select reversal.transaction_id from ledger_transaction payment
        join ledger_transaction reversal on reversal.reverses = payment.transaction_id
       where payment.kind = 'payment'
    ), funds as (
      select account.owner as marketplace_id, account.currency, -sum(entry.amount) as paid
        from moved join ledger_entry entry using (transaction_id)
        join ledger_account account using (account_id)
       where account.kind = 'marketplace' and (${marketplaceId ?? null}::text is null or account.owner = ${marketplaceId ?? null}::text)
       group by account.owner, account.currency
    ), queued as (
      select invoice.*,
             coalesce(funds.paid, 0)
               - coalesce(sum(least(invoice.total, 0)) over own, 0)
               - coalesce(sum(greatest(invoice.total, 0)) over earlier, 0) as left_for_it
        from invoice left join funds using (marketplace_id, currency)
       where ${marketplaceId ?? null}::text is null or invoice.marketplace_id = ${marketplaceId ?? null}::text
      window own as (partition by invoice.marketplace_id, invoice.currency),
             earlier as (partition by invoice.marketplace_id, invoice.currency order by invoice.number
                         rows between unbounded preceding and 1 preceding)
    )
    select invoice_id, number, marketplace_id, currency, period, total::text as total, issued_at, due_at,
           greatest(0, least(total, left_for_it))::text as paid
      from queued
     where (${invoiceId ?? null}::text is null or invoice_id = ${invoiceId ?? null}::text)
       and (${currency ?? null}::text is null or currency = ${currency ?? null}::text)
       and (${after ?? null}::text is null or number > ${after ?? null}::text)
     order by number limit ${limit}`.execute(db);
  return rows;
}

export async function findInvoiceOwner(db: Db, invoiceId: string): Promise<string | undefined> {
  const row = await db
    .selectFrom("invoice")
    .select("marketplace_id")
    .where("invoice_id", "=", invoiceId)
    .executeTakeFirst();
  return row?.marketplace_id;
}
