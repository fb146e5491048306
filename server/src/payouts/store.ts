import { type Insertable, type Selectable, sql } from "kysely";
import { ADVISORY_LOCKS } from "../db/advisory-locks.ts";
import { anyOf } from "../db/any-of.ts";
import type { Db, Trx } from "../db/open-database.ts";
import type { PayoutAdapterName, PayoutState } from "../db/payment-tables.ts";
import type { Tables } from "../db/tables.ts";

type StoredPayout = Selectable<Tables["payout"]>;
/** A payout with its amounts as numbers. */
export type PayoutRow = Omit<StoredPayout, "amount" | "returned"> & {
  readonly amountMicros: bigint;
  readonly returnedMicros: bigint;
};
export type BatchRow = Selectable<Tables["payout_batch"]>;
export type DetailsRow = Selectable<Tables["payout_details"]>;

export async function lockPayouts(trx: Trx): Promise<void> {
  await sql`select pg_advisory_xact_lock(${ADVISORY_LOCKS.payouts}::bigint)`.execute(trx);
}

function rowOf({ amount, returned, ...row }: StoredPayout): PayoutRow {
  return { ...row, amountMicros: BigInt(amount), returnedMicros: BigInt(returned) };
}

export async function saveDetails(trx: Trx, row: DetailsRow): Promise<void> {
  const { adapter, sealed_details, hint, changed_at } = row;
  await trx
    .insertInto("payout_details")
    .values(row)
    .onConflict((conflict) =>
      conflict.columns(["creator_id", "currency"]).doUpdateSet({ adapter, sealed_details, hint, changed_at }),
    )
    .execute();
}

export async function deleteDetails(
  trx: Trx,
  { creator_id, currency }: Pick<DetailsRow, "creator_id" | "currency">,
): Promise<DetailsRow | undefined> {
  return trx
    .deleteFrom("payout_details")
    .where("creator_id", "=", creator_id)
    .where("currency", "=", currency)
    .returningAll()
    .executeTakeFirst();
}

export async function readDetails(db: Db | Trx, creatorIds: readonly string[]): Promise<readonly DetailsRow[]> {
  return db
    .selectFrom("payout_details")
    .selectAll()
    .where("creator_id", "=", anyOf(creatorIds))
    .orderBy("creator_id")
    .orderBy("currency")
    .execute();
}

export async function insertBatch(trx: Trx, row: BatchRow): Promise<void> {
  await trx
    .insertInto("payout_batch")
    .values(row)
    .onConflict((conflict) => conflict.column("batch_id").doNothing())
    .execute();
}

export type NewPayout = Pick<
  StoredPayout,
  | "payout_id"
  | "batch_id"
  | "creator_id"
  | "adapter"
  | "currency"
  | "sealed_destination"
  | "hint"
  | "state"
  | "created_at"
  | "next_attempt_at_ms"
> & { readonly amountMicros: bigint };

/** Rows in one statement, far below the protocol's limit of parameters. */
const INSERT_BATCH = 500;

export async function insertPayouts(trx: Trx, payouts: readonly NewPayout[]): Promise<void> {
  const rows = payouts.map(({ amountMicros, ...row }): Insertable<Tables["payout"]> => ({
    ...row,
    amount: String(amountMicros),
    external_id: null,
    reason: null,
    settled_at: null,
  }));
  for (let at = 0; at < rows.length; at += INSERT_BATCH)
    await trx
      .insertInto("payout")
      .values(rows.slice(at, at + INSERT_BATCH))
      .execute();
}

export async function findBatch(db: Db | Trx, batchId: string): Promise<BatchRow | undefined> {
  return db.selectFrom("payout_batch").selectAll().where("batch_id", "=", batchId).executeTakeFirst();
}

export async function findScheduledBatch(
  db: Db | Trx,
  { adapter, currency, schedule }: Pick<BatchRow, "adapter" | "currency" | "schedule">,
): Promise<BatchRow | undefined> {
  return db
    .selectFrom("payout_batch")
    .selectAll()
    .where("adapter", "=", adapter)
    .where("currency", "=", currency)
    .where("schedule", "=", schedule)
    .executeTakeFirst();
}

/** A batch with what its payouts come to, by state. */
export interface BatchSum {
  readonly batch_id: string;
  readonly state: PayoutState;
  readonly count: number;
  readonly amount: string;
}

export async function readBatchSums(db: Db | Trx, batchIds: readonly string[]): Promise<readonly BatchSum[]> {
  const { rows } = await sql<BatchSum>`
    select batch_id, state, count(*)::int as count, sum(amount)::text as amount
      from payout where batch_id = ${anyOf(batchIds)}
     group by batch_id, state order by batch_id, state`.execute(db);
  return rows;
}

export async function readBatches(
  db: Db,
  { after, limit }: { readonly after: string | undefined; readonly limit: number },
): Promise<readonly BatchRow[]> {
  return db
    .selectFrom("payout_batch")
    .selectAll()
    .$if(after !== undefined, (query) => query.where("batch_id", ">", after ?? ""))
    .orderBy("batch_id")
    .limit(limit + 1)
    .execute();
}

