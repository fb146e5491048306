import { anyOf } from "../db/any-of.ts";
import type { Db, Trx } from "../db/open-database.ts";

/** One endpoint that hears of an event in one dataset. */
export interface DeliveryLeg {
  readonly event_id: string;
  readonly endpoint_id: string;
  readonly dataset_id: string;
  readonly marketplace_id: string;
  readonly state: "waiting" | "delivered" | "failed";
  /** When it was taken (2xx), in milliseconds since the epoch. */
  readonly delivered_at_ms: number | null;
  readonly attempts: number;
  /** The endpoint was deleted: what waits is never sent. */
  readonly is_cancelled: boolean;
  /** The endpoint is disabled: what waits is held for it. */
  readonly is_held: boolean;
  /** Why the last attempt was not taken; null when there was none, or it was. */
  readonly last_error: string | null;
}

/** Everybody whom webhooks tell of these events, and how far each is. */
export async function readDeliveryLegs(db: Db | Trx, eventIds: readonly string[]): Promise<readonly DeliveryLeg[]> {
  const rows = await db
    .selectFrom("webhook_delivery")
    .innerJoin("webhook_endpoint", "webhook_endpoint.endpoint_id", "webhook_delivery.endpoint_id")
    .leftJoin("webhook_attempt", (join) =>
      join
        .onRef("webhook_attempt.endpoint_id", "=", "webhook_delivery.endpoint_id")
        .onRef("webhook_attempt.dataset_id", "=", "webhook_delivery.dataset_id")
        .onRef("webhook_attempt.sequence", "=", "webhook_delivery.sequence")
        .onRef("webhook_attempt.attempt", "=", "webhook_delivery.attempts"),
    )
    .select(["event_id", "webhook_delivery.endpoint_id", "webhook_delivery.dataset_id", "marketplace_id"])
    .select(["state", "delivered_at_ms", "attempts", "webhook_attempt.status", "webhook_attempt.error"])
    .select(["webhook_endpoint.deleted_at", "webhook_endpoint.disabled_at"])
    .where("event_id", "=", anyOf(eventIds))
    .execute();
  return rows.map(({ event_id, status, error, deleted_at, disabled_at, ...row }) => ({
    ...row,
    event_id: event_id ?? "",
    is_cancelled: deleted_at !== null,
    is_held: disabled_at !== null,
    last_error: row.state === "delivered" ? null : errorOf(status, error),
  }));
}

function errorOf(status: number | null, error: string | null): string | null {
  if (status === null) return error;
  return error === null || error === "" ? `status ${status}` : `status ${status}: ${error}`;
}

/** The fact that a message tells of, in which dataset and to which marketplace; undefined for no message, or one about no fact. */
export async function findMessage(
  db: Db,
  messageId: string,
): Promise<{ readonly event_id: string; readonly dataset_id: string; readonly marketplace_id: string } | undefined> {
  const row = await db
    .selectFrom("webhook_delivery")
    .innerJoin("webhook_endpoint", "webhook_endpoint.endpoint_id", "webhook_delivery.endpoint_id")
    .select(["event_id", "dataset_id", "marketplace_id"])
    .where("message_id", "=", messageId)
    .executeTakeFirst();
  if (row === undefined || row.event_id === null) return undefined;
  return { event_id: row.event_id, dataset_id: row.dataset_id, marketplace_id: row.marketplace_id };
}
