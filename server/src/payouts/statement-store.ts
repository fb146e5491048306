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
}

export interface Span {
  readonly from: number;
  readonly until: number;
}

/** What counted for an account in a month, in the order in which it was written. */
export async function readStatementEntries(
  db: Db,
  accountId: number,
  { from, until, limit }: Span & { readonly limit: number },
): Promise<readonly StatementEntry[]> {
  const { rows } = await sql<Omit<StatementEntry, "amountMicros"> & { amount: string }>`
    select entry.entry_id, transaction.transaction_id, transaction.kind, transaction.reference, transaction.value_at,
           transaction.explanation, entry.amount::text as amount
      from ledger_entry entry join ledger_transaction transaction using (transaction_id)
     where entry.account_id = ${accountId} and transaction.value_at >= ${from} and transaction.value_at < ${until}
     order by entry.entry_id limit ${limit}`.execute(db);
  return rows.map(({ amount, ...row }) => ({ ...row, amountMicros: BigInt(amount) }));
}

/** What pools took in for usage and licenses, by pool, kind and unit. */
export interface PoolIncome {
  readonly owner: string;
  readonly kind: TransactionKind;
  readonly unit: string | null;
  readonly count: number;
  /** Null where the entries do not say. */
  readonly units: string | null;
  readonly amountMicros: bigint;
}

export async function readPoolIncome(
  db: Db,
  { owners, currency, from, until }: Span & { readonly owners: readonly string[]; readonly currency: string },
): Promise<readonly PoolIncome[]> {
  if (owners.length === 0) return [];
  const { rows } = await sql<Omit<PoolIncome, "amountMicros"> & { amount: string }>`
    select account.owner, transaction.kind, transaction.explanation::json ->> 'unit' as unit, count(*)::int as count,
           case when bool_and(transaction.explanation::json ->> 'units' is not null)
                then sum((transaction.explanation::json ->> 'units')::numeric)::text end as units,
           (-sum(entry.amount))::text as amount
      from ledger_account account
      join ledger_entry entry using (account_id)
      join ledger_transaction transaction using (transaction_id)
     where account.kind = 'pool' and account.owner = any(${[...owners]}::text[]) and account.currency = ${currency}
       and transaction.kind <> 'pool_split' and transaction.value_at >= ${from} and transaction.value_at < ${until}
     group by account.owner, transaction.kind, unit
     order by account.owner, transaction.kind, unit`.execute(db);
  return rows.map(({ amount, ...row }) => ({ ...row, amountMicros: BigInt(amount) }));
}
