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

export async function readDuePulls(db: Db, nowMs: number, limit: number): Promise<readonly PullRow[]> {
  return db
    .selectFrom("receipt_pull")
    .selectAll()
    .where("next_at_ms", "<=", nowMs)
    .orderBy("next_at_ms")
    .limit(limit)
    .execute();
}

/** Takes a pull for ourselves until the lease ends; false when somebody else has it. */
export async function claimPull(db: Db, pull: PullRow, leaseUntilMs: number): Promise<boolean> {
  const claimed = await db
    .updateTable("receipt_pull")
    .set({ next_at_ms: leaseUntilMs })
    .where("marketplace_id", "=", pull.marketplace_id)
    .where("dataset_id", "=", pull.dataset_id)
    .where("next_at_ms", "=", pull.next_at_ms)
    .returning("dataset_id")
    .execute();
  return claimed.length > 0;
}

export async function savePull(
  db: Db,
  pull: PullName,
  changes: Partial<Omit<PullRow, "marketplace_id" | "dataset_id">>,
): Promise<void> {
  await db
    .updateTable("receipt_pull")
    .set(changes)
    .where("marketplace_id", "=", pull.marketplace_id)
    .where("dataset_id", "=", pull.dataset_id)
    .execute();
}