export async function readPayoutsOfBatch(db: Db | Trx, batchId: string): Promise<readonly PayoutRow[]> {
  const rows = await db.selectFrom("payout").selectAll().where("batch_id", "=", batchId).orderBy("payout_id").execute();
  return rows.map(rowOf);
}

export async function readPayoutsOfCreator(
  db: Db,
  creatorId: string,
  { after, limit }: { readonly after: string | undefined; readonly limit: number },
): Promise<readonly PayoutRow[]> {
  const rows = await db
    .selectFrom("payout")
    .selectAll()
    .where("creator_id", "=", creatorId)
    .$if(after !== undefined, (query) => query.where("payout_id", ">", after ?? ""))
    .orderBy("payout_id")
    .limit(limit + 1)
    .execute();
  return rows.map(rowOf);
}

/** These payouts, held until the transaction ends, in the order of their ids. */
export async function holdRows(trx: Trx, payoutIds: readonly string[]): Promise<readonly PayoutRow[]> {
  const rows = await trx
    .selectFrom("payout")
    .selectAll()
    .where("payout_id", "=", anyOf(payoutIds))
    .orderBy("payout_id")
    .forUpdate()
    .execute();
  return rows.map(rowOf);
}

export type PayoutChange = Partial<
  Pick<StoredPayout, "state" | "returned" | "external_id" | "reason" | "next_attempt_at_ms" | "settled_at">
>;

export async function savePayout(db: Db | Trx, payoutId: string, change: PayoutChange): Promise<void> {
  await db.updateTable("payout").set(change).where("payout_id", "=", payoutId).execute();
}

/** Puts an attempt off; one that was given up for lost and ends late changes nothing. */
export async function postpone(
  db: Db,
  { payout_id, attempts }: Pick<PayoutRow, "payout_id" | "attempts">,
  change: Pick<PayoutChange, "state" | "reason" | "next_attempt_at_ms">,
): Promise<void> {
  await db
    .updateTable("payout")
    .set(change)
    .where("payout_id", "=", payout_id)
    .where("attempts", "=", attempts)
    .where("state", "in", ["created", "unknown"])
    .execute();
}

export interface PayoutClaim {
  readonly adapter: PayoutAdapterName;
  readonly nowMs: number;
  /** When somebody else may try, should this process die meanwhile. */
  readonly leaseUntilMs: number;
  readonly limit: number;
}

/**
 * Takes payouts of one batch that are due for ourselves. One whose fact may not be in the journal's
 * file yet waits: a restore must know of everything that was sent.
 */
export async function claimPayouts(
  db: Db,
  { adapter, nowMs, leaseUntilMs, limit }: PayoutClaim,
): Promise<readonly PayoutRow[]> {
  const { rows } = await sql<StoredPayout>`
    with due as (
      select payout_id, batch_id from payout
       where next_attempt_at_ms <= ${nowMs} and adapter = ${adapter}
         and not exists (select from journal_entry where at_ms < (payout.created_at + 1) * 1000)
       order by next_attempt_at_ms, payout_id limit 1
    ), claimed as (
      select taken.payout_id from payout taken join due using (batch_id)
       where taken.next_attempt_at_ms <= ${nowMs}
       order by taken.payout_id limit ${limit}
         for update of taken skip locked
    )
    update payout set attempts = payout.attempts + 1, next_attempt_at_ms = ${leaseUntilMs}
      from claimed where payout.payout_id = claimed.payout_id
    returning payout.*`.execute(db);
  return rows.map(rowOf).sort((left, right) => (left.payout_id < right.payout_id ? -1 : 1));
}

/** Holds what has not been sent; answers the ids. */
export async function holdUnsent(trx: Trx, nextAttemptAtMs: number): Promise<readonly string[]> {
  const { rows } = await sql<{ payout_id: string }>`
    update payout set state = 'unknown',
           next_attempt_at_ms = case adapter when 'stripe' then ${nextAttemptAtMs}::bigint end
     where state = 'created' returning payout_id`.execute(trx);
  return rows.map((row) => row.payout_id).sort();
}

/** Payouts of which nobody knows whether they were sent. */
export async function readHeld(db: Db | Trx): Promise<readonly string[]> {
  const rows = await db
    .selectFrom("payout")
    .select("payout_id")
    .where("state", "=", "unknown")
    .orderBy("payout_id")
    .execute();
  return rows.map((row) => row.payout_id);
}

/** False when it was dealt with before. */
export async function insertStripeEvent(trx: Trx, eventId: string, receivedAt: number): Promise<boolean> {
  const inserted = await trx
    .insertInto("stripe_event")
    .values({ event_id: eventId, received_at: receivedAt })
    .onConflict((conflict) => conflict.doNothing())
    .returning("event_id")
    .execute();
  return inserted.length > 0;
}

export async function deleteStripeEvents(db: Db, before: number): Promise<void> {
  await db.deleteFrom("stripe_event").where("received_at", "<", before).execute();
}
