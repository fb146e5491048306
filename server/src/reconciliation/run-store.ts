import { type Selectable, sql } from "kysely";
import type { Db, Trx } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";
import type { Page } from "../http/parameters.ts";

export type RunRow = Selectable<Tables["reconciliation"]>;

/** The run that waits or is under way. */
export async function findUnderWay(db: Db | Trx): Promise<RunRow | undefined> {
  return db
    .selectFrom("reconciliation")
    .selectAll()
    .where((is) => is.or([is("state", "=", "waiting"), is("state", "=", "running")]))
    .executeTakeFirst();
}

/** Has a run wait; undefined while another one waits or is under way. */
export async function insertRun(
  db: Db | Trx,
  row: Pick<RunRow, "reconciliation_id" | "requested_by" | "requested_at">,
): Promise<RunRow | undefined> {
  return db
    .insertInto("reconciliation")
    .values({ ...row, state: "waiting" })
    .onConflict((conflict) => conflict.doNothing())
    .returningAll()
    .executeTakeFirst();
}

/** Takes the run that waits, or one that was lost with its server. */
export async function claimRun(
  db: Db,
  { nowMs, leaseMs }: { readonly nowMs: number; readonly leaseMs: number },
): Promise<RunRow | undefined> {
  const { rows } = await sql<RunRow>`
    update reconciliation set state = 'running', started_at = ${Math.floor(nowMs / 1_000)}, lease_until_ms = ${nowMs + leaseMs}
     where reconciliation_id = (select reconciliation_id from reconciliation
                                 where state = 'waiting' or (state = 'running' and lease_until_ms < ${nowMs})
                                 for update skip locked limit 1)
    returning *`.execute(db);
  return rows[0];
}

export async function extendLease(db: Db, runId: string, leaseUntilMs: number): Promise<void> {
  await db
    .updateTable("reconciliation")
    .set({ lease_until_ms: leaseUntilMs })
    .where("reconciliation_id", "=", runId)
    .execute();
}

export async function endRun(
  db: Db,
  runId: string,
  ending: Pick<RunRow, "state" | "ended_at" | "outcome" | "error">,
): Promise<void> {
  await db
    .updateTable("reconciliation")
    .set({ ...ending, lease_until_ms: null })
    .where("reconciliation_id", "=", runId)
    .execute();
}

export async function findRun(db: Db, runId: string): Promise<RunRow | undefined> {
  return db.selectFrom("reconciliation").selectAll().where("reconciliation_id", "=", runId).executeTakeFirst();
}

/** The run that was asked for last. */
export async function findNewestRun(db: Db): Promise<RunRow | undefined> {
  return db.selectFrom("reconciliation").selectAll().orderBy("requested_at", "desc").limit(1).executeTakeFirst();
}

/** Newest first, one more than the limit. */
export async function readRuns(db: Db, { after, limit }: Page): Promise<readonly RunRow[]> {
  return db
    .selectFrom("reconciliation")
    .selectAll()
    .$if(after !== undefined, (query) => query.where("reconciliation_id", "<", after ?? ""))
    .orderBy("reconciliation_id", "desc")
    .limit(limit + 1)
    .execute();
}
