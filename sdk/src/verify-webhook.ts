import {
  MAX_WEBHOOK_BYTES,
  type Result,
  type ReceivedEvent,
  accept,
  verifyWebhook as verifySignedBody,
  verifyWebhookByKey,
} from "@licet/protocol";
import { epochSeconds } from "./clock.ts";
import { readBody } from "./send.ts";

/**
 * How a webhook is judged.
 *
 * @example { secrets: [newSecret, oldSecret] }
 */
export interface WebhookTrust {
  /** The shared secrets in force (`whsec_…`): two while one is being replaced. */
  readonly secrets: readonly string[];
  /** Seconds since the epoch. */
  readonly now?: () => number;
  /** Set to true to accept what a platform in test mode sends. */
  readonly allowTest?: boolean;
}

/**
 * How a webhook is judged by the platform's public key: nothing that the receiver holds is secret.
 * The endpoint must have been made with `key_signed`.
 *
 * @example { publicKeys: webhookPublicKeys(keySet), endpointIds: ["whe_…"] }
 */
export interface WebhookKeyTrust {
  /** The platform's keys of purpose `webhook` (`whpk_…`): the endpoint names them, and so does keys.json. */
  readonly publicKeys: readonly string[];
  /** The receiver's own endpoints: with one key for everybody, a message to somebody else verifies too. */
  readonly endpointIds: readonly string[];
  /** Seconds since the epoch. */
  readonly now?: () => number;
  /** Set to true to accept what a platform in test mode sends. */
  readonly allowTest?: boolean;
}

/**
 * A request's headers and its raw body, before any parsing.
 *
 * @example { headers: request.headers, body: await request.text() }
 */
export interface WebhookRequest {
  readonly headers: Headers;
  readonly body: string;
}

/**
 * Verifies a received webhook: signatures over the raw body first, then age, then content. It
 * remembers nothing; whoever calls it keeps `event_id` against repetition and compares `sequence`.
 *
 * Refuses `webhook_unsigned`, `webhook_signature_invalid`, `webhook_too_old`, `webhook_invalid`,
 * `test_document`. docs/wire-formats.md, "Webhook".
 *
 * @example
 * const event = verifyWebhook({ headers: request.headers, body: rawBody }, { secrets: [secret] });
 * if (event.ok) console.log(event.value.change, event.value.dataset?.status);
 */
export function verifyWebhook(
  message: WebhookRequest,
  { secrets, now = epochSeconds, allowTest = false }: WebhookTrust,
): Result<ReceivedEvent> {
  return verifySignedBody(headerOf(message), message.body, { secrets, now: now(), allowTest });
}

/**
 * Verifies a received webhook by the platform's public key (Standard Webhooks v1a): signature over
 * the raw body first, then age, then content, then that it was sent to this receiver.
 *
 * Refuses as {@link verifyWebhook} does. Throws a TypeError on a malformed `whpk_` key.
 *
 * @example
 * const trust = { publicKeys: ["whpk_…"], endpointIds: ["whe_…"] };
 * const event = await verifyKeySignedWebhook({ headers: request.headers, body: rawBody }, trust);
 */
export async function verifyKeySignedWebhook(
  message: WebhookRequest,
  { publicKeys, endpointIds, now = epochSeconds, allowTest = false }: WebhookKeyTrust,
): Promise<Result<ReceivedEvent>> {
  return verifyWebhookByKey(headerOf(message), message.body, { publicKeys, endpointIds, now: now(), allowTest });
}

function headerOf({ headers }: WebhookRequest): (name: string) => string | undefined {
  return (name) => headers.get(name) ?? undefined;
}

/**
 * A verified webhook and the text it came as.
 *
 * @example { event: { change: "revoked", jti: "ctok_…", … }, body: "{…}" }
 */
export interface ReceivedWebhook {
  readonly event: ReceivedEvent;
  readonly body: string;
}

/**
 * Reads a request's body, at most 64 KiB of it, and verifies it as {@link verifyWebhook} or, given
 * public keys instead of secrets, as {@link verifyKeySignedWebhook} does. Also refuses `body_too_large`.
 *
 * @example const received = await receiveWebhook(request, { secrets: [secret] });
 */
export async function receiveWebhook(
  request: Request,
  trust: WebhookTrust | WebhookKeyTrust,
): Promise<Result<ReceivedWebhook>> {
  const bytes = await readBody(request, MAX_WEBHOOK_BYTES);
  if (!bytes.ok) return bytes;
  const body = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes.value);
  const message = { headers: request.headers, body };
  const event = "secrets" in trust ? verifyWebhook(message, trust) : await verifyKeySignedWebhook(message, trust);
  return event.ok ? accept({ event: event.value, body }) : event;
}
