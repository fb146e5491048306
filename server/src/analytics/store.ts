import { type Selectable, sql } from "kysely";
import type { Db, Trx } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";

/** How far the rollups are counted. */
export type ProgressRow = Selectable<Tables["rollup_progress"]>;

const START = { id: 1, receipt_sequence: 0, ledger_sequence: 0, counted_at: 0, rebuilt_at: null } as const;

export async function readProgress(db: Db | Trx): Promise<ProgressRow> {
  return (await db.selectFrom("rollup_progress").selectAll().executeTakeFirst()) ?? START;
}

/** The one row, held until the commit; undefined while somebody else counts and `wait` is false. */
export async function holdProgress(trx: Trx, { wait }: { readonly wait: boolean }): Promise<ProgressRow | undefined> {
  await trx
    .insertInto("rollup_progress")
    .values(START)
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  return trx
    .selectFrom("rollup_progress")
    .selectAll()
    .forUpdate()
    .$if(!wait, (query) => query.skipLocked())
    .executeTakeFirst();
}

export async function saveProgress(trx: Trx, row: ProgressRow): Promise<void> {
  await trx.updateTable("rollup_progress").set(row).where("id", "=", row.id).execute();
}

/** The newest receipt and the newest transaction of the ledger, and since when those wait that are not counted. */
export interface Newest {
  readonly receipt_sequence: number;
  readonly ledger_sequence: number;
  /** Seconds since the epoch; null when everything is counted. */
  readonly waiting_since: number | null;
}

export async function readNewest(db: Db | Trx, progress: ProgressRow): Promise<Newest> {
  const { rows } = await sql<{ receipts: number | null; ledger: number | null; waiting_since: number | null }>`
    select (select max(sequence) from usage_receipt)::float8 as receipts,
           (select max(sequence) from ledger_transaction)::float8 as ledger,
           least((select accepted_at from usage_receipt where sequence > ${progress.receipt_sequence}
                   order by sequence limit 1),
                 (select recorded_at from ledger_transaction where sequence > ${progress.ledger_sequence}
                   order by sequence limit 1))::float8 as waiting_since`.execute(db);
  const [row] = rows;
  return {
    receipt_sequence: row?.receipts ?? 0,
    ledger_sequence: row?.ledger ?? 0,
    waiting_since: row?.waiting_since ?? null,
  };
}

/** Where a batch of receipts after a sequence ends; undefined when there are none. */
export async function findReceiptsEnd(trx: Trx, after: number, limit: number): Promise<number | undefined> {
  const { rows } = await sql<{ end: number | null }>`
    select max(sequence)::float8 as end
      from (select sequence from usage_receipt where sequence > ${after} order by sequence limit ${limit}) batch`.execute(
    trx,
  );
  return rows[0]?.end ?? undefined;
}

/** Where a batch of transactions after a sequence ends: one at least, and more as long as their entries are not too many. */
export async function findLedgerEnd(
  trx: Trx,
  after: number,
  { transactions, entries }: { readonly transactions: number; readonly entries: number },
): Promise<number | undefined> {
  const { rows } = await sql<{ end: number | null }>`
    select max(sequence)::float8 as end
      from (select sequence, sum(entries) over (order by sequence) as total, row_number() over (order by sequence) as place
              from (select sequence, (select count(*) from ledger_entry entry
                                       where entry.transaction_id = transaction.transaction_id) as entries
                      from ledger_transaction transaction
                     where sequence > ${after} order by sequence limit ${transactions}) counted) batch
     where total <= ${entries} or place = 1`.execute(trx);
  return rows[0]?.end ?? undefined;
}

/** Sequences above `after`, up to and with `end`. */
export interface Range {
  readonly after: number;
  readonly end: number;
}

/** Adds receipts up: how many, and their units. What they cost comes from the ledger. */
export async function addReceipts(trx: Trx, { after, end }: Range): Promise<void> {
  await sql`
    insert into usage_rollup (day, dataset_id, dataset_version, model_fingerprint, model_id, marketplace_id, unit,
                              currency, receipts, units, charged_micros)
    select (to_timestamp(accepted_at) at time zone 'UTC')::date, dataset_id, dataset_version, model_fingerprint,
           model_id, marketplace_id, unit, coalesce(currency, ''), count(*), sum(units), 0
      from usage_receipt
     where sequence > ${after} and sequence <= ${end}
     group by 1, 2, 3, 4, 5, 6, 7, 8
    on conflict (day, dataset_id, dataset_version, model_fingerprint, model_id, marketplace_id, unit, currency)
    do update set receipts = usage_rollup.receipts + excluded.receipts, units = usage_rollup.units + excluded.units`.execute(
    trx,
  );
}

