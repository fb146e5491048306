import { sql } from "kysely";
import { ulid } from "ulid";
import { ADVISORY_LOCKS } from "../db/advisory-locks.ts";
import { FIRST_NUMBER } from "../db/first-number.ts";
import type { Db, Trx } from "../db/open-database.ts";
import { type FeedEvent, audiencesOf } from "./feed-audiences.ts";
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

/** Gives events their positions, under the lock of the feed. Answers the last position. */
export async function insertPositions(trx: Trx, events: readonly UnsequencedEvent[], nowMs: number): Promise<number> {
  const last = await readLastPosition(trx);
  const rows = events
    .flatMap((event) => audiencesOf(event).map((audience) => ({ event_id: event.id, ...audience })))
    .map(({ event_id, audience, id }, index) => ({
      position: last + index + 1,
      event_id,
      audience,
      audience_id: id,
      message_id: audience === "offer" ? `evt_${ulid(nowMs)}` : null,
    }));
  await sql`
    insert into event_feed (position, event_id, audience, audience_id, message_id)
    select position, event_id, audience, audience_id, message_id
      from json_to_recordset(${JSON.stringify(rows)}::json) as added (
        position bigint, event_id text, audience text, audience_id text, message_id text)`.execute(trx);
  return last + rows.length;
}

/** The highest position that was given out, also before a restore. */
export async function readLastPosition(db: Db | Trx): Promise<number> {
  const { last } = await db
    .selectFrom("event_feed")
    .select((query) => sql<number>`greatest(coalesce(${query.fn.max("position")}, 0), ${FIRST_NUMBER})`.as("last"))
    .executeTakeFirstOrThrow();
  return last;
}
