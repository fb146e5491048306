import { hmac } from "@noble/hashes/hmac.js";
import { sha256 as sha256Hash } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import { decodeBase64, encodeBase64 } from "./base64url.ts";
import { parseInstant } from "./instant.ts";
import { parseJsonObject } from "./json.ts";
import { datasetStateShape, jtiShape } from "./manifest.ts";
import { type Result, accept, refuse } from "./refusal.ts";
import { count, identifier, instant, objectOf, oneOf, readShape, sha256 } from "./shape.ts";

/** Messages older, or newer, than this are refused (Standard Webhooks 1.0). */
export const WEBHOOK_TOLERANCE_SECONDS = 300;
/** A webhook's body is at most this long. */
export const MAX_WEBHOOK_BYTES = 65_536;
const SECRET_PREFIX = "whsec_";
/** More signatures than this in one header are refused; rotation needs two. */
const MAX_SIGNATURES = 8;

/** What happened to a consent, a work or a dataset. */
export const CHANGES = [
  "granted",
  "revoked",
  "suspended",
  "resumed",
  "expired",
  "withdrawn",
  "erased",
  "published",
] as const;
export type Change = (typeof CHANGES)[number];

/** Changes after which something must stop. They never wait behind another message. */
export const REFUSING_CHANGES: readonly Change[] = ["revoked", "suspended", "expired", "withdrawn", "erased"];

const BRIEF = { dataset_id: identifier, change: oneOf(...CHANGES) };
const BRIEF_OPTIONAL = { jti: jtiShape, content_id: identifier, revoked_at: instant };
const OURS = {
  event_id: identifier,
  endpoint_id: identifier,
  sequence: count,
  sent_at: instant,
  dataset: objectOf({
    status: datasetStateShape,
    current_version: count,
    min_valid_version: count,
    manifest_sha256: sha256,
  }),
};

const SENT_EVENT = objectOf({ ...BRIEF, ...OURS }, BRIEF_OPTIONAL);
const RECEIVED_EVENT = objectOf(BRIEF, { ...BRIEF_OPTIONAL, ...OURS });

/**
 * The body of `POST …/webhooks/consent-updated` as Licet sends it: the brief's `dataset_id change
 * jti revoked_at`, and ours. `sequence` counts the messages to this endpoint about this dataset.
 */
export type WebhookEvent = ReturnType<typeof SENT_EVENT>;

/**
 * The body as a receiver reads it. The brief's members are enough: a signed refusal is never lost
 * because something of ours is missing. Without `jti` and `content_id` it is about the whole dataset.
 */
export type ReceivedEvent = ReturnType<typeof RECEIVED_EVENT> & { readonly event_id: string };

export interface WebhookMessage {
  /** Equals the body's `event_id`; the receiver's key against repetition. */
  readonly id: string;
  /** Seconds since the epoch. */
  readonly timestamp: number;
  readonly body: string;
}

/** The headers that sign a message: Standard Webhooks v1, and the brief's `X-Signature`. */
export function signWebhook(message: WebhookMessage, secret: string): Record<string, string> {
  return {
    "webhook-id": message.id,
    "webhook-timestamp": String(message.timestamp),
    "webhook-signature": `v1,${encodeBase64(standardHmac(message, secretBytes(secret)))}`,
    "x-signature": signBody(message.body, secret),
  };
}

/** A fresh secret of 32 random bytes, written `whsec_` and base64. */
export function webhookSecret(random: Uint8Array): string {
  return SECRET_PREFIX + encodeBase64(random);
}

export interface WebhookCheck {
  /** The shared secrets in force: two while one is being replaced. */
  readonly secrets: readonly string[];
  /** Seconds since the epoch. */
  readonly now: number;
}

/**
 * Verifies a received message: signature first, over the raw body, then age, then content. Signed
 * with Standard Webhooks headers, with `X-Signature` beside them; or with the brief's `X-Signature`
 * alone, when the body itself says `event_id` and `sent_at`. `header` looks a header up without
 * regard to case.
 *
 * Refuses `webhook_unsigned`, `webhook_signature_invalid`, `webhook_too_old`, `webhook_invalid`.
 */
export function verifyWebhook(
  header: (name: string) => string | undefined,
  body: string,
  check: WebhookCheck,
): Result<ReceivedEvent> {
  const bodySignature = header("x-signature");
  if (header("webhook-signature") === undefined && bodySignature !== undefined) {
    return verifyBodySigned(body, bodySignature, check);
  }
  const message = readMessage(header, body);
  if (!message.ok) return message;
  const { signatures, ...signed } = message.value;
  if (!check.secrets.some((secret) => isSignedWith(signed, signatures, bodySignature, secret))) {
    return refuse(
      "webhook_signature_invalid",
      "expected a v1 signature, and an X-Signature where there is one, of the raw body by the shared secret",
    );
  }
  const age = checkAge("webhook-timestamp", signed.timestamp, check.now);
  return age.ok ? readEvent(body, signed.id) : age;
}

