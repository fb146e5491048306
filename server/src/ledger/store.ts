import { type Selectable, sql } from "kysely";
import { ADVISORY_LOCKS } from "../db/advisory-locks.ts";
import { anyOf } from "../db/any-of.ts";
import type { Db, Trx } from "../db/open-database.ts";
import type { AccountKind, TransactionKind } from "../db/ledger-tables.ts";
import type { Tables } from "../db/tables.ts";
import { boundsAround } from "./periods.ts";

export type TransactionRow = Selectable<Tables["ledger_transaction"]>;
export type PeriodRow = Selectable<Tables["ledger_period"]>;

/** An account by what it is for; its currency is the transaction's. */
export interface AccountName {
  readonly kind: AccountKind;
  readonly owner: string;
}

/** An account with the sum of its entries. */
export interface AccountRow extends AccountName {
  readonly account_id: number;
  readonly currency: string;
  readonly balanceMicros: bigint;
}

export interface EntryRow {
  readonly entry_id: number;
  readonly transaction_id: string;
  readonly account_id: number;
  readonly kind: AccountKind;
  readonly owner: string;
  readonly currency: string;
  readonly amountMicros: bigint;
}

export interface EntryToWrite extends AccountName {
  readonly transaction_id: string;
  readonly currency: string;
  readonly amountMicros: bigint;
}

export async function lockLedger(trx: Trx): Promise<void> {
  await sql`select pg_advisory_xact_lock(${ADVISORY_LOCKS.ledger}::bigint)`.execute(trx);
}

export async function insertTransactions(trx: Trx, rows: readonly Omit<TransactionRow, "sequence">[]): Promise<void> {
  await sql`
    insert into ledger_transaction (transaction_id, kind, reference, currency, value_at, recorded_at, reverses, explanation)
    select * from unnest(${rows.map((row) => row.transaction_id)}::text[], ${rows.map((row) => row.kind)}::text[],
                         ${rows.map((row) => row.reference)}::text[], ${rows.map((row) => row.currency)}::text[],
                         ${rows.map((row) => row.value_at)}::bigint[], ${rows.map((row) => row.recorded_at)}::bigint[],
                         ${rows.map((row) => row.reverses)}::text[], ${rows.map((row) => row.explanation)}::text[])`.execute(
    trx,
  );
}

/** Opens the accounts that are not there yet. */
export async function openAccounts(
  trx: Trx,
  accounts: readonly (AccountName & { readonly currency: string })[],
): Promise<void> {
  await sql`
    insert into ledger_account (kind, owner, currency)
    select distinct * from unnest(${accounts.map((row) => row.kind)}::text[], ${accounts.map((row) => row.owner)}::text[],
                                  ${accounts.map((row) => row.currency)}::text[]) as opened (kind, owner, currency)
     where not exists (select from ledger_account known
                        where known.kind = opened.kind and known.owner = opened.owner and known.currency = opened.currency)
    on conflict do nothing`.execute(trx);
}

/** Writes all entries of whole transactions: the database refuses what does not add up to zero. */
export async function insertEntries(trx: Trx, entries: readonly EntryToWrite[]): Promise<void> {
  await sql`
    insert into ledger_entry (transaction_id, account_id, currency, amount)
    select written.transaction_id, account.account_id, written.currency, written.amount
      from unnest(${entries.map((row) => row.transaction_id)}::text[], ${entries.map((row) => row.kind)}::text[],
                  ${entries.map((row) => row.owner)}::text[], ${entries.map((row) => row.currency)}::text[],
                  ${entries.map((row) => String(row.amountMicros))}::numeric[])
           with ordinality as written (transaction_id, kind, owner, currency, amount, place)
      join ledger_account account using (kind, owner, currency)
     order by written.place`.execute(trx);
}

/** Which of these happened already, by their references. */
export async function readTransactionsByReference(
  db: Db | Trx,
  kind: TransactionKind,
  references: readonly string[],
): Promise<readonly TransactionRow[]> {
  if (references.length === 0) return [];
  return db
    .selectFrom("ledger_transaction")
    .selectAll()
    .where("kind", "=", kind)
    .where("reference", "=", anyOf(references))
    .orderBy("sequence")
    .execute();
}

export async function findTransaction(db: Db | Trx, transactionId: string): Promise<TransactionRow | undefined> {
  return db.selectFrom("ledger_transaction").selectAll().where("transaction_id", "=", transactionId).executeTakeFirst();
}

/** The transaction that reverses this one; undefined while none does. */
export async function findReversal(db: Db | Trx, transactionId: string): Promise<TransactionRow | undefined> {
  return db.selectFrom("ledger_transaction").selectAll().where("reverses", "=", transactionId).executeTakeFirst();
}

function selectEntries(db: Db | Trx) {
  return db
    .selectFrom("ledger_entry")
    .innerJoin("ledger_account", "ledger_account.account_id", "ledger_entry.account_id")
    .select(["entry_id", "ledger_entry.transaction_id", "ledger_account.account_id", "ledger_account.kind"])
    .select(["owner", "ledger_entry.currency", "amount"]);
}

export async function readEntriesOf(db: Db | Trx, transactionId: string): Promise<readonly EntryRow[]> {
  const rows = await selectEntries(db).where("transaction_id", "=", transactionId).orderBy("entry_id").execute();
  return rows.map(entryOf);
}

export async function findEntry(db: Db | Trx, entryId: number): Promise<EntryRow | undefined> {
  const row = await selectEntries(db).where("entry_id", "=", entryId).executeTakeFirst();
  return row === undefined ? undefined : entryOf(row);
}

