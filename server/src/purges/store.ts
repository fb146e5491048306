import { type Selectable, sql } from "kysely";
import type { Db } from "../db/open-database.ts";
import type { Leg } from "../db/purge-tables.ts";
import type { Tables } from "../db/tables.ts";
import type { Items } from "./build-calls.ts";

export type PurgeRow = Selectable<Tables["purge"]>;
export type PartKey = Pick<PurgeRow, "event_id" | "part" | "round">;

export interface NewOrder extends Items {
  readonly event_id: string;
  readonly part: number;
  /** When the event happened. */
  readonly at_ms: number;
  readonly targets: readonly { readonly target: string; readonly leg: Leg }[];
}

/** Orders in one statement. */
const INSERT_BATCH = 100;

/** Writes orders and what they ask of each target. What is there already stays as it is. */
export async function insertOrders(db: Db, orders: readonly NewOrder[], dueAtMs: number): Promise<void> {
  for (let at = 0; at < orders.length; at += INSERT_BATCH) {
    const some = orders.slice(at, at + INSERT_BATCH);
    await sql`
      with added as (
        select * from json_to_recordset(${JSON.stringify(some)}::json) as added (
          event_id text, part integer, at_ms bigint, tags text[], urls text[], paths text[], targets json)
      ), orders as (
        insert into purge_order (event_id, part, at_ms, tags, urls, paths)
        select event_id, part, at_ms, tags, urls, paths from added
        on conflict do nothing
      )
      insert into purge (event_id, part, target, round, leg, due_at_ms)
      select event_id, part, wanted.target, 1, wanted.leg, ${dueAtMs}
        from added, json_to_recordset(added.targets) as wanted (target text, leg text)
      on conflict do nothing`.execute(db);
  }
}

/** A part that is ours to send. */
export type ClaimedPart = PartKey & Items & Pick<PurgeRow, "attempts" | "is_alone"> & { readonly at_ms: number };

/**
 * Writes that a target confirmed parts, and that they are sent again later, for a cache fill or a
 * fetch that was in flight. Answers the ones that were not confirmed before.
 */
export async function recordConfirmed(
  db: Db,
  { target, leg }: { readonly target: string; readonly leg: Leg },
  parts: readonly PartKey[],
  { nowMs, againAtMs }: { readonly nowMs: number; readonly againAtMs: number },
): Promise<readonly PartKey[]> {
  const { rows } = await sql<PartKey>`
    with ended as (
      ${keysOf(parts)}
    ), confirmed as (
      update purge set confirmed_at_ms = ${nowMs}, given_up_at_ms = null, last_error = null
        from ended
       where purge.event_id = ended.event_id and purge.part = ended.part and purge.round = ended.round
         and purge.target = ${target} and purge.confirmed_at_ms is null
      returning purge.event_id, purge.part, purge.round, purge.is_alone
    ), again as (
      insert into purge (event_id, part, target, round, leg, is_alone, due_at_ms)
      select event_id, part, ${target}, 2, ${leg}, is_alone, ${againAtMs} from confirmed where round = 1
      on conflict do nothing
    ), well as (
      insert into purge_target (target, leg, last_confirmed_at_ms) values (${target}, ${leg}, ${nowMs})
      on conflict (target) do update set last_confirmed_at_ms = ${nowMs}
    )
    select event_id, part, round from confirmed`.execute(db);
  return rows;
}

export interface FailedPart extends PartKey {
  readonly due_at_ms: number;
  readonly error: string;
  readonly is_alone: boolean;
  /** Set when it is given up. */
  readonly given_up_at_ms: number | null;
}

/** Writes that parts were not confirmed, and when they are tried again. What somebody else confirmed meanwhile stays so. */
export async function recordFailed(
  db: Db,
  { target, leg }: { readonly target: string; readonly leg: Leg },
  failed: readonly FailedPart[],
): Promise<void> {
  await sql`
    with failed as (
      select * from json_to_recordset(${JSON.stringify(failed)}::json) as failed (
        event_id text, part integer, round smallint, due_at_ms bigint, error text, is_alone boolean,
        given_up_at_ms bigint)
    ), waiting as (
      update purge
         set due_at_ms = failed.due_at_ms, last_error = failed.error, is_alone = failed.is_alone,
             given_up_at_ms = failed.given_up_at_ms
        from failed
       where purge.event_id = failed.event_id and purge.part = failed.part and purge.round = failed.round
         and purge.target = ${target} and purge.confirmed_at_ms is null
    )
    insert into purge_target (target, leg) values (${target}, ${leg}) on conflict (target) do nothing`.execute(db);
}

/** Deletes the oldest orders of before that instant, with what was asked of targets; answers how many. */
export async function deleteOrders(db: Db, beforeMs: number, limit: number): Promise<number> {
  return db.transaction().execute(async (trx) => {
    const old = await trx
      .selectFrom("purge_order")
      .select(["event_id", "part"])
      .where("at_ms", "<", beforeMs)
      .orderBy("at_ms")
      .limit(limit)
      .forUpdate()
      .skipLocked()
      .execute();
    if (old.length === 0) return 0;
    const named = sql`json_to_recordset(${JSON.stringify(old)}::json) as old (event_id text, part integer)`;
    for (const table of ["purge", "purge_order"])
      await sql`delete from ${sql.table(table)} kept using ${named}
                 where kept.event_id = old.event_id and kept.part = old.part`.execute(trx);
    return old.length;
  });
}

function keysOf(parts: readonly PartKey[]) {
  return sql`select * from json_to_recordset(${JSON.stringify(parts)}::json) as ended (event_id text, part integer, round smallint)`;
}
