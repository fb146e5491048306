import type { SplitMeasure } from "@licet/protocol";
import { sql } from "kysely";
import { anyOf } from "../db/any-of.ts";
import type { Db, Trx } from "../db/open-database.ts";
import type { PayoutAdapterName } from "../db/payment-tables.ts";

/** What a creator is owed in one currency, and how much of it has not waited long enough. */
export interface CreatorBalance {
  readonly creator_id: string;
  readonly currency: string;
  readonly balanceMicros: bigint;
  readonly pendingMicros: bigint;
}

interface BalanceColumns {
  readonly creator_id: string;
  readonly currency: string;
  readonly balance: string;
  readonly pending: string;
}

/** What comes back from a payout waited before, and what was reversed is no longer there; everything else that was credited since waits. */
const PENDING = (heldSince: number) => sql`
  coalesce((select -sum(entry.amount)
              from ledger_entry entry join ledger_transaction transaction using (transaction_id)
             where entry.account_id = account.account_id and entry.amount < 0
               and transaction.kind <> 'payout_returned' and transaction.recorded_at > ${heldSince}
               and not exists (select from ledger_transaction reversal
                                where reversal.reverses = transaction.transaction_id)), 0)`;

export async function readCreatorBalances(
  db: Db | Trx,
  creatorId: string,
  heldSince: number,
): Promise<readonly CreatorBalance[]> {
  const { rows } = await sql<BalanceColumns>`
    select account.owner as creator_id, account.currency,
           (-coalesce(balance.balance, 0))::text as balance, (${PENDING(heldSince)})::text as pending
      from ledger_account account left join account_balance balance using (account_id)
     where account.kind = 'creator' and account.owner = ${creatorId}
     order by account.currency`.execute(db);
  return rows.map(balanceOf);
}

function balanceOf({ creator_id, currency, balance, pending }: BalanceColumns): CreatorBalance {
  return { creator_id, currency, balanceMicros: BigInt(balance), pendingMicros: BigInt(pending) };
}

/** What of a creator's payouts is under way, and what arrived and stayed. */
export interface PayoutSums {
  readonly currency: string;
  readonly inPayoutMicros: bigint;
  readonly paidMicros: bigint;
}

export async function readPayoutSums(db: Db | Trx, creatorId: string): Promise<readonly PayoutSums[]> {
  const { rows } = await sql<{ currency: string; in_payout: string; paid: string }>`
    select currency,
           coalesce(sum(amount) filter (where state in ('created', 'sent', 'unknown')), 0)::text as in_payout,
           coalesce(sum(amount - returned) filter (where state in ('paid', 'returned')), 0)::text as paid
      from payout where creator_id = ${creatorId} group by currency order by currency`.execute(db);
  return rows.map(({ currency, in_payout, paid }) => ({
    currency,
    inPayoutMicros: BigInt(in_payout),
    paidMicros: BigInt(paid),
  }));
}

export interface DueQuery {
  readonly currency: string;
  readonly adapter: PayoutAdapterName;
  readonly heldSince: number;
  /** The least that is paid out, at least one step of the currency. */
  readonly minimumMicros: bigint;
  /** Only these creators; undefined means all. */
  readonly creatorIds: readonly string[] | undefined;
  readonly limit: number;
}

/** Whoever has something to get, with whether and how it can be paid out. */
const OWED = ({ currency, heldSince, creatorIds }: DueQuery) => sql`
  owed as (
    select account.owner as creator_id, account.currency, -balance.balance as balance,
           -balance.balance - ${PENDING(heldSince)} as available
      from ledger_account account join account_balance balance using (account_id)
     where account.kind = 'creator' and account.currency = ${currency} and balance.balance < 0
       and (${creatorIds === undefined} or account.owner = any(${[...(creatorIds ?? [])]}::text[]))
  )`;

export interface DueCreator {
  readonly creator_id: string;
  readonly availableMicros: bigint;
  readonly sealed_details: Uint8Array;
  readonly hint: string;
}

/** Creators who are to be paid by an adapter, in the order of their ids. */
export async function readDue(db: Db | Trx, query: DueQuery): Promise<readonly DueCreator[]> {
  const { rows } = await sql<{ creator_id: string; available: string; sealed_details: Uint8Array; hint: string }>`
    with ${OWED(query)}
    select owed.creator_id, owed.available::text as available, details.sealed_details, details.hint
      from owed join payout_details details
        on details.creator_id = owed.creator_id and details.currency = owed.currency and details.adapter = ${query.adapter}
     where owed.available >= ${String(query.minimumMicros)}::numeric
     order by owed.creator_id limit ${query.limit}`.execute(db);
  return rows.map(({ available, ...row }) => ({ ...row, availableMicros: BigInt(available) }));
}

