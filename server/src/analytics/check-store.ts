import { type RawBuilder, sql } from "kysely";
import type { Trx } from "../db/open-database.ts";
import type { ProgressRow } from "./store.ts";

/** A sum that the rollups and what they are made of do not agree on. */
export interface Difference {
  /** The day, then whose, then the unit or the currency. */
  readonly key: readonly string[];
  /** What the rollups say; null where they say nothing. */
  readonly rollup: string | null;
  /** What receipts, or the ledger, say. */
  readonly source: string | null;
}

export interface Compared {
  /** How many sums there are on either side. */
  readonly compared: number;
  readonly differing: number;
  /** The first of those that differ. */
  readonly differences: readonly Difference[];
}

/** Differences that are named; the number says how many there are. */
const MAX_NAMED = 100;

/** Keeps the rollups from being emptied meanwhile; before the first look at anything, which fixes what is seen. */
export async function holdRollups(trx: Trx): Promise<void> {
  await sql`lock table usage_rollup, earning_rollup in access share mode`.execute(trx);
  await sql`set local statement_timeout = 0`.execute(trx);
}

const dayOf = (column: string) => sql`(to_timestamp(${sql.ref(column)}) at time zone 'UTC')::date`;

/** Receipts by day, version, model, marketplace and unit: how many, and their units, as `receipts/units`. */
export async function compareReceipts(trx: Trx, { receipt_sequence }: ProgressRow): Promise<Compared> {
  const key = sql`dataset_id, dataset_version::text, model_fingerprint, marketplace_id, unit`;
  return compare(trx, {
    rollup: sql`select array[day::text, ${key}] as key, sum(receipts)::text || '/' || sum(units)::text as sum
                  from usage_rollup where receipts <> 0 or units <> 0 group by 1`,
    source: sql`select array[${dayOf("accepted_at")}::text, ${key}] as key,
                       count(*)::text || '/' || sum(units)::text as sum
                  from usage_receipt where sequence <= ${receipt_sequence} group by 1`,
  });
}

/** What is on marketplaces' accounts, payments apart, by day. */
export async function compareCharges(trx: Trx, progress: ProgressRow): Promise<Compared> {
  return compare(trx, {
    rollup: sql`select array[day::text, marketplace_id, currency] as key, sum(charged_micros)::text as sum
                  from usage_rollup group by 1 having sum(charged_micros) <> 0`,
    source: entriesOf(progress, { account: "marketplace", sign: 1, without: ["payment"] }),
  });
}

/** What came into the pools of versions, by day. */
export async function comparePools(trx: Trx, progress: ProgressRow): Promise<Compared> {
  return compare(trx, {
    rollup: sql`select array[day::text, dataset_id || '/' || dataset_version, currency] as key,
                       sum(charged_micros)::text as sum
                  from usage_rollup where unit <> 'compensation' group by 1 having sum(charged_micros) <> 0`,
    source: entriesOf(progress, { account: "pool", sign: -1, without: ["pool_split"] }),
  });
}

/** What creators got, payouts apart, by day. */
export async function compareEarnings(trx: Trx, progress: ProgressRow): Promise<Compared> {
  return compare(trx, {
    rollup: sql`select array[day::text, creator_id, currency] as key, sum(amount_micros)::text as sum
                  from earning_rollup group by 1 having sum(amount_micros) <> 0`,
    source: entriesOf(progress, {
      account: "creator",
      sign: -1,
      without: ["payout", "payout_paid", "payout_returned"],
    }),
  });
}

interface Entries {
  readonly account: string;
  readonly sign: 1 | -1;
  /** Kinds of transactions that do not count, nor do their reversals. */
  readonly without: readonly string[];
}

/** Entries on accounts of a kind, by day, owner and currency: nothing of how the rollups are counted. */
function entriesOf({ ledger_sequence }: ProgressRow, { account, sign, without }: Entries): RawBuilder<unknown> {
  return sql`
    select array[${dayOf("transaction.value_at")}::text, account.owner, account.currency] as key,
           sum(${sql.lit(sign)} * entry.amount)::text as sum
      from ledger_account account
      join ledger_entry entry using (account_id)
      join ledger_transaction transaction using (transaction_id)
     where account.kind = ${account} and transaction.sequence <= ${ledger_sequence}
       and transaction.kind <> all (${[...without]}::text[])
       and not exists (select from ledger_transaction origin
                        where origin.transaction_id = transaction.reverses and origin.kind = any (${[...without]}::text[]))
     group by 1 having sum(entry.amount) <> 0`;
}

async function compare(
  trx: Trx,
  { rollup, source }: { readonly rollup: RawBuilder<unknown>; readonly source: RawBuilder<unknown> },
): Promise<Compared> {
  const { rows } = await sql<Difference & { compared: number; differing: number }>`
    with both_sides as (
      select coalesce(rollup.key, source.key) as key, rollup.sum as rollup, source.sum as source
        from (${rollup}) rollup full join (${source}) source on rollup.key = source.key
    ), totals as (
      select count(*)::int as compared, (count(*) filter (where rollup is distinct from source))::int as differing
        from both_sides
    ), named as (
      select to_json(key) as key, rollup, source from both_sides
       where rollup is distinct from source order by both_sides.key limit ${MAX_NAMED}
    )
    select totals.compared, totals.differing, named.* from totals left join named on true`.execute(trx);
  return {
    compared: rows[0]?.compared ?? 0,
    differing: rows[0]?.differing ?? 0,
    differences: rows.flatMap(({ key, rollup: of, source: raw }) =>
      Array.isArray(key) ? [{ key: key.map(String), rollup: of, source: raw }] : [],
    ),
  };
}
