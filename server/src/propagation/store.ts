import { type Selectable, sql } from "kysely";
import { anyOf } from "../db/any-of.ts";
import type { Db, Trx } from "../db/open-database.ts";
import type { Leg } from "../db/propagation-tables.ts";
import type { Tables } from "../db/tables.ts";

export type PropagationRow = Selectable<Tables["propagation"]>;
export type LegRow = Selectable<Tables["propagation_leg"]>;

/** Begins to follow a fact, which is locked until the commit; undefined when somebody has begun already. */
export async function insertPropagation(trx: Trx, row: PropagationRow): Promise<PropagationRow | undefined> {
  return trx
    .insertInto("propagation")
    .values(row)
    .onConflict((conflict) => conflict.doNothing())
    .returningAll()
    .executeTakeFirst();
}

export async function findPropagation(db: Db | Trx, eventId: string): Promise<PropagationRow | undefined> {
  return db.selectFrom("propagation").selectAll().where("event_id", "=", eventId).executeTakeFirst();
}

/** Those of these facts that are still followed, locked in the order of their ids. */
export async function lockPropagations(trx: Trx, eventIds: readonly string[]): Promise<readonly PropagationRow[]> {
  return trx
    .selectFrom("propagation")
    .selectAll()
    .where("event_id", "=", anyOf(eventIds))
    .where("is_forgotten", "=", false)
    .orderBy("event_id")
    .forUpdate()
    .execute();
}

/** Facts whose legs are to be looked at, the longest due first. */
export async function readDueIds(
  db: Db,
  { nowMs, limit }: { readonly nowMs: number; readonly limit: number },
): Promise<readonly string[]> {
  const rows = await db
    .selectFrom("propagation")
    .select("event_id")
    .where("next_look_at_ms", "<=", nowMs)
    .orderBy("next_look_at_ms")
    .limit(limit)
    .execute();
  return rows.map((row) => row.event_id);
}

/** Refusals that were committed since an instant and that nobody follows: who was to begin died before. */
export async function readUnfollowedIds(
  db: Db,
  { sinceMs, limit }: { readonly sinceMs: number; readonly limit: number },
): Promise<readonly string[]> {
  const rows = await db
    .selectFrom("event_commit")
    .leftJoin("propagation", "propagation.event_id", "event_commit.event_id")
    .select("event_commit.event_id")
    .where("committed_at_ms", ">=", sinceMs)
    .where("propagation.event_id", "is", null)
    .orderBy("committed_at_ms")
    .limit(limit)
    .execute();
  return rows.map((row) => row.event_id);
}

/** Those of these events that some worker has not dealt with, so that more legs may come. */
export async function readUnhandledIds(db: Db | Trx, eventIds: readonly string[]): Promise<ReadonlySet<string>> {
  const rows = await db
    .selectFrom("unhandled_event")
    .select("event_id")
    .where("event_id", "=", anyOf(eventIds))
    .execute();
  return new Set(rows.map((row) => row.event_id));
}

export async function readLegs(db: Db | Trx, eventIds: readonly string[]): Promise<readonly LegRow[]> {
  return db.selectFrom("propagation_leg").selectAll().where("event_id", "=", anyOf(eventIds)).execute();
}

/** Writes legs, new or changed, in one statement; their facts are locked. */
export async function saveLegs(trx: Trx, legs: readonly LegRow[]): Promise<void> {
  if (legs.length === 0) return;
  await sql`
    insert into propagation_leg (event_id, leg, target, number, marketplace_id, dataset_id, state, sequence, at_ms, attempts, last_error)
    select event_id, leg, target, number, marketplace_id, dataset_id, state, sequence, at_ms, attempts, last_error
      from json_to_recordset(${JSON.stringify(legs)}::json) as saved (
        event_id text, leg text, target text, number integer, marketplace_id text, dataset_id text, state text, sequence integer,
        at_ms bigint, attempts integer, last_error text)
        on conflict (event_id, leg, target) do update
       set state = excluded.state, sequence = excluded.sequence, at_ms = excluded.at_ms,
           attempts = excluded.attempts, last_error = excluded.last_error`.execute(trx);
}

