import { hmac } from "@noble/hashes/hmac.js";
import { sha256 as sha256Hash } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import { decodeBase64, encodeBase64 } from "./base64url.ts";
import { type Result, refuse } from "./refusal.ts";
import {
  type HeaderLookup,
  type ReceivedEvent,
  type WebhookMessage,
  checkWebhookAge,
  readWebhookEvent,
  readWebhookHeaders,
  sentAtOf,
  signedWebhookText,
} from "./webhook-message.ts";

export {
  CHANGES,
  type Change,
  type HeaderLookup,
  LICENSE_CHANGES,
  LICENSE_ENDINGS,
  type LicenseChange,
  type LicenseNotice,
  MAX_WEBHOOK_REASON,
  MAX_WEBHOOK_BYTES,
  NOTICES,
  type Notice,
  REFUSING_CHANGES,
  REMEDIATION_CHANGES,
  type ReceivedEvent,
  type RemediationChange,
  type RemediationNotice,
  WEBHOOK_TOLERANCE_SECONDS,
  type WebhookEvent,
  type WebhookMessage,
  type WebhookNotice,
  readWebhookEvent,
} from "./webhook-message.ts";

const SECRET_PREFIX = "whsec_";

/**
 * The headers that sign a message: Standard Webhooks v1 by every secret in force, the newest first,
 * and the brief's `X-Signature`, which holds one signature, by the newest.
 *
 * @example signWebhook({ id: "evt_1", timestamp, body }, [newSecret, oldSecret]);
 */
export function signWebhook(
  message: WebhookMessage,
  secrets: string | readonly [string, ...string[]],
): Record<string, string> {
  const inForce = typeof secrets === "string" ? ([secrets] as const) : secrets;
  return {
    "webhook-id": message.id,
    "webhook-timestamp": String(message.timestamp),
    "webhook-signature": inForce.map((secret) => standardSignature(message, secret)).join(" "),
    "x-signature": signBody(message.body, inForce[0]),
  };
}

/** A fresh secret of 32 random bytes, written `whsec_` and base64. */
export function webhookSecret(random: Uint8Array): string {
  return SECRET_PREFIX + encodeBase64(random);
}

/** How long a secret is, decoded, as Standard Webhooks demands. */
export const WEBHOOK_SECRET_BYTES = { least: 24, most: 64 } as const;

/** True for a secret as receivers and senders take it: `whsec_` and 24 to 64 bytes in base64. @example isWebhookSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw") */
export function isWebhookSecret(text: string): boolean {
  return decodeSecret(text) !== undefined;
}

function decodeSecret(text: string): Uint8Array | undefined {
  const bytes = text.startsWith(SECRET_PREFIX) ? decodeBase64(text.slice(SECRET_PREFIX.length)) : undefined;
  const isLongEnough = bytes !== undefined && bytes.length >= WEBHOOK_SECRET_BYTES.least;
  return isLongEnough && bytes.length <= WEBHOOK_SECRET_BYTES.most ? bytes : undefined;
}

export interface WebhookCheck {
  /** The shared secrets in force: two while one is being replaced. */
  readonly secrets: readonly string[];
  /** Seconds since the epoch. */
  readonly now: number;
  /** Messages that say `test: true` are refused unless this allows them. */
  readonly allowTest?: boolean;
}

/**
 * Verifies a received message: signature first, over the raw body, then age, then content. Signed
 * with Standard Webhooks headers, with `X-Signature` beside them; or with the brief's `X-Signature`
 * alone, when the body itself says `event_id` and `sent_at`. `header` looks a header up without
 * regard to case.
 *
 * `X-Signature` must be by the same secret as the v1 signature. Only while a secret is being
 * replaced, when there are several v1 signatures, it may be by one that the receiver does not hold.
 *
 * Refuses `webhook_unsigned`, `webhook_signature_invalid`, `webhook_too_old`, `webhook_invalid`,
 * `test_document`.
 */
export function verifyWebhook(header: HeaderLookup, body: string, check: WebhookCheck): Result<ReceivedEvent> {
  const bodySignature = header("x-signature");
  if (header("webhook-signature") === undefined && bodySignature !== undefined) {
    return verifyBodySigned(body, bodySignature, check);
  }
  const message = readWebhookHeaders(header, body);
  if (!message.ok) return message;
  const { signatures, ...signed } = message.value;
  if (!check.secrets.some((secret) => isSignedWith(signed, signatures, bodySignature, secret))) {
    return refuse(
      "webhook_signature_invalid",
      "expected a v1 signature, and an X-Signature where there is one, of the raw body by the shared secret",
    );
  }
  const age = checkWebhookAge("webhook-timestamp", signed.timestamp, check.now);
  return age.ok ? readWebhookEvent(body, { id: signed.id, ...check }) : age;
}

/** `X-Signature` covers the body alone, so age and identity must be in it. */
function verifyBodySigned(body: string, signature: string, check: WebhookCheck): Result<ReceivedEvent> {
  if (!check.secrets.some((secret) => isEqual(signature, signBody(body, secret)))) {
    return refuse("webhook_signature_invalid", "expected X-Signature to be of the raw body by the shared secret");
  }
  const event = readWebhookEvent(body, check);
  if (!event.ok) return event;
  const sentAt = sentAtOf(event.value);
  if (sentAt === undefined) {
    return refuse(
      "webhook_unsigned",
      "expected webhook-id, webhook-timestamp and webhook-signature, or sent_at in the body",
    );
  }
  const age = checkWebhookAge("sent_at", sentAt, check.now);
  return age.ok ? event : age;
}

function isSignedWith(
  message: WebhookMessage,
  signatures: readonly string[],
  bodySignature: string | undefined,
  secret: string,
): boolean {
  const expected = standardSignature(message, secret);
  if (!signatures.some((signature) => isEqual(signature, expected))) return false;
  const isRotating = signatures.filter((signature) => signature.startsWith("v1,")).length > 1;
  return isRotating || bodySignature === undefined || isEqual(bodySignature, signBody(message.body, secret));
}

function signBody(body: string, secret: string): string {
  return `sha256=${bytesToHex(hmac(sha256Hash, secretBytes(secret), utf8ToBytes(body)))}`;
}

function standardSignature(message: WebhookMessage, secret: string): string {
  return `v1,${encodeBase64(hmac(sha256Hash, secretBytes(secret), utf8ToBytes(signedWebhookText(message))))}`;
}

/** The HMAC key is the decoded bytes after `whsec_`. Our own secrets are well formed, so another one is a fault. */
function secretBytes(secret: string): Uint8Array {
  const bytes = decodeSecret(secret);
  if (bytes === undefined) throw new TypeError("webhook secret: expected whsec_ and 24 to 64 bytes in base64");
  return bytes;
}

/** Compares in time that depends on the lengths alone. */
function isEqual(left: string, right: string): boolean {
  if (left.length !== right.length) return false;
  let difference = 0;
  for (let index = 0; index < left.length; index += 1) difference |= left.charCodeAt(index) ^ right.charCodeAt(index);
  return difference === 0;
}
