import { type Selectable, sql } from "kysely";
import { anyOf } from "../db/any-of.ts";
import type { Db, Trx } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";

/** How a target does: by what it was asked for longest ago and has not confirmed, whatever else it confirmed meanwhile. */
export interface TargetRow extends Selectable<Tables["purge_target"]> {
  /** When that was first sent; null when everything that was sent is confirmed or given up. */
  readonly failing_since_ms: number | null;
  /** What was said to it; null while the first answer is awaited. */
  readonly last_error: string | null;
}

/** What was sent to a target longest ago of what it has not confirmed. */
const OLDEST = sql`
  (select purge.requested_at_ms, purge.last_error from purge
    where purge.target = purge_target.target and purge.confirmed_at_ms is null and purge.given_up_at_ms is null
      and purge.attempts > 0
    order by purge.requested_at_ms limit 1)`;

/** How targets do; one that was never asked for anything has no row. */
export async function readTargets(db: Db, targets: readonly string[]): Promise<readonly TargetRow[]> {
  const { rows } = await sql<TargetRow>`
    select purge_target.target, purge_target.leg, purge_target.warned_at_ms::float8 as warned_at_ms,
           purge_target.last_confirmed_at_ms::float8 as last_confirmed_at_ms,
           oldest.requested_at_ms::float8 as failing_since_ms, oldest.last_error
      from purge_target left join lateral ${OLDEST} oldest on true
     where purge_target.target = ${anyOf(targets)}
     order by purge_target.target`.execute(db);
  return rows;
}

/** Marks a target as told of at which something is late since before that instant; undefined when it is well again, or was told of before. */
export async function markWarned(
  trx: Trx,
  target: string,
  { nowMs, beforeMs }: { readonly nowMs: number; readonly beforeMs: number },
): Promise<Pick<TargetRow, "failing_since_ms" | "last_error"> | undefined> {
  const { rows } = await sql<Pick<TargetRow, "failing_since_ms" | "last_error">>`
    with late as (
      select oldest.requested_at_ms::float8 as failing_since_ms, oldest.last_error
        from purge_target cross join lateral ${OLDEST} oldest
       where purge_target.target = ${target} and oldest.requested_at_ms <= ${beforeMs}
    ), told as (
      update purge_target set warned_at_ms = ${nowMs} from late
       where target = ${target} and warned_at_ms is null
      returning target
    )
    select late.* from late, told`.execute(trx);
  return rows[0];
}

/** Forgets that a target was told of; false unless it was, and nothing is late there since before that instant. */
export async function markRecovered(trx: Trx, target: string, beforeMs: number): Promise<boolean> {
  const { rows } = await sql<{ target: string }>`
    update purge_target set warned_at_ms = null
     where target = ${target} and warned_at_ms is not null
       and not exists (select from ${OLDEST} oldest where oldest.requested_at_ms <= ${beforeMs})
    returning target`.execute(trx);
  return rows.length > 0;
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
