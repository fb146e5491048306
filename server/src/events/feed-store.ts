import { type Insertable, sql } from "kysely";
import { ulid } from "ulid";
import { ADVISORY_LOCKS } from "../db/advisory-locks.ts";
import { FIRST_NUMBER } from "../db/first-number.ts";
import type { Db, Trx } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";
import { type Audience, type FeedEvent, audiencesOf } from "./feed-audiences.ts";
import { readEventBody } from "./store.ts";

/** True when events wait for a position. */
export async function hasUnsequenced(db: Db): Promise<boolean> {
  const row = await db.selectFrom("unsequenced_event").select("serial").limit(1).executeTakeFirst();
  return row !== undefined;
}

/** Keeps everybody else from giving positions until the commit; what others gave is seen by the statements after this one. */
export async function lockFeed(trx: Trx): Promise<void> {
  await sql`select pg_advisory_xact_lock(${ADVISORY_LOCKS.feed}::bigint)`.execute(trx);
}

export type UnsequencedEvent = FeedEvent & { readonly id: string };

/** Takes the events that have waited longest, in the order of their facts, out of the waiting. */
export async function takeUnsequenced(trx: Trx, limit: number): Promise<readonly UnsequencedEvent[]> {
  const { rows } = await sql<{ id: string; type: string; aggregate: string; body: string | null }>`
    with taken as (
      delete from unsequenced_event
       where serial in (select serial from unsequenced_event order by serial limit ${limit})
      returning serial, event_id)
    select event.id, event.type, event.aggregate, event_body.body
      from taken
      join event on event.id = taken.event_id
      left join event_body on event_body.event_id = event.id
     order by taken.serial`.execute(trx);
  return rows.map(({ body, ...event }) => ({
    ...event,
    body: body === null ? undefined : readEventBody(event.id, body),
  }));
}

/** Rows in one statement: one event may have as many as there are datasets. */
const SLICE = 5_000;

/** Gives events their positions, under the lock of the feed. Answers the last position. */
export async function insertPositions(trx: Trx, events: readonly UnsequencedEvent[], nowMs: number): Promise<number> {
  let last = await readLastPosition(trx);
  let rows: FeedEntry[] = [];
  for (const { event_id, audience, id } of audiencesIn(events)) {
    last += 1;
    const message_id = audience === "offer" ? `evt_${ulid(nowMs)}` : null;
    rows.push({ position: last, event_id, audience, audience_id: id, message_id });
    if (rows.length < SLICE) continue;
    await insertRows(trx, rows);
    rows = [];
  }
  if (rows.length > 0) await insertRows(trx, rows);
  return last;
}

type FeedEntry = Insertable<Tables["event_feed"]>;

function* audiencesIn(events: readonly UnsequencedEvent[]): Generator<Audience & { readonly event_id: string }> {
  for (const event of events) for (const audience of audiencesOf(event)) yield { event_id: event.id, ...audience };
}

async function insertRows(trx: Trx, rows: readonly FeedEntry[]): Promise<void> {
  await sql`
    insert into event_feed (position, event_id, audience, audience_id, message_id)
    select position, event_id, audience, audience_id, message_id
      from json_to_recordset(${JSON.stringify(rows)}::json) as added (
        position bigint, event_id text, audience text, audience_id text, message_id text)`.execute(trx);
}

/** The highest position that was given out, also before a restore. */
export async function readLastPosition(db: Db | Trx): Promise<number> {
  const { last } = await db
    .selectFrom("event_feed")
    .select((query) => sql<number>`greatest(coalesce(${query.fn.max("position")}, 0), ${FIRST_NUMBER})`.as("last"))
    .executeTakeFirstOrThrow();
  return last;
}

/** The event, in one dataset, that the feed calls by a message's id. */
export async function findFeedMessage(
  db: Db,
  messageId: string,
): Promise<{ readonly eventId: string; readonly datasetId: string } | undefined> {
  return db
    .selectFrom("event_feed")
    .select(["event_id as eventId", "audience_id as datasetId"])
    .where("message_id", "=", messageId)
    .executeTakeFirst();
}
