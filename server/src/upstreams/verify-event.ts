import {
  type HeaderLookup,
  type KeySet,
  type ReceivedEvent,
  type Result,
  accept,
  parseJsonObject,
  refuse,
  verifyKeySet,
  verifyWebhook,
  verifyWebhookByKey,
  webhookPublicKeys,
} from "@licet/protocol";
import { type Context, nowSeconds } from "../context.ts";
import { keySetUrl, secretsOf } from "./register-upstream.ts";
import { type UpstreamRow, findUpstreamByEndpoint, saveKeySet } from "./store.ts";

/** A key set is read again after so long: a key that was revoked verifies nothing after that. */
const KEY_SET_SECONDS = 60;
const MAX_KEY_SET_BYTES = 1_048_576;

export interface VerifiedEvent {
  readonly upstream: UpstreamRow;
  readonly event: ReceivedEvent;
}

/**
 * Which upstream sent a message, by the `endpoint_id` in its body, and whether it did: signed with
 * our secret for it, and also with a webhook key of its key set where that was registered. Until
 * then nothing but `endpoint_id` is believed.
 *
 * Refuses `webhook_invalid`, `upstream_ended`, what `verifyWebhook` and `verifyWebhookByKey` refuse,
 * and what stands in the way of the key set.
 */
export async function verifyUpstreamEvent(
  ctx: Context,
  header: HeaderLookup,
  body: string,
): Promise<Result<VerifiedEvent>> {
  const endpointId = readEndpointId(body);
  if (!endpointId.ok) return endpointId;
  const upstream = await findUpstreamByEndpoint(ctx.db, endpointId.value);
  if (upstream === undefined)
    return refuse("webhook_invalid", "event.endpoint_id: expected the endpoint of a registered upstream");
  if (upstream.ended_at !== null)
    return refuse("upstream_ended", `the endpoint ${upstream.endpoint_id} takes no messages any more`);
  const check = { now: nowSeconds(ctx), allowTest: ctx.config.mode === "test" };
  const event = verifyWebhook(header, body, { ...check, secrets: secretsOf(ctx, upstream) });
  if (!event.ok) return event;
  if (upstream.key_signed) {
    const keys = await readUpstreamKeys(ctx, upstream);
    if (!keys.ok) return keys;
    const trust = { publicKeys: webhookPublicKeys(keys.value), endpointIds: [endpointId.value] };
    const signed = await verifyWebhookByKey(header, body, { ...check, ...trust });
    if (!signed.ok) return signed;
  }
  return accept({ upstream, event: event.value });
}

function readEndpointId(body: string): Result<string> {
  const parsed = parseJsonObject(body);
  if (!parsed.ok) return refuse("webhook_invalid", parsed.refusal.detail);
  const { endpoint_id } = parsed.value;
  return typeof endpoint_id === "string"
    ? accept(endpoint_id)
    : refuse("webhook_invalid", "event.endpoint_id: expected the endpoint of a registered upstream, got none");
}

/** The key set as it was read within the last minute; or, when it cannot be read now, for as long as it is to be trusted. */
async function readUpstreamKeys(ctx: Context, upstream: UpstreamRow): Promise<Result<KeySet>> {
  const { key_set, key_set_read_at } = upstream;
  const kept = key_set === null ? undefined : await verifyKeptKeys(ctx, upstream, key_set);
  const isRecent = key_set_read_at !== null && nowSeconds(ctx) - key_set_read_at < KEY_SET_SECONDS;
  if (kept?.ok === true && isRecent) return kept;
  const fetched = await fetchKeys(ctx, upstream);
  if (fetched.ok || kept?.ok !== true || fetched.refusal.code !== "source_unavailable") return fetched;
  ctx.log.warn(
    { upstream_id: upstream.upstream_id, reason: fetched.refusal.detail },
    "an upstream's key set cannot be read; the one before is trusted until it expires",
  );
  return kept;
}

async function verifyKeptKeys(ctx: Context, { origin }: UpstreamRow, text: string): Promise<Result<KeySet>> {
  const parsed = parseJsonObject(text);
  return parsed.ok ? verifyKeySet(parsed.value, origin, nowSeconds(ctx), optionsOf(ctx)) : parsed;
}

async function fetchKeys(ctx: Context, upstream: UpstreamRow): Promise<Result<KeySet>> {
  const url = keySetUrl(upstream);
  const answer = await ctx.outbound.read(url, { maxBytes: MAX_KEY_SET_BYTES, accept: "application/json" });
  if (!answer.ok) return answer;
  const parsed = parseJsonObject(answer.value.body);
  if (!parsed.ok) return refuse("document_invalid", `${url}: ${parsed.refusal.detail}`);
  const keys = await verifyKeySet(parsed.value, upstream.origin, nowSeconds(ctx), optionsOf(ctx));
  if (!keys.ok) return keys;
  const { seq } = keys.value;
  const row = { key_set: answer.value.body, key_set_seq: seq, key_set_read_at: nowSeconds(ctx) };
  if (await saveKeySet(ctx.db, upstream.upstream_id, row)) return keys;
  return refuse("document_rolled_back", `${url}: expected a seq no lower than one that was seen before, got ${seq}`);
}

function optionsOf({ config }: Pick<Context, "config">): { readonly allowTest: boolean } {
  return { allowTest: config.mode === "test" };
}
