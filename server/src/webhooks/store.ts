import { type Expression, type SqlBool, type Selectable, expressionBuilder, sql } from "kysely";
import type { Db, Trx } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";

export type DeliveryRow = Selectable<Tables["webhook_delivery"]>;
export type AttemptRow = Selectable<Tables["webhook_attempt"]>;
export type DeliveryKey = Pick<DeliveryRow, "endpoint_id" | "dataset_id" | "sequence">;

/**
 * How a delivery stands. What waits at an endpoint that is disabled is held; at one that was deleted
 * it is cancelled.
 */
export const DELIVERY_STATES = ["waiting", "held", "cancelled", "delivered", "failed"] as const;
export type DeliveryState = (typeof DELIVERY_STATES)[number];

/** A delivery as it is read: how it stands, with its endpoint taken into account. */
export type ReadDelivery = DeliveryRow & { readonly standing: DeliveryState };

export interface DeliveryFilter {
  readonly marketplaceId: string | undefined;
  readonly datasetId?: string | undefined;
  readonly endpointId?: string | undefined;
  readonly messageId?: string | undefined;
  readonly states?: readonly DeliveryState[] | undefined;
  /** From this instant on, and before that one; milliseconds since the epoch. */
  readonly sinceMs?: number | undefined;
  readonly untilMs?: number | undefined;
}

const STANDING = sql<DeliveryState>`
  case when webhook_delivery.state <> 'waiting' then webhook_delivery.state
       when webhook_endpoint.deleted_at is not null then 'cancelled'
       when webhook_endpoint.disabled_at is not null then 'held'
       else 'waiting' end`;

/** Deliveries in the order of their messages, newest last. */
export async function readDeliveries(
  db: Db,
  filter: DeliveryFilter,
  { after, limit }: { readonly after: string | undefined; readonly limit: number },
): Promise<readonly ReadDelivery[]> {
  return db
    .selectFrom("webhook_delivery")
    .innerJoin("webhook_endpoint", "webhook_endpoint.endpoint_id", "webhook_delivery.endpoint_id")
    .selectAll("webhook_delivery")
    .select(STANDING.as("standing"))
    .where(matching(filter))
    .$if(after !== undefined, (query) => query.where("message_id", ">", after ?? ""))
    .orderBy("message_id")
    .limit(limit)
    .execute();
}

function matching(filter: DeliveryFilter): Expression<SqlBool> {
  const { marketplaceId, datasetId, endpointId, messageId, states, sinceMs, untilMs } = filter;
  const where = expressionBuilder<
    Pick<Tables, "webhook_delivery" | "webhook_endpoint">,
    "webhook_delivery" | "webhook_endpoint"
  >();
  return where.and([
    ...(marketplaceId === undefined ? [] : [where("webhook_endpoint.marketplace_id", "=", marketplaceId)]),
    ...(datasetId === undefined ? [] : [where("webhook_delivery.dataset_id", "=", datasetId)]),
    ...(endpointId === undefined ? [] : [where("webhook_delivery.endpoint_id", "=", endpointId)]),
    ...(messageId === undefined ? [] : [where("webhook_delivery.message_id", "=", messageId)]),
    ...(states === undefined ? [] : [sql<SqlBool>`${STANDING} = any(${[...states]}::text[])`]),
    ...(sinceMs === undefined ? [] : [where("webhook_delivery.created_at_ms", ">=", sinceMs)]),
    ...(untilMs === undefined ? [] : [where("webhook_delivery.created_at_ms", "<", untilMs)]),
  ]);
}

/** An event in one dataset. */
export interface EventInDataset {
  readonly eventId: string;
  readonly datasetId: string;
}

/**
 * What a marketplace was sent of these events, through the oldest of its endpoints that hears of
 * them. Answers a function that finds the body; undefined where nothing was sent, or not yet.
 */
