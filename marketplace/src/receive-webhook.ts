import {
  type Result,
  type DatasetState,
  type ReceivedEvent,
  LICENSE_ENDINGS,
  REFUSING_CHANGES,
  accept,
  canonicalBytes,
  formatInstant,
  parseJsonObject,
  refuse,
  sha256Hex,
  without,
} from "@licet/protocol";
import { receiveWebhook as verifyRequest } from "@licet/sdk";
import { noteStopped } from "./acknowledge-refusals.ts";
import type { MarketplaceContext } from "./context.ts";
import { type StoredDataset, findDataset, invalidateReceipts, stopTraining, withdrawItems } from "./dataset-store.ts";
import { advanceSequence, knownContent, rememberEvent } from "./webhook-store.ts";

/** What an event did here. `ignored`: the dataset is not known, so there is nothing to stop yet. */
export type WebhookEffect = "stopped" | "noted" | "repeated" | "ignored";

/** States in which nothing of a dataset may be used. */
const REFUSING_STATES: readonly DatasetState[] = ["suspended", "revoked", "expired"];

/**
 * Takes a signed event. When it answers, a refusal is on disk and every training on the dataset has
 * been aborted. Only refusals have an effect on training; `granted`, `resumed` and `published` are
 * noted, because only a new verification lifts a stop. A dataset that is not known yet is fine too:
 * the event is kept, and a registration that is under way when it arrives will not go through.
 */
export async function receiveWebhook(context: MarketplaceContext, request: Request): Promise<Result<WebhookEffect>> {
  const { connected, now, config } = context;
  if (connected === undefined)
    return refuse("unavailable", "expected PUT /api/v1/connection first: no secret to verify with");
  const received = await verifyRequest(request, {
    secrets: [connected.connection.webhook_secret],
    now,
    allowTest: config.test,
  });
  if (!received.ok) return received;
  const { event, body } = received.value;
  const effect = takeEvent(context, event, body);
  return effect === "contradicted"
    ? refuse(
        "conflict",
        `expected the content that came first as ${event.event_id}, got another; a refusal in it was applied`,
      )
    : accept(effect);
}

/** Applies an event that is known to be the platform's. `contradicted`: the same id came with other content before. */
export function takeEvent(
  context: MarketplaceContext,
  event: ReceivedEvent,
  body: string,
): WebhookEffect | "contradicted" {
  const effect = context.store.transaction(() => applyEvent(context, event, contentSha256(body)));
  if (effect === "stopped") context.trainings.stop(event.dataset_id);
  context.onStopped();
  return effect;
}

/** What a second delivery may say anew: when it was sent, and how the dataset stands by then. */
const RENEWED = ["sent_at", "dataset"];

/** The fact that an event tells of must be the same in every delivery. */
function contentSha256(body: string): string {
  const parsed = parseJsonObject(body);
  return sha256Hex(parsed.ok ? canonicalBytes(without(parsed.value, RENEWED)) : body);
}

function applyEvent(
  context: MarketplaceContext,
  event: ReceivedEvent,
  contentSha: string,
): WebhookEffect | "contradicted" {
  const { store, now } = context;
  const at = formatInstant(now());
  const firstContent = knownContent(store, event.event_id);
  if (firstContent === contentSha) return "repeated";
  const dataset = findDataset(store, event.dataset_id);
  const refuses = REFUSING_CHANGES.includes(event.change);
  const endsLicense = LICENSE_ENDINGS.includes(event.change);
  // What is not used here, or not known, is not used any more either.
  if (refuses || endsLicense) noteStopped(store, event.event_id);
  if (firstContent === undefined) rememberEvent(store, { event, contentSha256: contentSha, refuses, receivedAt: at });
  if (dataset !== undefined && refuses) applyRefusal(context, event, at);
  if (firstContent !== undefined) return "contradicted";
  if (dataset === undefined) return "ignored";
  // What is under way goes on with no license; the next training asks for one of its own.
  if (endsLicense) return "stopped";
  // A lower sequence never replaces newer state, but the refusal in it was applied above.
  const isNewest = advanceSequence(store, event);
  const stateReason = isNewest && !refuses ? reasonInState(dataset, event) : undefined;
  if (stateReason !== undefined) stopAndInvalidate(context, event.dataset_id, stateReason, at);
  return refuses || stateReason !== undefined ? "stopped" : "noted";
}

function stopAndInvalidate({ store }: MarketplaceContext, datasetId: string, reason: string, at: string): void {
  stopTraining(store, datasetId, reason, at);
  invalidateReceipts(store, datasetId);
}

function applyRefusal(context: MarketplaceContext, event: ReceivedEvent, at: string): void {
  const { dataset_id, change, jti, content_id, event_id, revoked_at } = event;
  const what = content_id ?? jti ?? dataset_id;
  stopAndInvalidate(
    context,
    dataset_id,
    `${change}: ${what}${revoked_at === undefined ? "" : ` at ${revoked_at}`} (event ${event_id})`,
    at,
  );
  withdrawItems(context.store, dataset_id, { jti, content_id }, at);
}

/** A dataset's state can say no even when the change itself is none, such as the publication of a version that ends ours. */
function reasonInState(dataset: StoredDataset, { dataset: state, event_id }: ReceivedEvent): string | undefined {
  if (state === undefined) return undefined;
  if (REFUSING_STATES.includes(state.status)) return `the dataset is ${state.status} (event ${event_id})`;
  if (state.min_valid_version > dataset.version)
    return `version ${dataset.version} is no longer valid, the oldest valid one is ${state.min_valid_version} (event ${event_id})`;
  return undefined;
}