function readMessage(
  header: (name: string) => string | undefined,
  body: string,
): Result<WebhookMessage & { readonly signatures: readonly string[] }> {
  const id = header("webhook-id");
  const timestamp = header("webhook-timestamp");
  const signatures = header("webhook-signature")?.split(" ");
  if (
    id === undefined ||
    timestamp === undefined ||
    !/^\d{1,12}$/.test(timestamp) ||
    signatures === undefined ||
    signatures.length > MAX_SIGNATURES
  ) {
    return refuse("webhook_unsigned", "expected webhook-id, webhook-timestamp in seconds, and webhook-signature");
  }
  return accept({ id, timestamp: Number(timestamp), body, signatures });
}

/** `X-Signature` covers the body alone, so age and identity must be in it. */
function verifyBodySigned(body: string, signature: string, check: WebhookCheck): Result<ReceivedEvent> {
  if (!check.secrets.some((secret) => isEqual(signature, signBody(body, secret)))) {
    return refuse("webhook_signature_invalid", "expected X-Signature to be of the raw body by the shared secret");
  }
  const event = readEvent(body, undefined);
  if (!event.ok) return event;
  const sentAt = event.value.sent_at === undefined ? undefined : parseInstant(event.value.sent_at);
  if (sentAt === undefined) {
    return refuse(
      "webhook_unsigned",
      "expected webhook-id, webhook-timestamp and webhook-signature, or sent_at in the body",
    );
  }
  const age = checkAge("sent_at", sentAt, check.now);
  return age.ok ? event : age;
}

function checkAge(what: string, timestamp: number, now: number): Result<true> {
  if (Math.abs(now - timestamp) <= WEBHOOK_TOLERANCE_SECONDS) return accept(true);
  return refuse(
    "webhook_too_old",
    `expected ${what} within ${WEBHOOK_TOLERANCE_SECONDS} seconds of ${now}, got ${timestamp}`,
  );
}

/** The event's id is the message's; the body may repeat it, and must when there is no header. */
function readEvent(body: string, id: string | undefined): Result<ReceivedEvent> {
  const parsed = parseJsonObject(body);
  if (!parsed.ok) return refuse("webhook_invalid", parsed.refusal.detail);
  const event = readShape(RECEIVED_EVENT, parsed.value, "event", "webhook_invalid");
  if (!event.ok) return event;
  const event_id = event.value.event_id ?? id;
  if (event_id === undefined) return refuse("webhook_invalid", "event.event_id: expected to be there, is missing");
  if (id !== undefined && event_id !== id)
    return refuse("webhook_invalid", `event.event_id: expected ${id} as in webhook-id, got ${event_id}`);
  return accept({ ...event.value, event_id });
}

function isSignedWith(
  message: WebhookMessage,
  signatures: readonly string[],
  bodySignature: string | undefined,
  secret: string,
): boolean {
  const expected = `v1,${encodeBase64(standardHmac(message, secretBytes(secret)))}`;
  const isStandard = signatures.some((signature) => isEqual(signature, expected));
  return isStandard && (bodySignature === undefined || isEqual(bodySignature, signBody(message.body, secret)));
}

function signBody(body: string, secret: string): string {
  return `sha256=${bytesToHex(hmac(sha256Hash, secretBytes(secret), utf8ToBytes(body)))}`;
}

function standardHmac({ id, timestamp, body }: WebhookMessage, key: Uint8Array): Uint8Array {
  return hmac(sha256Hash, key, utf8ToBytes(`${id}.${timestamp}.${body}`));
}

/** The HMAC key is the decoded bytes after `whsec_`. Our own secrets are well formed, so another one is a fault. */
function secretBytes(secret: string): Uint8Array {
  const bytes = secret.startsWith(SECRET_PREFIX) ? decodeBase64(secret.slice(SECRET_PREFIX.length)) : undefined;
  if (bytes === undefined || bytes.length < 24 || bytes.length > 64)
    throw new TypeError("webhook secret: expected whsec_ and 24 to 64 bytes in base64");
  return bytes;
}

/** Compares in time that depends on the lengths alone. */
function isEqual(left: string, right: string): boolean {
  if (left.length !== right.length) return false;
  let difference = 0;
  for (let index = 0; index < left.length; index += 1) difference |= left.charCodeAt(index) ^ right.charCodeAt(index);
  return difference === 0;
}
