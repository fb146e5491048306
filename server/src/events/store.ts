import { type JsonObject, canonicalize, isJsonObject, parseJsonObject, sha256Bytes } from "@licet/protocol";
import { randomBytes } from "node:crypto";
import { type Insertable, sql } from "kysely";
import { monotonicFactory } from "ulid";
import { anyOf } from "../db/any-of.ts";
import type { Db, Trx } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";
import type { QueueName } from "../jobs/jobs.ts";
import { EVENT_JOBS, type EventType } from "./event-jobs.ts";

const SALT_BYTES = 32;
/** What a commitment begins with, so that it can be taken for nothing else. */
const COMMITMENT_PREFIX = "licet/leaf/v1";

/** Something that happened. `aggregate` is what it happened to: a jti, a content or dataset id, … */
export interface NewEvent {
  readonly type: EventType;
  readonly aggregate: string;
  readonly body: JsonObject;
}

/** An event whose id was given before it is inserted. */
export interface NamedEvent extends NewEvent {
  readonly id: string;
}

export interface StoredEvent {
  readonly id: string;
  readonly type: string;
  readonly atMs: number;
  readonly aggregate: string;
  readonly body: JsonObject;
}

/** Within one millisecond ids still rise, so that the events of one fact keep their order. */
const nextUlid = monotonicFactory();

export function newEventId(atMs: number): string {
  return `evt_${nextUlid(atMs)}`;
}

/** Rows in one statement. */
const INSERT_BATCH = 1_000;

interface EventRows {
  readonly event: Insertable<Tables["event"]>;
  readonly body: Insertable<Tables["event_body"]>;
  readonly work: readonly Insertable<Tables["unhandled_event"]>[];
}

/**
 * Appends events: the public rows, the bodies with their salts, the rows that wait for the log and for
 * a position in the feed, and the rows that wait for workers. Answers the jobs that wake those, and the events' ids in order.
 */
export async function insertEvents(
  trx: Trx,
  events: readonly (NewEvent | NamedEvent)[],
  atMs: number,
): Promise<{ readonly work: readonly Insertable<Tables["unhandled_event"]>[]; readonly ids: readonly string[] }> {
  const rows = events.map((event) => rowsOf(event, atMs));
  for (let at = 0; at < rows.length; at += INSERT_BATCH) await insertRows(trx, rows.slice(at, at + INSERT_BATCH));
  return { work: rows.flatMap((row) => row.work), ids: rows.map((row) => row.event.id) };
}

/** The rows of all five tables in one statement; their references to each other are looked at when it ends. */
async function insertRows(trx: Trx, rows: readonly EventRows[]): Promise<void> {
  const work = rows.flatMap((row) => row.work);
  await sql`
    with added as (
      select * from unnest(
        ${rows.map(({ event }) => event.id)}::text[], ${rows.map(({ event }) => event.type)}::text[],
        ${rows.map(({ event }) => event.at_ms)}::bigint[], ${rows.map(({ event }) => event.aggregate)}::text[],
        ${rows.map(({ event }) => base64Of(event.commitment))}::text[],
        ${rows.map(({ body }) => base64Of(body.salt))}::text[], ${rows.map(({ body }) => body.body)}::text[]
      ) with ordinality as added (id, type, at_ms, aggregate, commitment, salt, body, place)
    ), events as (
      insert into event (id, type, at_ms, aggregate, commitment)
      select id, type, at_ms, aggregate, decode(commitment, 'base64') from added
    ), bodies as (
      insert into event_body (event_id, salt, body) select id, decode(salt, 'base64'), body from added
    ), unlogged as (
      insert into unlogged_event (event_id) select id from added
    ), unsequenced as (
      insert into unsequenced_event (event_id) select id from added order by place
    )
    insert into unhandled_event (event_id, queue, at_ms)
    select * from unnest(${work.map((row) => row.event_id)}::text[], ${work.map((row) => row.queue)}::text[],
                         ${work.map((row) => row.at_ms)}::bigint[])`.execute(trx);
}

function base64Of(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}