export async function savePropagations(
  trx: Trx,
  rows: readonly Pick<PropagationRow, "event_id" | "last_sequence" | "is_done" | "next_look_at_ms">[],
): Promise<void> {
  if (rows.length === 0) return;
  await sql`
    update propagation
       set last_sequence = saved.last_sequence, is_done = saved.is_done, next_look_at_ms = saved.next_look_at_ms
      from json_to_recordset(${JSON.stringify(rows)}::json) as saved (
        event_id text, last_sequence integer, is_done boolean, next_look_at_ms bigint)
     where propagation.event_id = saved.event_id`.execute(trx);
}

/** One leg of a fact that took so long; `day` is the fact's, in UTC. */
export interface TimedLeg {
  readonly day: string;
  readonly leg: Leg;
  readonly up_to_ms: number;
  readonly took_ms: number;
}

/** Adds to the sums of days, in one order for everybody. */
export async function countTimes(trx: Trx, timed: readonly TimedLeg[]): Promise<void> {
  if (timed.length === 0) return;
  await sql`
    insert into propagation_day (day, leg, up_to_ms, legs, worst_ms)
    select day, leg, up_to_ms, count(*), max(took_ms)
      from json_to_recordset(${JSON.stringify(timed)}::json) as timed (day date, leg text, up_to_ms bigint, took_ms bigint)
     group by day, leg, up_to_ms
     order by day, leg, up_to_ms
        on conflict (day, leg, up_to_ms) do update
       set legs = propagation_day.legs + excluded.legs,
           worst_ms = greatest(propagation_day.worst_ms, excluded.worst_ms)`.execute(trx);
}

/** What a reader may see of a fact's legs: all, or a marketplace's own and the commit. */
export interface LegFilter {
  readonly eventId: string;
  readonly marketplaceId: string | undefined;
}

const ofReader = ({ eventId, marketplaceId }: LegFilter) =>
  marketplaceId === undefined
    ? sql<boolean>`event_id = ${eventId}`
    : sql<boolean>`event_id = ${eventId} and (marketplace_id = ${marketplaceId} or leg = 'committed')`;

/** Legs by kind, in the order of their numbers, one more than the limit; after the one that `after` names. */
export async function readLegPage(
  db: Db,
  filter: LegFilter,
  { after, limit }: { readonly after: Pick<LegRow, "leg" | "number"> | undefined; readonly limit: number },
): Promise<readonly LegRow[]> {
  return db
    .selectFrom("propagation_leg")
    .selectAll()
    .where(ofReader(filter))
    .$if(after !== undefined, (query) =>
      query.where((is) =>
        is(is.refTuple("leg", "number"), ">", is.tuple(after?.leg ?? "committed", after?.number ?? 0)),
      ),
    )
    .orderBy("leg")
    .orderBy("number")
    .limit(limit + 1)
    .execute();
}

/** Legs that were found done after a sequence, in their order. */
export async function readLegsAfter(
  db: Db,
  filter: LegFilter,
  { sequence, limit }: { readonly sequence: number; readonly limit: number },
): Promise<readonly LegRow[]> {
  return db
    .selectFrom("propagation_leg")
    .selectAll()
    .where(ofReader(filter))
    .where("sequence", ">", sequence)
    .orderBy("sequence")
    .limit(limit)
    .execute();
}

export type LegSum = Omit<Selectable<Tables["propagation_total"]>, "event_id">;

/** A fact's legs added up: those that are kept, or what stayed of forgotten ones. */
export async function sumLegs(db: Db, filter: LegFilter): Promise<readonly LegSum[]> {
  const { rows } = await sql<LegSum>`
    select leg, count(*)::int as targets, count(*) filter (where state = 'done')::int as done,
           count(*) filter (where state = 'failed')::int as failed,
           min(at_ms)::float8 as first_at_ms, max(at_ms)::float8 as last_at_ms
      from propagation_leg where ${ofReader(filter)} group by leg`.execute(db);
  if (rows.length > 0 || filter.marketplaceId !== undefined) return rows;
  return db
    .selectFrom("propagation_total")
    .select(["leg", "targets", "done", "failed", "first_at_ms", "last_at_ms"])
    .where("event_id", "=", filter.eventId)
    .execute();
}

/** True when something of the fact concerns the marketplace. */
export async function concernsMarketplace(db: Db, eventId: string, marketplaceId: string): Promise<boolean> {
  const row = await db
    .selectFrom("propagation_leg")
    .select("target")
    .where("event_id", "=", eventId)
    .where("marketplace_id", "=", marketplaceId)
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}
