import { sql } from "kysely";
import type { TransactionKind } from "../db/ledger-tables.ts";
import type { Db, Trx } from "../db/open-database.ts";
import type { TransactionRow } from "./store.ts";

/** What of one kind and unit a split shares out; `units` is null where the entries do not say. */
export interface PoolIncome {
  readonly kind: TransactionKind;
  readonly unit: string | null;
  readonly count: number;
  readonly units: string | null;
  readonly amount_micros: string;
}

/** What a split has to know of its pool's entries, so that nobody reads the pool's whole history again. */
export interface SplitRange {
  /** The first entry that may be in it. */
  readonly from_entry: number;
  /** The first entry before it that counts for later; null when there is none. */
  readonly left_from_entry: number | null;
  readonly income: readonly PoolIncome[];
}

/**
 * What came into a pool before an instant and no split counted yet. Each split has written down where
 * the next one begins to look; after one that has not, everything is looked at once more.
 */
export async function readSplitRange(trx: Trx, accountId: number, until: number): Promise<SplitRange> {
  const begun = await sql<{ entry_id: number; value_at: number; from_entry: number }>`
    select entry.entry_id, transaction.value_at,
           case when told.of ->> 'from_entry' is null then 0
                else coalesce((told.of ->> 'left_from_entry')::bigint, entry.entry_id + 1) end as from_entry
      from ledger_entry entry join ledger_transaction transaction using (transaction_id)
     cross join lateral (select transaction.explanation::json as of) told
     where entry.account_id = ${accountId} and transaction.kind = 'pool_split'
     order by entry.entry_id desc limit 1`.execute(trx);
  const { entry_id = 0, value_at = 0, from_entry = 0 } = begun.rows[0] ?? {};
  const waiting = sql`
    from ledger_entry entry join ledger_transaction transaction using (transaction_id)
   where entry.account_id = ${accountId} and entry.entry_id >= ${from_entry} and transaction.kind <> 'pool_split'
     and (entry.entry_id > ${entry_id} or transaction.value_at > ${value_at})`;
  const { rows: income } = await sql<PoolIncome>`
    select kind, told ->> 'unit' as unit, count(*)::int as count,
           case when bool_and(told ->> 'units' is not null) then sum((told ->> 'units')::numeric)::text end as units,
           (-sum(amount))::text as amount_micros
      from (select transaction.kind, transaction.explanation::json as told, entry.amount ${waiting}
               and transaction.value_at < ${until}) counted
     group by kind, unit order by kind, unit`.execute(trx);
  const { rows: left } = await sql<{ first: number | null }>`
    select min(entry.entry_id) as first ${waiting} and transaction.value_at >= ${until}`.execute(trx);
  return { from_entry, left_from_entry: left[0]?.first ?? null, income };
}

/** What came into a pool, or was taken back from it, between two splits; `count` and `sumMicros` are of all of it. */
export interface PoolCharges {
  readonly rows: readonly (Pick<TransactionRow, "transaction_id" | "kind" | "reference" | "explanation"> & {
    readonly entry_id: number;
  })[];
  readonly count: number;
  readonly sumMicros: bigint;
}

export interface PoolChargesOf {
  readonly owner: string;
  readonly currency: string;
  /** The split. */
  readonly transactionId: string;
  /** The instant before which it counted. */
  readonly until: number;
  /** The first entry that it may have counted. */
  readonly fromEntry: number;
  /** The last entry that was told of. */
  readonly after: number;
  readonly limit: number;
}

/** What a split shared out: the entries before it, and before its instant, that the split before it did not count. */
export async function readPoolCharges(
  db: Db,
  { owner, currency, transactionId, until, fromEntry, after, limit }: PoolChargesOf,
): Promise<PoolCharges> {
  const counted = sql`
    this as (
      select entry.entry_id, entry.account_id
        from ledger_account account join ledger_entry entry using (account_id)
       where account.kind = 'pool' and account.owner = ${owner} and account.currency = ${currency}
         and entry.transaction_id = ${transactionId}
    ), before as (
      select entry.entry_id, transaction.value_at
        from this join ledger_entry entry on entry.account_id = this.account_id and entry.entry_id < this.entry_id
        join ledger_transaction transaction using (transaction_id)
       where transaction.kind = 'pool_split' order by entry.entry_id desc limit 1
    ), pool as (
      select entry.entry_id, entry.amount, transaction.transaction_id, transaction.kind, transaction.reference,
             transaction.explanation
        from this join ledger_entry entry on entry.account_id = this.account_id and entry.entry_id < this.entry_id
        join ledger_transaction transaction on transaction.transaction_id = entry.transaction_id
        left join before on true
       where entry.entry_id >= ${fromEntry} and transaction.kind <> 'pool_split' and transaction.value_at < ${until}
         and (before.entry_id is null or entry.entry_id > before.entry_id or transaction.value_at > before.value_at)
    )`;
  const { rows } = await sql<PoolCharges["rows"][number]>`
    with ${counted}
    select entry_id, transaction_id, kind, reference, explanation
      from pool where entry_id > ${after} order by entry_id limit ${limit}`.execute(db);
  const { rows: sums } = await sql<{ count: number; sum: string }>`
    with ${counted} select count(*)::int as count, (-coalesce(sum(amount), 0))::text as sum from pool`.execute(db);
  return { rows, count: sums[0]?.count ?? 0, sumMicros: BigInt(sums[0]?.sum ?? 0) };
}
