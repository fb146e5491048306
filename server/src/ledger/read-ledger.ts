import { type Result, accept, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import type { AccountKind } from "../db/ledger-tables.ts";
import { cutPage } from "../http/parameters.ts";
import { type Principal, isPlatform } from "../http/principal.ts";
import { periodOf } from "./periods.ts";
import {
  type AccountName,
  type AccountRow,
  type EntryRow,
  type TransactionRow,
  findAccountById,
  findTransaction,
  readAccountEntries,
  readAccounts,
  readEntriesOf,
  readMonths,
} from "./store.ts";

/** True for an account the caller may look into: the platform into all, others into their own. */
export function isOwnAccount(principal: Principal, { kind, owner }: AccountName): boolean {
  if (isPlatform(principal)) return true;
  if (principal.kind === "marketplace") return kind === "marketplace" && owner === principal.marketplaceId;
  return principal.kind === "creator" && kind === "creator" && owner === principal.creatorId;
}

export interface AccountQuery {
  readonly kind: AccountKind | undefined;
  readonly owner: string | undefined;
  readonly currency: string | undefined;
  readonly after: number | undefined;
  readonly limit: number;
}

/** Accounts the caller may see, in the order in which they were opened. Refuses `not_yours`. */
export async function listAccounts(
  ctx: Context,
  principal: Principal,
  query: AccountQuery,
): Promise<Result<{ readonly accounts: readonly AccountRow[]; readonly next: string | null }>> {
  const own = ownAccount(principal);
  const isForeign =
    own !== undefined && ((query.kind ?? own.kind) !== own.kind || (query.owner ?? own.owner) !== own.owner);
  if (isForeign) return refuse("not_yours", "expected your own account");
  const found = await readAccounts(ctx.db, { ...query, ...own, limit: query.limit + 1 });
  const { rows, next } = cutPage(found, query.limit, (row) => String(row.account_id));
  return accept({ accounts: rows, next });
}

function ownAccount(principal: Principal): AccountName | undefined {
  if (principal.kind === "marketplace") return { kind: "marketplace", owner: principal.marketplaceId };
  return principal.kind === "creator" ? { kind: "creator", owner: principal.creatorId } : undefined;
}

/** The entries of one account, oldest first. Refuses `not_found` and `not_yours`. */
export async function listEntries(
  ctx: Context,
  principal: Principal,
  {
    accountId,
    after,
    limit,
  }: { readonly accountId: number; readonly after: number | undefined; readonly limit: number },
) {
  const account = await findAccountById(ctx.db, accountId);
  if (account === undefined) return refuse("not_found", `there is no account ${accountId}`);
  if (!isOwnAccount(principal, account)) return refuse("not_yours", `the account ${accountId} is somebody else's`);
  const found = await readAccountEntries(ctx.db, accountId, { after, limit: limit + 1 });
  const { rows, next } = cutPage(found, limit, (row) => String(row.entry_id));
  return accept({ account, entries: rows, next });
}

/** What counted for an account in a month, and for it at the month's end. */
export interface MonthBalance {
  readonly period: string;
  readonly amountMicros: bigint;
  readonly balanceMicros: bigint;
}

/** An account by months, the oldest first. Refuses `not_found` and `not_yours`. */
export async function listMonths(
  ctx: Context,
  principal: Principal,
  accountId: number,
): Promise<Result<{ readonly account: AccountRow; readonly months: readonly MonthBalance[] }>> {
  const account = await findAccountById(ctx.db, accountId);
  if (account === undefined) return refuse("not_found", `there is no account ${accountId}`);
  if (!isOwnAccount(principal, account)) return refuse("not_yours", `the account ${accountId} is somebody else's`);
  let balanceMicros = 0n;
  const months = (await readMonths(ctx.db, accountId)).map(({ month_at, amountMicros }): MonthBalance => {
    balanceMicros += amountMicros;
    return { period: periodOf(month_at), amountMicros, balanceMicros };
  });
  return accept({ account, months });
}

/** A transaction with those of its entries that the caller may see. Refuses `not_found` and `not_yours`. */
export async function readTransaction(
  ctx: Context,
  principal: Principal,
  transactionId: string,
): Promise<Result<{ readonly transaction: TransactionRow; readonly entries: readonly EntryRow[] }>> {
  const transaction = await findTransaction(ctx.db, transactionId);
  if (transaction === undefined) return refuse("not_found", `there is no transaction ${transactionId}`);
  const entries = (await readEntriesOf(ctx.db, transactionId)).filter((entry) => isOwnAccount(principal, entry));
  return entries.length === 0
    ? refuse("not_yours", `no entry of ${transactionId} is yours`)
    : accept({ transaction, entries });
}