/** Why a creator who is owed something is not in a batch. */
export type SkipReason = "details_missing" | "other_adapter" | "pending" | "below_minimum";

export interface SkippedCreator {
  readonly creator_id: string;
  readonly reason: SkipReason;
  readonly availableMicros: bigint;
}

/** Creators who are owed something and are not to be paid now. Of those that are named, details are missing whatever they are owed. */
export async function readSkipped(db: Db | Trx, query: DueQuery): Promise<readonly SkippedCreator[]> {
  const { rows } = await sql<{ creator_id: string; reason: SkipReason; available: string }>`
    with ${OWED(query)}, told as (
      select owed.creator_id, owed.available,
             case when ${query.creatorIds !== undefined} and details.creator_id is null then 'details_missing'
                  when ${query.creatorIds !== undefined} and details.adapter <> ${query.adapter} then 'other_adapter'
                  when owed.available < ${String(query.minimumMicros)}::numeric
                  then case when owed.balance >= ${String(query.minimumMicros)}::numeric then 'pending' else 'below_minimum' end
                  when details.creator_id is null then 'details_missing'
                  when details.adapter <> ${query.adapter} then 'other_adapter' end as reason
        from owed left join payout_details details
          on details.creator_id = owed.creator_id and details.currency = owed.currency
    )
    select creator_id, available::text as available, reason from told where reason is not null
     order by creator_id limit ${query.limit}`.execute(db);
  return rows.map(({ available, ...row }) => ({ ...row, availableMicros: BigInt(available) }));
}

/** By which adapter each of these creators is paid in a currency, as far as they said. */
export async function readAdapters(
  db: Db | Trx,
  creatorIds: readonly string[],
  currency: string,
): Promise<ReadonlyMap<string, PayoutAdapterName>> {
  if (creatorIds.length === 0) return new Map();
  const rows = await db
    .selectFrom("payout_details")
    .select(["creator_id", "adapter"])
    .where("currency", "=", currency)
    .where("creator_id", "=", anyOf(creatorIds))
    .execute();
  return new Map(rows.map((row) => [row.creator_id, row.adapter]));
}

/** The currencies in which anybody is owed anything. */
export async function readOwedCurrencies(db: Db): Promise<readonly string[]> {
  const { rows } = await sql<{ currency: string }>`
    select distinct account.currency
      from ledger_account account join account_balance balance using (account_id)
     where account.kind = 'creator' and balance.balance < 0 order by account.currency`.execute(db);
  return rows.map((row) => row.currency);
}

export interface OpenPool {
  readonly owner: string;
  readonly currency: string;
  readonly poolMicros: bigint;
  /** What the creator's works count, of what all works do, by each measure. */
  readonly weights: Readonly<Record<SplitMeasure, { readonly own: bigint; readonly all: bigint }>>;
}

const MEASURES = ["items", "tokens", "seconds", "bytes"] as const satisfies readonly SplitMeasure[];
type WeightColumns = Record<`${"" | "all_"}${SplitMeasure}`, string>;

/** Pools that hold something and that a creator shares in. */
export async function readOpenPools(db: Db, creatorId: string, limit: number): Promise<readonly OpenPool[]> {
  const { rows } = await sql<{ owner: string; currency: string; pool: string } & WeightColumns>`
    select account.owner, account.currency, (-balance.balance)::text as pool,
           ${sql.join(MEASURES.flatMap((by) => [by, `all_${by}`]).map((column) => sql`weight.${sql.ref(column)}::text`))}
      from creator_weight weight
      join ledger_account account on account.kind = 'pool' and account.owner = weight.dataset_id || '/' || weight.version
      join account_balance balance using (account_id)
     where weight.creator_id = ${creatorId} and balance.balance < 0
     order by account.account_id limit ${limit}`.execute(db);
  return rows.map(({ owner, currency, pool, ...row }) => ({
    owner,
    currency,
    poolMicros: BigInt(pool),
    weights: {
      items: { own: BigInt(row.items), all: BigInt(row.all_items) },
      tokens: { own: BigInt(row.tokens), all: BigInt(row.all_tokens) },
      seconds: { own: BigInt(row.seconds), all: BigInt(row.all_seconds) },
      bytes: { own: BigInt(row.bytes), all: BigInt(row.all_bytes) },
    },
  }));
}
