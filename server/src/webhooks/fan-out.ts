import {
  type Change,
  LICENSE_CHANGES,
  LICENSE_ENDINGS,
  type LicenseChange,
  type LicenseNotice,
  MAX_WEBHOOK_REASON,
  NOTICES,
  REFUSING_CHANGES,
  REMEDIATION_CHANGES,
  type Notice,
  type RemediationChange,
  type RemediationNotice,
  type WebhookEvent,
  type WebhookNotice,
  formatInstant,
} from "@licet/protocol";
import { ulid } from "ulid";
import type { Context } from "../context.ts";
import { readDatasetState } from "../datasets/lookup.ts";
import type { Trx } from "../db/open-database.ts";
import { type StoredEvent, findEvent } from "../events/store.ts";
import { changesOf } from "../marketplaces/lookup.ts";
import {
  type EndpointFilter,
  type NewDelivery,
  insertDeliveries,
  lockEvent,
  readEndpointsOfDatasets,
  readEndpointsOfMarketplace,
  readOtherEndpoints,
  takeSequences,
} from "./fan-out-store.ts";

/** What a fact is called in webhooks. */
const CHANGE_OF: Readonly<Record<string, Change>> = {
  "consent.revoked": "revoked",
  "consent.suspended": "suspended",
  "consent.resumed": "resumed",
  "consent.expired": "expired",
  "content.withdrawn": "withdrawn",
  "content.suspended": "suspended",
  "content.resumed": "resumed",
  "dataset.suspended": "suspended",
  "dataset.resumed": "resumed",
  "dataset.withdrawn": "withdrawn",
  "dataset.published": "published",
  "license.issued": "license_issued",
  "license.denied": "license_denied",
  "license.renewed": "license_renewed",
  "license.revoked": "license_revoked",
  "license.expired": "license_expired",
  "remediation.opened": "remediation_opened",
  "remediation.extended": "remediation_updated",
  "remediation.messaged": "remediation_updated",
  "remediation.offered": "remediation_updated",
  "remediation.offer-ended": "remediation_updated",
  "remediation.declined": "remediation_updated",
  "remediation.compensated": "remediation_updated",
  "remediation.overdue": "remediation_updated",
  "remediation.closed": "remediation_updated",
  "webhook-endpoint.failing": "endpoint_failing",
  "webhook-endpoint.disabled": "endpoint_disabled",
};

const FIRST_VERSION = 1;
/** Datasets whose endpoints are looked up in one statement. */
const DATASETS_AT_ONCE = 50;

/**
 * Writes a delivery for every endpoint that must hear of an event. Done again after a crash, it adds
 * nothing. However many endpoints listen, a dataset takes the same few statements.
 */
export async function fanOut(ctx: Context, eventId: string): Promise<void> {
  const event = await findEvent(ctx.db, eventId);
  const change = CHANGE_OF[event?.type ?? ""];
  if (event === undefined || change === undefined) return;
  if (isNotice(change)) return tellOtherEndpoints(ctx, event, change);
  if (isLicenseChange(change)) return tellMarketplace(ctx, event, change);
  if (isRemediationChange(change)) return tellSide(ctx, event, change);
  const datasetIds = datasetsOf(event);
  for (let at = 0; at < datasetIds.length; at += DATASETS_AT_ONCE)
    await tellOfDatasets(ctx, { event, change, datasetIds: datasetIds.slice(at, at + DATASETS_AT_ONCE) });
}

interface DatasetsToTell {
  readonly event: StoredEvent;
  readonly change: Change;
  readonly datasetIds: readonly string[];
}

async function tellOfDatasets(ctx: Context, { event, change, datasetIds }: DatasetsToTell): Promise<void> {
  for (const [datasetId, endpoints] of await readEndpointsOfDatasets(ctx.db, datasetIds)) {
    await addDeliveries(ctx, { event, change, subject: datasetId, endpoints }, async (trx) => {
      const dataset = await readDatasetState(trx, datasetId);
      return (envelope) => ({
        dataset_id: datasetId,
        change,
        ...detailsOf(event, change),
        ...envelope,
        dataset,
        ...testMark(ctx),
      });
    });
  }
}

