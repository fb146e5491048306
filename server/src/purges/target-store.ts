import { type Selectable, sql } from "kysely";
import { anyOf } from "../db/any-of.ts";
import type { Db, Trx } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";

export type TargetRow = Selectable<Tables["purge_target"]>;

/** How targets do; one that was never asked for anything has no row. */
export async function readTargets(db: Db, targets: readonly string[]): Promise<readonly TargetRow[]> {
  return db.selectFrom("purge_target").selectAll().where("target", "=", anyOf(targets)).orderBy("target").execute();
}

/** Marks a target that fails since before that instant as told of; false when it is well again, or was told of before. */
export async function markWarned(
  trx: Trx,
  target: string,
  { nowMs, beforeMs }: { readonly nowMs: number; readonly beforeMs: number },
): Promise<TargetRow | undefined> {
  return trx
    .updateTable("purge_target")
    .set({ warned_at_ms: nowMs })
    .where("target", "=", target)
    .where("warned_at_ms", "is", null)
    .where("failing_since_ms", "<=", beforeMs)
    .returningAll()
    .executeTakeFirst();
}

/** Forgets that a target was told of; undefined unless it was, and is well again. */
export async function markRecovered(trx: Trx, target: string): Promise<TargetRow | undefined> {
  return trx
    .updateTable("purge_target")
    .set({ warned_at_ms: null })
    .where("target", "=", target)
    .where("warned_at_ms", "is not", null)
    .where("failing_since_ms", "is", null)
    .returningAll()
    .executeTakeFirst();
}

/** The next number of a refresh: above every one before, also those of before a restore, as long as clocks are right. */
export async function takeRefreshSeq(db: Db, nowMs: number): Promise<number> {
  const { rows } = await sql<{ seq: number }>`
    insert into edge_refresh_seq (id, seq) values (1, ${nowMs})
    on conflict (id) do update set seq = greatest(edge_refresh_seq.seq + 1, ${nowMs}::bigint)
    returning seq::float8 as seq`.execute(db);
  const [row] = rows;
  if (row === undefined) throw new TypeError("expected a number for a refresh, got none");
  return row.seq;
}
