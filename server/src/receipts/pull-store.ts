import { type Selectable, sql } from "kysely";
import type { Db } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";

/** How far a marketplace's receipts for a dataset were read. */
export type PullRow = Selectable<Tables["receipt_pull"]>;
export type PullName = Pick<PullRow, "marketplace_id" | "dataset_id">;

/** Adds what is not there yet, to be begun at an instant. */
export async function addPulls(db: Db, names: readonly PullName[], nextAtMs: number): Promise<void> {
  if (names.length === 0) return;
  await sql`
    insert into receipt_pull (marketplace_id, dataset_id, next_at_ms)
    select added.*, ${nextAtMs}::bigint
      from unnest(${names.map((name) => name.marketplace_id)}::text[], ${names.map((name) => name.dataset_id)}::text[])
             as added (marketplace_id, dataset_id)
    on conflict do nothing`.execute(db);
}

export async function readPullsOf(db: Db, marketplaceId: string): Promise<readonly PullRow[]> {
  return db
    .selectFrom("receipt_pull")
    .selectAll()
    .where("marketplace_id", "=", marketplaceId)
    .orderBy("dataset_id")
    .execute();
}

/** Those that have waited longest first; one that was cut off goes behind whatever was due by the end of its lease. */
export async function readDuePulls(db: Db, nowMs: number, limit: number): Promise<readonly PullRow[]> {
  return db
    .selectFrom("receipt_pull")
    .selectAll()
    .where("next_at_ms", "<=", nowMs)
    .where("lease_until_ms", "<=", nowMs)
    .orderBy(sql`greatest(next_at_ms, lease_until_ms)`)
    .limit(limit)
    .execute();
}

interface Claim {
  readonly nowMs: number;
  readonly leaseUntilMs: number;
  /** True to take nothing whose time has not come. */
  readonly onlyDue: boolean;
}

/** Takes a pull, as it stands now, until the lease ends; undefined while somebody else has it, or when it is not due. */
export async function claimPull(
  db: Db,
  { marketplace_id, dataset_id }: PullName,
  { nowMs, leaseUntilMs, onlyDue }: Claim,
): Promise<PullRow | undefined> {
  return db
    .updateTable("receipt_pull")
    .set({ lease_until_ms: leaseUntilMs })
    .where("marketplace_id", "=", marketplace_id)
    .where("dataset_id", "=", dataset_id)
    .where("lease_until_ms", "<=", nowMs)
    .$if(onlyDue, (query) => query.where("next_at_ms", "<=", nowMs))
    .returningAll()
    .executeTakeFirst();
}

/** Writes down how far a claimed pull came; undefined when its lease had ended and somebody else has it since. */
export async function savePull(
  db: Db,
  { marketplace_id, dataset_id, lease_until_ms }: PullRow,
  changes: Partial<Omit<PullRow, keyof PullName>>,
): Promise<PullRow | undefined> {
  return db
    .updateTable("receipt_pull")
    .set(changes)
    .where("marketplace_id", "=", marketplace_id)
    .where("dataset_id", "=", dataset_id)
    .where("lease_until_ms", "=", lease_until_ms)
    .returningAll()
    .executeTakeFirst();
}
