import { sql } from "kysely";
import { anyOf } from "../db/any-of.ts";
import type { Db, Trx } from "../db/open-database.ts";
import type { EndpointRow } from "../marketplaces/lookup.ts";
import type { DeliveryRow } from "./store.ts";

export type EndpointFilter = Pick<EndpointRow, "endpoint_id" | "changes">;
export type NewDelivery = Omit<
  DeliveryRow,
  "state" | "attempts" | "attempts_before" | "next_attempt_at_ms" | "delivered_at_ms"
>;

/**
 * Where a dataset's changes go: the endpoints of every marketplace it was offered to. One that is
 * disabled is among them: what it misses is held for it.
 */
export async function readEndpointsOfDataset(db: Db, datasetId: string): Promise<readonly EndpointFilter[]> {
  return db
    .selectFrom("dataset_offer")
    .innerJoin("webhook_endpoint", "webhook_endpoint.marketplace_id", "dataset_offer.marketplace_id")
    .select(["webhook_endpoint.endpoint_id", "webhook_endpoint.changes"])
    .where("dataset_offer.dataset_id", "=", datasetId)
    .where("webhook_endpoint.deleted_at", "is", null)
    .execute();
}

/** The marketplace's endpoints in use but for this one. */
export async function readOtherEndpoints(
  db: Db,
  marketplaceId: string,
  endpointId: string,
): Promise<readonly EndpointFilter[]> {
  return db
    .selectFrom("webhook_endpoint")
    .select(["endpoint_id", "changes"])
    .where("marketplace_id", "=", marketplaceId)
    .where("endpoint_id", "<>", endpointId)
    .where("disabled_at", "is", null)
    .where("deleted_at", "is", null)
    .execute();
}

/** Where what concerns a marketplace itself goes: all its endpoints. What a disabled one misses is held for it. */
export async function readEndpointsOfMarketplace(db: Db, marketplaceId: string): Promise<readonly EndpointFilter[]> {
  return db
    .selectFrom("webhook_endpoint")
    .select(["endpoint_id", "changes"])
    .where("marketplace_id", "=", marketplaceId)
    .where("deleted_at", "is", null)
    .execute();
}

/** Keeps others from fanning the same event out until the commit, and answers the endpoints that have it already. */
export async function lockEvent(trx: Trx, eventId: string, datasetId: string): Promise<ReadonlySet<string>> {
  await sql`select pg_advisory_xact_lock(hashtextextended(${eventId}, 0))`.execute(trx);
  const rows = await trx
    .selectFrom("webhook_delivery")
    .select("endpoint_id")
    .where("event_id", "=", eventId)
    .where("dataset_id", "=", datasetId)
    .execute();
  return new Set(rows.map((row) => row.endpoint_id));
}

/**
 * The next sequence of each endpoint for a dataset, its row locked until the commit; whoever takes
 * several takes them in one order.
 */
export async function takeSequences(
  trx: Trx,
  datasetId: string,
  endpointIds: readonly string[],
): Promise<readonly { readonly endpoint_id: string; readonly sequence: number }[]> {
  const { rows } = await sql<{ endpoint_id: string; sequence: number }>`
    insert into webhook_sequence (endpoint_id, dataset_id, sequence)
    select endpoint_id, ${datasetId}, 1
      from webhook_endpoint
     where endpoint_id = ${anyOf(endpointIds)}
     order by endpoint_id
        on conflict (endpoint_id, dataset_id) do update set sequence = webhook_sequence.sequence + 1
    returning endpoint_id, sequence`.execute(trx);
  return rows;
}

/** Writes deliveries, due at once, in one statement however many they are. */
export async function insertDeliveries(trx: Trx, deliveries: readonly NewDelivery[]): Promise<void> {
  await sql`
    insert into webhook_delivery (
      endpoint_id, dataset_id, sequence, message_id, event_id, change, subject, refusing, body, created_at_ms,
      state, attempts, next_attempt_at_ms)
    select endpoint_id, dataset_id, sequence, message_id, event_id, change, subject, refusing, body, created_at_ms,
           'waiting', 0, created_at_ms
      from json_to_recordset(${JSON.stringify(deliveries)}::json) as added (
        endpoint_id text, dataset_id text, sequence bigint, message_id text, event_id text, change text, subject text,
        refusing boolean, body text, created_at_ms bigint)`.execute(trx);
}