/** Entries of an account in the order in which they were written, with what they belong to. */
export async function readAccountEntries(
  db: Db,
  accountId: number,
  { after, limit }: { readonly after: number | undefined; readonly limit: number },
): Promise<
  readonly (EntryRow & Pick<TransactionRow, "reference" | "value_at"> & { transaction_kind: TransactionKind })[]
> {
  const rows = await selectEntries(db)
    .innerJoin("ledger_transaction", "ledger_transaction.transaction_id", "ledger_entry.transaction_id")
    .select(["ledger_transaction.kind as transaction_kind", "reference", "value_at"])
    .where("ledger_entry.account_id", "=", accountId)
    .$if(after !== undefined, (query) => query.where("entry_id", ">", after ?? 0))
    .orderBy("entry_id")
    .limit(limit)
    .execute();
  return rows.map((row) => ({ ...entryOf(row), ...row }));
}

function entryOf({ amount, ...row }: Omit<EntryRow, "amountMicros"> & { readonly amount: string }): EntryRow {
  return { ...row, amountMicros: BigInt(amount) };
}

export interface AccountFilter {
  readonly kind?: AccountKind | undefined;
  readonly owner?: string | undefined;
  readonly currency?: string | undefined;
  readonly after: number | undefined;
  readonly limit: number;
}

export async function readAccounts(
  db: Db | Trx,
  { kind, owner, currency, after, limit }: AccountFilter,
): Promise<readonly AccountRow[]> {
  const rows = await selectAccounts(db)
    .$if(kind !== undefined, (query) => query.where("kind", "=", kind ?? "cash"))
    .$if(owner !== undefined, (query) => query.where("owner", "=", owner ?? ""))
    .$if(currency !== undefined, (query) => query.where("currency", "=", currency ?? ""))
    .$if(after !== undefined, (query) => query.where("ledger_account.account_id", ">", after ?? 0))
    .orderBy("ledger_account.account_id")
    .limit(limit)
    .execute();
  return rows.map(accountOf);
}

export async function findAccountById(db: Db | Trx, accountId: number): Promise<AccountRow | undefined> {
  const row = await selectAccounts(db).where("ledger_account.account_id", "=", accountId).executeTakeFirst();
  return row === undefined ? undefined : accountOf(row);
}

function selectAccounts(db: Db | Trx) {
  return db
    .selectFrom("ledger_account")
    .leftJoin("account_balance", "account_balance.account_id", "ledger_account.account_id")
    .select(["ledger_account.account_id", "kind", "owner", "currency", "balance"]);
}

function accountOf({
  balance,
  ...row
}: Omit<AccountRow, "balanceMicros"> & { readonly balance: string | null }): AccountRow {
  return { ...row, balanceMicros: BigInt(balance ?? 0) };
}

/** What counts for accounts of a kind before a month, by account, as far as it is anything. Debits are positive. */
export async function readBalancesBefore(
  db: Db | Trx,
  kind: AccountKind,
  monthAt: number,
): Promise<readonly AccountRow[]> {
  const { rows } = await sql<Omit<AccountRow, "balanceMicros"> & { balance: string }>`
    select account.account_id, account.kind, account.owner, account.currency, sum(month.amount)::text as balance
      from ledger_account account
      join account_month month using (account_id)
     where account.kind = ${kind} and month.month_at < ${monthAt}
     group by account.account_id
    having sum(month.amount) <> 0
     order by account.account_id`.execute(db);
  return rows.map(accountOf);
}

/** What counts for one account before an instant: the months up to its own, less what is later in that one. */
export async function readBalanceBefore(db: Db | Trx, accountId: number, before: number): Promise<bigint> {
  const { from, until } = boundsAround(before);
  const { rows } = await sql<{ sum: string }>`
    select (coalesce((select sum(amount) from account_month
                       where account_id = ${accountId} and month_at < ${before}), 0)
          - coalesce((select sum(entry.amount)
                        from ledger_transaction transaction join ledger_entry entry using (transaction_id)
                       where entry.account_id = ${accountId} and transaction.value_at >= ${before}
                         and transaction.value_at < ${before === from ? before : until}), 0))::text as sum`.execute(db);
  return BigInt(rows[0]?.sum ?? 0);
}

/** What counted for an account in a month. */
export interface AccountMonth {
  /** The month's first second. */
  readonly month_at: number;
  readonly amountMicros: bigint;
}

/** The months of an account in which anything counted, the oldest first. */
export async function readMonths(db: Db, accountId: number): Promise<readonly AccountMonth[]> {
  const rows = await db
    .selectFrom("account_month")
    .select(["month_at", "amount"])
    .where("account_id", "=", accountId)
    .orderBy("month_at")
    .execute();
  return rows.map(({ month_at, amount }) => ({ month_at, amountMicros: BigInt(amount) }));
}

export async function insertPeriod(trx: Trx, row: PeriodRow): Promise<void> {
  await trx.insertInto("ledger_period").values(row).execute();
}

export async function readPeriods(db: Db | Trx): Promise<readonly PeriodRow[]> {
  return db.selectFrom("ledger_period").selectAll().orderBy("period", "desc").execute();
}

/** The newest period that is closed. */
export async function findNewestPeriod(db: Db | Trx): Promise<PeriodRow | undefined> {
  return db.selectFrom("ledger_period").selectAll().orderBy("period", "desc").limit(1).executeTakeFirst();
}

/** The instant that the oldest transaction counts for. */
export async function findFirstValueAt(db: Db | Trx): Promise<number | undefined> {
  const row = await db
    .selectFrom("ledger_transaction")
    .select((eb) => eb.fn.min("value_at").as("first"))
    .executeTakeFirst();
  return row?.first ?? undefined;
}
