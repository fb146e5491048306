import { sql } from "kysely";
import type { Db } from "../db/open-database.ts";
import type { TransactionKind } from "../db/ledger-tables.ts";

/** An entry of a creator's account, with what it belongs to. */
export interface StatementEntry {
  readonly entry_id: number;
  readonly transaction_id: string;
  readonly kind: TransactionKind;
  readonly reference: string;
  readonly value_at: number;
  readonly explanation: string;
  readonly amountMicros: bigint;
  /** The place of its part in {@link STATEMENT_PARTS}. */
  readonly part: number;
}

export interface Span {
  readonly from: number;
  readonly until: number;
}

/** What an entry is told among, in the order of a statement. */
export const STATEMENT_PARTS = ["credited", "compensations", "corrections", "payouts"] as const;
export type StatementPart = (typeof STATEMENT_PARTS)[number];

/** The place of an entry's part in that order: what is neither of the others corrects something. */
const PART = sql`case when transaction.kind = 'pool_split' then 0 when transaction.kind = 'compensation' then 1
                      when transaction.kind in ('payout', 'payout_returned', 'payout_paid') then 3 else 2 end`;

/** Where a page of a statement's entries begins: after this one. */
export interface StatementPlace {
  readonly part: number;
  readonly entryId: number;
}

/** What counted for an account in a month: part by part, and in each in the order in which it was written. */
export async function readStatementEntries(
  db: Db,
  accountId: number,
  { from, until, after, limit }: Span & { readonly after: StatementPlace | undefined; readonly limit: number },
): Promise<readonly StatementEntry[]> {
  const { part, entryId } = after ?? { part: -1, entryId: 0 };
  const { rows } = await sql<Omit<StatementEntry, "amountMicros"> & { amount: string }>`
    select entry.entry_id, transaction.transaction_id, transaction.kind, transaction.reference, transaction.value_at,
           transaction.explanation, entry.amount::text as amount, ${PART} as part
      from ledger_entry entry join ledger_transaction transaction using (transaction_id)
     where entry.account_id = ${accountId} and transaction.value_at >= ${from} and transaction.value_at < ${until}
       and (${PART}, entry.entry_id) > (${part}::int, ${entryId}::bigint)
     order by part, entry.entry_id limit ${limit}`.execute(db);
  return rows.map(({ amount, ...row }) => ({ ...row, amountMicros: BigInt(amount) }));
}

/** What each part of a month comes to; credits are positive for their creator. */
export async function readStatementSums(
  db: Db,
  accountId: number,
  { from, until }: Span,
): Promise<Readonly<Record<StatementPart, bigint>>> {
  const { rows } = await sql<{ part: number; sum: string }>`
    select ${PART} as part, (-sum(entry.amount))::text as sum
      from ledger_entry entry join ledger_transaction transaction using (transaction_id)
     where entry.account_id = ${accountId} and transaction.value_at >= ${from} and transaction.value_at < ${until}
     group by part`.execute(db);
  const sumOf = (part: StatementPart): bigint =>
    BigInt(rows.find((row) => row.part === STATEMENT_PARTS.indexOf(part))?.sum ?? 0);
  return {
    credited: sumOf("credited"),
    compensations: sumOf("compensations"),
    corrections: sumOf("corrections"),
    payouts: sumOf("payouts"),
  };
}

/** What a split shared out of a pool's income for usage and licenses, by kind and unit. */
export interface SplitIncome {
  /** The split. */
  readonly transaction_id: string;
  readonly kind: TransactionKind;
  readonly unit: string | null;
  readonly count: number;
  /** Null where the entries do not say. */
  readonly units: string | null;
  readonly amountMicros: bigint;
}

/**
 * What came into pools before each of these splits and was not shared out by the one before it: what
 * was written before that counted for later, or was written after it.
 */
export async function readSplitIncome(db: Db, transactionIds: readonly string[]): Promise<readonly SplitIncome[]> {
  if (transactionIds.length === 0) return [];
  const { rows } = await sql<Omit<SplitIncome, "amountMicros"> & { amount: string }>`
    with split as (
      select transaction.transaction_id, entry.account_id, entry.entry_id, transaction.value_at, before.entry_id as before_id,
             before.value_at as before_value_at
        from ledger_transaction transaction
        join ledger_entry entry using (transaction_id)
        join ledger_account account using (account_id)
        left join lateral (
          select earlier.entry_id, other.value_at
            from ledger_entry earlier join ledger_transaction other using (transaction_id)
           where earlier.account_id = entry.account_id and earlier.entry_id < entry.entry_id and other.kind = 'pool_split'
           order by earlier.entry_id desc limit 1) before on true
       where transaction.transaction_id = any(${[...transactionIds]}::text[]) and account.kind = 'pool'
    )
    select split.transaction_id, income.kind, income.explanation::json ->> 'unit' as unit, count(*)::int as count,
           case when bool_and(income.explanation::json ->> 'units' is not null)
                then sum((income.explanation::json ->> 'units')::numeric)::text end as units,
           (-sum(entry.amount))::text as amount
      from split
      join ledger_entry entry on entry.account_id = split.account_id and entry.entry_id < split.entry_id
      join ledger_transaction income on income.transaction_id = entry.transaction_id
     where income.kind <> 'pool_split' and income.value_at <= split.value_at
       and (split.before_id is null or entry.entry_id > split.before_id or income.value_at > split.before_value_at)
     group by split.transaction_id, income.kind, unit
     order by split.transaction_id, income.kind, unit`.execute(db);
  return rows.map(({ amount, ...row }) => ({ ...row, amountMicros: BigInt(amount) }));
}