function rowsOf(event: NewEvent | NamedEvent, atMs: number): EventRows {
  const { type, aggregate, body } = event;
  const id = "id" in event ? event.id : newEventId(atMs);
  const text = canonicalize({ id, type, at_ms: atMs, aggregate, body });
  const salt = randomBytes(SALT_BYTES);
  const commitment = sha256Bytes(Buffer.concat([Buffer.from(COMMITMENT_PREFIX), salt, Buffer.from(text)]));
  return {
    event: { id, type, at_ms: atMs, aggregate, commitment },
    body: { event_id: id, salt, body: text },
    work: EVENT_JOBS[type].map((queue) => ({ event_id: id, queue, at_ms: atMs })),
  };
}

/** Events that a queue's workers have not dealt with although they are this old: their job was lost, or fails. */
export async function readUnhandled(
  db: Db,
  queue: QueueName,
  { beforeMs, limit }: { readonly beforeMs: number; readonly limit: number },
): Promise<readonly string[]> {
  const rows = await db
    .selectFrom("unhandled_event")
    .select("event_id")
    .where("queue", "=", queue)
    .where("at_ms", "<", beforeMs)
    .orderBy("at_ms")
    .orderBy("event_id")
    .limit(limit)
    .execute();
  return rows.map((row) => row.event_id);
}

export async function markHandled(db: Db, queue: QueueName, eventId: string): Promise<void> {
  await db.deleteFrom("unhandled_event").where("event_id", "=", eventId).where("queue", "=", queue).execute();
}

/** An event with its body; undefined when there is none, or when its body was erased. */
export async function findEvent(db: Db | Trx, id: string): Promise<StoredEvent | undefined> {
  const row = await db
    .selectFrom("event")
    .innerJoin("event_body", "event_body.event_id", "event.id")
    .selectAll()
    .where("event.id", "=", id)
    .executeTakeFirst();
  return row === undefined ? undefined : storedOf(row);
}

/** What happened to one aggregate, oldest first. */
export async function eventsOf(db: Db | Trx, aggregate: string): Promise<readonly StoredEvent[]> {
  const rows = await db
    .selectFrom("event")
    .innerJoin("event_body", "event_body.event_id", "event.id")
    .selectAll()
    .where("aggregate", "=", aggregate)
    .orderBy("at_ms")
    .orderBy("id")
    .execute();
  return rows.map(storedOf);
}

/** True when this once happened to the aggregate: how a slice learns of one to its right. */
export async function hasHappened(db: Db | Trx, type: EventType, aggregate: string): Promise<boolean> {
  const row = await db
    .selectFrom("event")
    .select("id")
    .where("aggregate", "=", aggregate)
    .where("type", "=", type)
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

/** What happened to each of these last, of some types: its id by aggregate. */
export async function readNewestIds(
  db: Db | Trx,
  aggregates: readonly string[],
  types: readonly EventType[],
): Promise<ReadonlyMap<string, string>> {
  const rows = await db
    .selectFrom("event")
    .select(["id", "aggregate"])
    .where("aggregate", "=", anyOf(aggregates))
    .where("type", "=", anyOf(types))
    .orderBy("at_ms")
    .orderBy("id")
    .execute();
  return new Map(rows.map((row) => [row.aggregate, row.id]));
}

/** When facts were committed, noted right after it; once noted it stays. */
export async function insertCommits(db: Db, eventIds: readonly string[], committedAtMs: number): Promise<void> {
  await sql`
    insert into event_commit (event_id, committed_at_ms)
    select id, ${committedAtMs}::bigint from event where id = ${anyOf(eventIds)}
        on conflict do nothing`.execute(db);
}

export async function readCommits(db: Db | Trx, eventIds: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const rows = await db.selectFrom("event_commit").selectAll().where("event_id", "=", anyOf(eventIds)).execute();
  return new Map(rows.map((row) => [row.event_id, row.committed_at_ms]));
}

function storedOf(row: {
  readonly id: string;
  readonly type: string;
  readonly at_ms: number;
  readonly aggregate: string;
  readonly body: string;
}): StoredEvent {
  return {
    id: row.id,
    type: row.type,
    atMs: row.at_ms,
    aggregate: row.aggregate,
    body: readEventBody(row.id, row.body),
  };
}

/** What an event says, out of the text that was committed to. */
export function readEventBody(eventId: string, text: string): JsonObject {
  const parsed = parseJsonObject(text);
  const body = parsed.ok ? parsed.value["body"] : undefined;
  if (!isJsonObject(body)) throw new TypeError(`event ${eventId}: expected its body to be an object`);
  return body;
}
