import { type Change, REFUSING_CHANGES, type WebhookEvent, formatInstant } from "@licet/protocol";
import { ulid } from "ulid";
import type { Context } from "../context.ts";
import { readDatasetState, readOffersOf } from "../datasets/lookup.ts";
import { type StoredEvent, findEvent } from "../events/store.ts";
import { type EndpointRow, readEndpoints } from "../marketplaces/lookup.ts";
import { type DeliveryKey, type DeliveryRow, insertDelivery, isFannedOut, lockSequence } from "./store.ts";

/** What a fact is called in webhooks. */
const CHANGE_OF: Readonly<Record<string, Change>> = {
  "consent.revoked": "revoked",
  "consent.expired": "expired",
  "content.withdrawn": "withdrawn",
  "dataset.published": "published",
};

const FIRST_VERSION = 1;

/** Writes a delivery for every endpoint that must hear of an event. Done again after a crash, it adds nothing. */
export async function fanOut(ctx: Context, eventId: string): Promise<void> {
  const event = await findEvent(ctx.db, eventId);
  const change = CHANGE_OF[event?.type ?? ""];
  if (event === undefined || change === undefined) return;
  for (const datasetId of datasetsOf(event)) {
    const offers = await readOffersOf(ctx, datasetId);
    const endpoints = await readEndpoints(
      ctx.db,
      offers.map((offer) => offer.marketplace_id),
    );
    if (endpoints.length > 0) await addDeliveries(ctx, { event, change, datasetId, endpoints });
  }
}

/** A first version is no news to anybody: whoever has the dataset by now was offered it afterwards. */
function datasetsOf(event: StoredEvent): readonly string[] {
  const { dataset_ids, version } = event.body;
  if (event.type === "dataset.published") return version === FIRST_VERSION ? [] : [event.aggregate];
  return Array.isArray(dataset_ids) ? dataset_ids.filter((id) => typeof id === "string") : [];
}

interface FanOut {
  readonly event: StoredEvent;
  readonly change: Change;
  readonly datasetId: string;
  readonly endpoints: readonly EndpointRow[];
}

/** The sequences are taken first, so that of two messages the one with the higher number never tells of an older state. */
async function addDeliveries(ctx: Context, { event, change, datasetId, endpoints }: FanOut): Promise<void> {
  const nowMs = ctx.clock.nowMs();
  await ctx.db.transaction().execute(async (trx) => {
    const sequences = new Map<string, number>();
    for (const { endpoint_id } of endpoints)
      sequences.set(endpoint_id, await lockSequence(trx, endpoint_id, datasetId));
    const dataset = await readDatasetState(trx, datasetId);
    for (const [endpoint_id, last] of sequences) {
      const isRepeated = await isFannedOut(trx, {
        endpointId: endpoint_id,
        datasetId,
        eventId: event.id,
        subject: event.aggregate,
      });
      if (!isRepeated)
        await insertDelivery(
          trx,
          deliveryOf({ event, change, dataset }, { endpoint_id, dataset_id: datasetId, sequence: last + 1, nowMs }),
        );
    }
  });
}

interface Told {
  readonly event: StoredEvent;
  readonly change: Change;
  readonly dataset: WebhookEvent["dataset"];
}

function deliveryOf(
  { event, change, dataset }: Told,
  { endpoint_id, dataset_id, sequence, nowMs }: DeliveryKey & { readonly nowMs: number },
): DeliveryRow {
  const messageId = `evt_${ulid(nowMs)}`;
  const body: WebhookEvent = {
    dataset_id,
    change,
    ...detailsOf(event, change),
    event_id: messageId,
    endpoint_id,
    sequence,
    sent_at: formatInstant(Math.floor(nowMs / 1_000)),
    dataset,
  };
  return {
    endpoint_id,
    dataset_id,
    sequence,
    message_id: messageId,
    event_id: event.id,
    change,
    subject: event.aggregate,
    refusing: REFUSING_CHANGES.includes(change),
    body: JSON.stringify(body),
    state: "waiting",
    attempts: 0,
    next_attempt_at_ms: nowMs,
    delivered_at_ms: null,
  };
}

function detailsOf(event: StoredEvent, change: Change): Pick<WebhookEvent, "jti" | "content_id" | "revoked_at"> {
  const at = formatInstant(Math.floor(event.atMs / 1_000));
  if (change === "published") return {};
  return change === "withdrawn"
    ? { content_id: event.aggregate, revoked_at: at }
    : { jti: event.aggregate, revoked_at: at };
}
