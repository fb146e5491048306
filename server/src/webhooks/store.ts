import { type Selectable, sql } from "kysely";
import type { Db, Trx } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";

export type DeliveryRow = Selectable<Tables["webhook_delivery"]>;
export type AttemptRow = Selectable<Tables["webhook_attempt"]>;
export type DeliveryKey = Pick<DeliveryRow, "endpoint_id" | "dataset_id" | "sequence">;

/** The last sequence given to an endpoint for a dataset, its row locked until the commit. */
export async function lockSequence(trx: Trx, endpointId: string, datasetId: string): Promise<number> {
  await trx
    .insertInto("webhook_sequence")
    .values({ endpoint_id: endpointId, dataset_id: datasetId, sequence: 0 })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  const row = await trx
    .selectFrom("webhook_sequence")
    .select("sequence")
    .where("endpoint_id", "=", endpointId)
    .where("dataset_id", "=", datasetId)
    .forUpdate()
    .executeTakeFirstOrThrow();
  return row.sequence;
}

/** True when this event was fanned out to the endpoint before. */
export async function isFannedOut(
  trx: Trx,
  {
    endpointId,
    datasetId,
    eventId,
    subject,
  }: { readonly endpointId: string; readonly datasetId: string; readonly eventId: string; readonly subject: string },
): Promise<boolean> {
  const row = await trx
    .selectFrom("webhook_delivery")
    .select("sequence")
    .where("endpoint_id", "=", endpointId)
    .where("dataset_id", "=", datasetId)
    .where("event_id", "=", eventId)
    .where("subject", "=", subject)
    .executeTakeFirst();
  return row !== undefined;
}

export async function insertDelivery(trx: Trx, row: DeliveryRow): Promise<void> {
  await trx.insertInto("webhook_delivery").values(row).execute();
  await trx
    .updateTable("webhook_sequence")
    .set({ sequence: row.sequence })
    .where("endpoint_id", "=", row.endpoint_id)
    .where("dataset_id", "=", row.dataset_id)
    .execute();
}

export interface Claim {
  readonly nowMs: number;
  /** When somebody else may try, should this process die meanwhile. */
  readonly leaseUntilMs: number;
  readonly limit: number;
  /** At most this many of one endpoint. */
  readonly perEndpoint: number;
  /** Endpoints that get none now. */
  readonly busy: readonly string[];
}

/**
 * Takes deliveries that are due. A change that makes somebody stop never waits; any other waits
 * until the ones before it, to the same endpoint about the same dataset, are settled.
 */
export async function claimDue(
  db: Db,
  { nowMs, leaseUntilMs, limit, perEndpoint, busy }: Claim,
): Promise<readonly DeliveryRow[]> {
  const isIdle = busy.length === 0 ? sql`true` : sql`due.endpoint_id not in (${sql.join(busy)})`;
  const { rows } = await sql<DeliveryRow>`
    update webhook_delivery
       set attempts = webhook_delivery.attempts + 1, next_attempt_at_ms = ${leaseUntilMs}
      from (select taken.endpoint_id, taken.dataset_id, taken.sequence
              from webhook_delivery taken
              join (select due.endpoint_id, due.dataset_id, due.sequence,
                           row_number() over (partition by due.endpoint_id order by due.refusing desc, due.next_attempt_at_ms, due.dataset_id, due.sequence) as place
                      from webhook_delivery due
                     where due.state = 'waiting' and due.next_attempt_at_ms <= ${nowMs} and ${isIdle}
                       and (due.refusing or not exists (
                             select from webhook_delivery earlier
                              where earlier.endpoint_id = due.endpoint_id and earlier.dataset_id = due.dataset_id
                                and earlier.sequence < due.sequence and earlier.state = 'waiting'))) ranked
                on ranked.endpoint_id = taken.endpoint_id and ranked.dataset_id = taken.dataset_id and ranked.sequence = taken.sequence
             where ranked.place <= ${perEndpoint} and taken.state = 'waiting' and taken.next_attempt_at_ms <= ${nowMs}
             order by taken.refusing desc, taken.next_attempt_at_ms
             limit ${limit}
               for update of taken skip locked) claimed
     where webhook_delivery.endpoint_id = claimed.endpoint_id
       and webhook_delivery.dataset_id = claimed.dataset_id
       and webhook_delivery.sequence = claimed.sequence
    returning webhook_delivery.*`.execute(db);
  return rows;
}

/** Writes an attempt and what came of it. One that was given up for lost and ends late cannot undo what another one settled. */
export async function recordAttempt(
  db: Db,
  row: AttemptRow,
  outcome: Partial<Pick<DeliveryRow, "state" | "next_attempt_at_ms" | "delivered_at_ms">>,
): Promise<void> {
  await db.transaction().execute(async (trx) => {
    await trx.insertInto("webhook_attempt").values(row).execute();
    await trx
      .updateTable("webhook_delivery")
      .set(outcome)
      .where("endpoint_id", "=", row.endpoint_id)
      .where("dataset_id", "=", row.dataset_id)
      .where("sequence", "=", row.sequence)
      .$if(outcome.state !== "delivered", (query) => query.where("state", "=", "waiting"))
      .execute();
  });
}

export interface DeliveryFilter {
  readonly marketplaceId: string | undefined;
  readonly datasetId: string | undefined;
  readonly endpointId: string | undefined;
  readonly state: DeliveryRow["state"] | undefined;
  readonly after: string | undefined;
  readonly limit: number;
}

/** Deliveries in the order of their messages, newest last. */
export async function readDeliveries(
  db: Db,
  { marketplaceId, datasetId, endpointId, state, after, limit }: DeliveryFilter,
): Promise<readonly DeliveryRow[]> {
  return db
    .selectFrom("webhook_delivery")
    .innerJoin("webhook_endpoint", "webhook_endpoint.endpoint_id", "webhook_delivery.endpoint_id")
    .selectAll("webhook_delivery")
    .$if(marketplaceId !== undefined, (query) =>
      query.where("webhook_endpoint.marketplace_id", "=", marketplaceId ?? ""),
    )
    .$if(datasetId !== undefined, (query) => query.where("dataset_id", "=", datasetId ?? ""))
    .$if(endpointId !== undefined, (query) => query.where("webhook_delivery.endpoint_id", "=", endpointId ?? ""))
    .$if(state !== undefined, (query) => query.where("state", "=", state ?? "waiting"))
    .$if(after !== undefined, (query) => query.where("message_id", ">", after ?? ""))
    .orderBy("message_id")
    .limit(limit + 1)
    .execute();
}

/** The attempts at these deliveries, oldest first. */
export async function readAttempts(db: Db, deliveries: readonly DeliveryRow[]): Promise<readonly AttemptRow[]> {
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