export async function findSentBodies(
  db: Db,
  marketplaceId: string,
  events: readonly EventInDataset[],
): Promise<(event: EventInDataset) => string | undefined> {
  const [eventIds, datasetIds] = [events.map((event) => event.eventId), events.map((event) => event.datasetId)];
  const { rows } = await sql<EventInDataset & { body: string }>`
    select distinct on (sent.event_id, sent.dataset_id) sent.event_id as "eventId", sent.dataset_id as "datasetId", sent.body
      from unnest(${eventIds}::text[], ${datasetIds}::text[]) as wanted (event_id, dataset_id)
      join webhook_delivery sent using (event_id, dataset_id)
      join webhook_endpoint endpoint
        on endpoint.endpoint_id = sent.endpoint_id and endpoint.marketplace_id = ${marketplaceId}
     order by sent.event_id, sent.dataset_id, sent.endpoint_id`.execute(db);
  const nameOf = ({ eventId, datasetId }: EventInDataset) => `${eventId} ${datasetId}`;
  const bodies = new Map(rows.map((row) => [nameOf(row), row.body]));
  return (event) => bodies.get(nameOf(event));
}

/** The attempts at these deliveries, oldest first. */
export async function readAttempts(db: Db, deliveries: readonly DeliveryKey[]): Promise<readonly AttemptRow[]> {
  const [endpoints, datasets, sequences] = [
    deliveries.map((row) => row.endpoint_id),
    deliveries.map((row) => row.dataset_id),
    deliveries.map((row) => row.sequence),
  ];
  const { rows } = await sql<AttemptRow>`
    select webhook_attempt.*
      from webhook_attempt
      join unnest(${endpoints}::text[], ${datasets}::text[], ${sequences}::bigint[]) as wanted (endpoint_id, dataset_id, sequence) using (endpoint_id, dataset_id, sequence)
     order by webhook_attempt.attempt`.execute(db);
  return rows;
}

/** Makes the oldest of these deliveries due again, under the same id and sequence; answers when each was written. */
export async function makeDue(
  db: Db | Trx,
  filter: DeliveryFilter,
  { nowMs, limit }: { readonly nowMs: number; readonly limit: number },
): Promise<readonly number[]> {
  const rows = await db
    .updateTable("webhook_delivery")
    .set((set) => ({
      state: "waiting",
      next_attempt_at_ms: nowMs,
      delivered_at_ms: null,
      attempts_before: set.ref("webhook_delivery.attempts"),
    }))
    .where("message_id", "in", (query) =>
      query
        .selectFrom("webhook_delivery")
        .innerJoin("webhook_endpoint", "webhook_endpoint.endpoint_id", "webhook_delivery.endpoint_id")
        .select("webhook_delivery.message_id")
        .where(matching(filter))
        .orderBy("webhook_delivery.message_id")
        .limit(limit),
    )
    .returning("created_at_ms")
    .execute();
  return rows.map((row) => row.created_at_ms);
}

export async function countWaiting(db: Db, endpointId: string, change: string): Promise<number> {
  const { count } = await db
    .selectFrom("webhook_delivery")
    .select((query) => query.fn.countAll<number>().as("count"))
    .where("endpoint_id", "=", endpointId)
    .where("state", "=", "waiting")
    .where("change", "=", change)
    .executeTakeFirstOrThrow();
  return count;
}

/** Deletes the oldest deliveries of before that instant, with their attempts; answers how many. */
export async function deleteDeliveries(db: Db, beforeMs: number, limit: number): Promise<number> {
  return db.transaction().execute(async (trx) => {
    const old = await trx
      .selectFrom("webhook_delivery")
      .select(["endpoint_id", "dataset_id", "sequence"])
      .where("created_at_ms", "<", beforeMs)
      .orderBy("created_at_ms")
      .limit(limit)
      .forUpdate()
      .skipLocked()
      .execute();
    if (old.length === 0) return 0;
    const named = sql`json_to_recordset(${JSON.stringify(old)}::json) as old (endpoint_id text, dataset_id text, sequence bigint)`;
    for (const table of ["webhook_attempt", "webhook_delivery"])
      await sql`delete from ${sql.table(table)} kept using ${named}
                 where kept.endpoint_id = old.endpoint_id and kept.dataset_id = old.dataset_id and kept.sequence = old.sequence`.execute(
        trx,
      );
    return old.length;
  });
}