/**
 * Adds up what marketplaces were charged: everything on their accounts but payments, and whatever takes
 * it back. A reversal counts on its own day, for what it reverses.
 */
export async function addCharges(trx: Trx, { after, end }: Range): Promise<void> {
  await sql`
    insert into usage_rollup (day, dataset_id, dataset_version, model_fingerprint, model_id, marketplace_id, unit,
                              currency, receipts, units, charged_micros)
    select charge.day, charge.dataset_id, charge.version, coalesce(license.model_fingerprint, charge.model_fingerprint),
           coalesce(license.model_id, charge.model_id), charge.marketplace_id, charge.unit, charge.currency, 0, 0,
           sum(charge.amount)
      from (select (to_timestamp(transaction.value_at) at time zone 'UTC')::date as day,
                   coalesce(split_part(pool.owner, '/', 1), told.of ->> 'dataset_id', '') as dataset_id,
                   coalesce(split_part(pool.owner, '/', 2)::int, (told.of ->> 'dataset_version')::int, 0) as version,
                   coalesce(told.of ->> 'model_fingerprint', '') as model_fingerprint,
                   coalesce(told.of ->> 'model_id', '') as model_id,
                   account.owner as marketplace_id, entry.currency, entry.amount, told.of ->> 'license_id' as license_id,
                   case coalesce(origin.kind, transaction.kind)
                     when 'usage_charge' then coalesce(told.of ->> 'unit', '')
                     when 'license_fee' then 'flat' else 'compensation' end as unit
              from ledger_transaction transaction
              left join ledger_transaction origin on origin.transaction_id = transaction.reverses
              cross join lateral (select coalesce(origin.explanation, transaction.explanation)::json as of) told
              join ledger_entry entry on entry.transaction_id = transaction.transaction_id
              join ledger_account account on account.account_id = entry.account_id and account.kind = 'marketplace'
              left join lateral (${poolOfTransaction()}) pool on true
             where transaction.sequence > ${after} and transaction.sequence <= ${end}
               and coalesce(origin.kind, transaction.kind) in ('usage_charge', 'license_fee', 'compensation')) charge
      left join license using (license_id)
     group by 1, 2, 3, 4, 5, 6, 7, 8
    on conflict (day, dataset_id, dataset_version, model_fingerprint, model_id, marketplace_id, unit, currency)
    do update set charged_micros = usage_rollup.charged_micros + excluded.charged_micros`.execute(trx);
}

/** Adds up what creators got, and what was taken back from them. */
export async function addEarnings(trx: Trx, { after, end }: Range): Promise<void> {
  await sql`
    insert into earning_rollup (day, creator_id, dataset_id, currency, amount_micros)
    select (to_timestamp(transaction.value_at) at time zone 'UTC')::date, account.owner,
           coalesce(split_part(pool.owner, '/', 1), told.of ->> 'dataset_id', ''), entry.currency, -sum(entry.amount)
      from ledger_transaction transaction
      left join ledger_transaction origin on origin.transaction_id = transaction.reverses
      cross join lateral (select coalesce(origin.explanation, transaction.explanation)::json as of) told
      join ledger_entry entry on entry.transaction_id = transaction.transaction_id
      join ledger_account account on account.account_id = entry.account_id and account.kind = 'creator'
      left join lateral (${poolOfTransaction()}) pool on true
     where transaction.sequence > ${after} and transaction.sequence <= ${end}
       and coalesce(origin.kind, transaction.kind) in ('pool_split', 'compensation')
     group by 1, 2, 3, 4
    on conflict (day, creator_id, dataset_id, currency)
    do update set amount_micros = earning_rollup.amount_micros + excluded.amount_micros`.execute(trx);
}

/** The pool that a transaction moves money of: it names the version. */
function poolOfTransaction() {
  return sql`select owner from ledger_entry share join ledger_account owned using (account_id)
              where share.transaction_id = transaction.transaction_id and owned.kind = 'pool' limit 1`;
}

export async function emptyRollups(trx: Trx): Promise<void> {
  await sql`truncate usage_rollup, earning_rollup`.execute(trx);
}