/** A first version is no news to anybody: whoever has the dataset by now was offered it afterwards. */
function datasetsOf(event: StoredEvent): readonly string[] {
  const { dataset_ids, version } = event.body;
  if (event.type === "dataset.published") return version === FIRST_VERSION ? [] : [event.aggregate];
  return Array.isArray(dataset_ids) ? dataset_ids.filter((id) => typeof id === "string") : [];
}

/** Tells the marketplace's other endpoints about one of them. */
async function tellOtherEndpoints(ctx: Context, event: StoredEvent, change: Notice): Promise<void> {
  const { endpoint_id, marketplace_id, reason, disable_at } = event.body;
  if (typeof endpoint_id !== "string" || typeof marketplace_id !== "string") return;
  const endpoints = await readOtherEndpoints(ctx.db, marketplace_id, endpoint_id);
  await addDeliveries(ctx, { event, change, subject: endpoint_id, endpoints }, () =>
    Promise.resolve((envelope) => ({
      dataset_id: endpoint_id,
      change,
      ...envelope,
      ...(typeof reason === "string" ? { reason } : {}),
      ...(typeof disable_at === "string" ? { disable_at } : {}),
      ...testMark(ctx),
    })),
  );
}

/** Tells a marketplace, and nobody else, about its license or its request for one. */
async function tellMarketplace(ctx: Context, event: StoredEvent, change: LicenseChange): Promise<void> {
  const { dataset_id, marketplace_id, model_fingerprint, license_id, request_id, expires_at, reason } = event.body;
  if (typeof dataset_id !== "string" || typeof marketplace_id !== "string" || typeof model_fingerprint !== "string")
    return;
  const endpoints = await readEndpointsOfMarketplace(ctx.db, marketplace_id);
  await addDeliveries(ctx, { event, change, subject: dataset_id, endpoints }, () =>
    Promise.resolve((envelope) => ({
      dataset_id,
      change,
      ...envelope,
      model_fingerprint,
      ...(typeof license_id === "string" ? { license_id } : {}),
      ...(typeof request_id === "string" ? { request_id } : {}),
      ...(typeof expires_at === "number" ? { license_expires_at: formatInstant(expires_at) } : {}),
      ...(typeof reason === "string" ? { reason: reason.slice(0, MAX_WEBHOOK_REASON) } : {}),
      ...testMark(ctx),
    })),
  );
}

/** Tells the marketplace of a step in a case that it is a side in. */
async function tellSide(ctx: Context, event: StoredEvent, change: RemediationChange): Promise<void> {
  const { dataset_id, marketplace_id, model_fingerprint, license_id, state } = event.body;
  if (typeof dataset_id !== "string" || typeof marketplace_id !== "string" || typeof model_fingerprint !== "string")
    return;
  const endpoints = await readEndpointsOfMarketplace(ctx.db, marketplace_id);
  await addDeliveries(ctx, { event, change, subject: dataset_id, endpoints }, () =>
    Promise.resolve((envelope) => ({
      dataset_id,
      change,
      ...envelope,
      case_id: event.aggregate,
      state: typeof state === "string" ? state : "open",
      step: event.type.slice(event.type.indexOf(".") + 1),
      model_fingerprint,
      ...(typeof license_id === "string" ? { license_id } : {}),
      ...testMark(ctx),
    })),
  );
}

/** A message that shows whether an endpoint works. It is of no event and goes to this endpoint alone. */
export async function addTestDelivery(ctx: Context, endpointId: string): Promise<string> {
  return ctx.db.transaction().execute(async (trx) => {
    const [sequence] = await takeSequences(trx, endpointId, [endpointId]);
    const delivery = deliveryOf(
      ctx,
      { endpointId, datasetId: endpointId, sequence: sequence?.sequence ?? 1, eventId: null, subject: endpointId },
      "test",
      (envelope) => ({ dataset_id: endpointId, change: "test", ...envelope, ...testMark(ctx) }),
    );
    await insertDeliveries(trx, [delivery]);
    return delivery.message_id;
  });
}

type Envelope = Pick<WebhookNotice, "event_id" | "endpoint_id" | "sequence" | "sent_at">;
type Body = (envelope: Envelope) => WebhookEvent | WebhookNotice | LicenseNotice | RemediationNotice;

