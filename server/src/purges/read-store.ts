import { sql } from "kysely";
import { anyOf } from "../db/any-of.ts";
import type { Db } from "../db/open-database.ts";
import type { Leg } from "../db/purge-tables.ts";

export const PURGE_STATES = ["waiting", "confirmed", "given_up"] as const;

/** One part of what an event purges, at one target. Instants in milliseconds since the epoch. */
export interface ListedPurge {
  readonly event_id: string;
  readonly part: number;
  readonly target: string;
  readonly round: 1 | 2;
  readonly leg: Leg;
  readonly state: (typeof PURGE_STATES)[number];
  readonly at_ms: number;
  readonly tags: number;
  readonly urls: number;
  readonly paths: number;
  readonly attempts: number;
  readonly due_at_ms: number;
  readonly requested_at_ms: number | null;
  readonly confirmed_at_ms: number | null;
  readonly last_error: string | null;
}

export type PurgeCursor = Pick<ListedPurge, "event_id" | "part" | "target" | "round">;

export interface PurgeSelection {
  readonly target: string | undefined;
  readonly state: ListedPurge["state"] | undefined;
  readonly cursor: PurgeCursor | undefined;
  readonly limit: number;
}

const STATE = sql<ListedPurge["state"]>`
  case when confirmed_at_ms is not null then 'confirmed' when given_up_at_ms is not null then 'given_up' else 'waiting' end`;

/** What targets were asked for, newest event first. */
export async function readPurges(
  db: Db,
  { target, state, cursor, limit }: PurgeSelection,
): Promise<readonly ListedPurge[]> {
  const after =
    cursor === undefined
      ? sql`true`
      : sql`(purge.event_id < ${cursor.event_id} or (purge.event_id = ${cursor.event_id}
              and (purge.part, purge.target, purge.round) > (${cursor.part}::int, ${cursor.target}, ${cursor.round}::smallint)))`;
  const { rows } = await sql<ListedPurge>`
    select purge.event_id, purge.part, purge.target, purge.round, purge.leg, ${STATE} as state,
           ordered.at_ms::float8 as at_ms, cardinality(ordered.tags) as tags, cardinality(ordered.urls) as urls,
           cardinality(ordered.paths) as paths, purge.attempts, purge.due_at_ms::float8 as due_at_ms,
           purge.requested_at_ms::float8 as requested_at_ms, purge.confirmed_at_ms::float8 as confirmed_at_ms,
           purge.last_error
      from purge
      join purge_order ordered on ordered.event_id = purge.event_id and ordered.part = purge.part
     where ${after}
       and (${target ?? null}::text is null or purge.target = ${target ?? null})
       and (${state ?? null}::text is null or ${STATE} = ${state ?? null})
     order by purge.event_id desc, purge.part, purge.target, purge.round
     limit ${limit}`.execute(db);
  return rows;
}

/** What waits to be confirmed for the first time; a target at which nothing waits is left out. */
export async function readWaiting(
  db: Db,
  targets: readonly string[],
): Promise<readonly { readonly target: string; readonly waiting: number; readonly oldest_ms: number }[]> {
  const { rows } = await sql<{ target: string; waiting: number; oldest_ms: number }>`
    select purge.target, count(*)::int as waiting, min(ordered.at_ms)::float8 as oldest_ms
      from purge
      join purge_order ordered on ordered.event_id = purge.event_id and ordered.part = purge.part
     where purge.target = ${anyOf(targets)} and purge.round = 1
       and purge.confirmed_at_ms is null and purge.given_up_at_ms is null
     group by purge.target`.execute(db);
  return rows;
}