interface FanOut {
  readonly event: StoredEvent;
  readonly change: Change;
  /** What the sequence counts by: the dataset, or the endpoint that a notice is about. */
  readonly subject: string;
  readonly endpoints: readonly EndpointFilter[];
}

/** The sequences are taken first, so that of two messages the one with the higher number never tells of an older state. */
async function addDeliveries(
  ctx: Context,
  { event, change, subject, endpoints }: FanOut,
  readBody: (trx: Trx) => Promise<Body>,
): Promise<void> {
  const wanted = endpoints.filter((endpoint) => changesOf(endpoint).includes(change));
  if (wanted.length === 0) return;
  await ctx.db.transaction().execute(async (trx) => {
    const repeated = await lockEvent(trx, event.id, subject);
    const endpointIds = wanted.map((endpoint) => endpoint.endpoint_id).filter((id) => !repeated.has(id));
    if (endpointIds.length === 0) return;
    const taken = await takeSequences(trx, subject, endpointIds);
    const body = await readBody(trx);
    const named = { datasetId: subject, eventId: event.id, subject: event.aggregate };
    await insertDeliveries(
      trx,
      taken.map(({ endpoint_id, sequence }) =>
        deliveryOf(ctx, { ...named, endpointId: endpoint_id, sequence }, change, body),
      ),
    );
  });
}

interface DeliveryName {
  readonly endpointId: string;
  readonly datasetId: string;
  readonly sequence: number;
  readonly eventId: string | null;
  readonly subject: string;
}

function deliveryOf(
  ctx: Context,
  { endpointId, datasetId, sequence, eventId, subject }: DeliveryName,
  change: Change,
  body: Body,
): NewDelivery {
  const nowMs = ctx.clock.nowMs();
  const messageId = `evt_${ulid(nowMs)}`;
  const sent_at = formatInstant(Math.floor(nowMs / 1_000));
  return {
    endpoint_id: endpointId,
    dataset_id: datasetId,
    sequence,
    message_id: messageId,
    event_id: eventId,
    change,
    subject,
    refusing: REFUSING_CHANGES.includes(change) || LICENSE_ENDINGS.includes(change),
    body: JSON.stringify(body({ event_id: messageId, endpoint_id: endpointId, sequence, sent_at })),
    created_at_ms: nowMs,
  };
}

/** Without a jti and a content id, a message is about the whole dataset. */
function detailsOf(
  event: Pick<StoredEvent, "type" | "aggregate" | "atMs">,
  change: Change,
): Pick<WebhookEvent, "jti" | "content_id" | "revoked_at"> {
  const at = REFUSING_CHANGES.includes(change) ? { revoked_at: formatInstant(Math.floor(event.atMs / 1_000)) } : {};
  if (event.type.startsWith("consent.")) return { jti: event.aggregate, ...at };
  return event.type.startsWith("content.") ? { content_id: event.aggregate, ...at } : at;
}

/**
 * An event as a webhook would tell of it, without what belongs to one delivery. Undefined for what
 * webhooks do not tell of.
 */
export function describeChange(
  ctx: Context,
  event: Pick<StoredEvent, "type" | "aggregate" | "atMs">,
  { datasetId, messageId, dataset }: MessageName,
): (Omit<WebhookEvent, keyof Envelope> & Pick<Envelope, "event_id">) | undefined {
  const change = CHANGE_OF[event.type];
  if (change === undefined || isNotice(change)) return undefined;
  const details = detailsOf(event, change);
  return { dataset_id: datasetId, change, ...details, event_id: messageId, dataset, ...testMark(ctx) };
}

interface MessageName {
  readonly datasetId: string;
  readonly messageId: string;
  /** How the dataset stands now. */
  readonly dataset: WebhookEvent["dataset"];
}

function testMark(ctx: Context): { readonly test?: true } {
  return ctx.config.mode === "test" ? { test: true } : {};
}

function isNotice(change: Change): change is Notice {
  return NOTICES.some((notice) => notice === change);
}

function isLicenseChange(change: Change): change is LicenseChange {
  return LICENSE_CHANGES.some((known) => known === change);
}

function isRemediationChange(change: Change): change is RemediationChange {
  return REMEDIATION_CHANGES.some((known) => known === change);
}
