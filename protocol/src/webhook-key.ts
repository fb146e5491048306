import { utf8ToBytes } from "@noble/hashes/utils.js";
import { decodeBase64, decodeBase64url, encodeBase64, encodeBase64url } from "./base64url.ts";
import { type KeySet } from "./key-set.ts";
import { type PublicJwk, parsePublicJwk } from "./keys.ts";
import { type Result, refuse } from "./refusal.ts";
import { type Signer, verifySignature } from "./signature.ts";
import {
  type HeaderLookup,
  type ReceivedEvent,
  type WebhookMessage,
  checkWebhookAge,
  readWebhookEvent,
  readWebhookHeaders,
  signedWebhookText,
} from "./webhook-message.ts";

const PUBLIC_PREFIX = "whpk_";
const VERSION = "v1a,";
const PUBLIC_KEY_BYTES = 32;

/**
 * Signs a message with the platform's key of purpose `webhook` (Ed25519): an entry for
 * `webhook-signature`, `v1a,` and base64 (Standard Webhooks 1.0, asymmetric signatures).
 */
export async function signWebhookByKey(message: WebhookMessage, signer: Signer): Promise<string> {
  if (signer.alg !== "EdDSA") throw new TypeError(`webhook key: expected EdDSA, got ${signer.alg}`);
  const bytes = new Uint8Array(utf8ToBytes(signedWebhookText(message)));
  return VERSION + encodeBase64(await signer.sign(bytes));
}

/** A public key as Standard Webhooks writes it: `whpk_` and its 32 bytes in base64. Undefined for a key that is not Ed25519. */
export function webhookPublicKey(jwk: PublicJwk): string | undefined {
  const bytes = jwk.kty === "OKP" ? decodeBase64url(jwk.x) : undefined;
  return bytes === undefined ? undefined : PUBLIC_PREFIX + encodeBase64(bytes);
}

/**
 * The keys that webhooks may be signed with, from a verified key set: those of purpose `webhook`
 * that are not revoked. A retired one may still have signed what is on its way.
 */
export function webhookPublicKeys(keys: KeySet): readonly string[] {
  return keys.keys
    .filter((key) => key.purpose === "webhook" && key.status !== "revoked")
    .flatMap((key) => webhookPublicKey(key.jwk) ?? []);
}

export interface WebhookKeyCheck {
  /** The platform's keys (`whpk_…`): two while one is being replaced. */
  readonly publicKeys: readonly string[];
  /**
   * The receiver's own endpoints. The platform signs messages to everybody with one key, so a
   * message to somebody else would verify here too.
   */
  readonly endpointIds: readonly string[];
  /** Seconds since the epoch. */
  readonly now: number;
  /** Messages that say `test: true` are refused unless this allows them. */
  readonly allowTest?: boolean;
}

/**
 * Verifies a received message by the platform's public key alone: a v1a signature over the raw body,
 * then age, then content, then that it was sent to this receiver. `header` looks a header up without
 * regard to case.
 *
 * Refuses `webhook_unsigned`, `webhook_signature_invalid`, `webhook_too_old`, `webhook_invalid`,
 * `test_document`. Standard Webhooks 1.0, "Signature scheme".
 */
export async function verifyWebhookByKey(
  header: HeaderLookup,
  body: string,
  check: WebhookKeyCheck,
): Promise<Result<ReceivedEvent>> {
  const message = readWebhookHeaders(header, body);
  if (!message.ok) return message;
  const { signatures, ...signed } = message.value;
  if (!(await isSignedByAny(signed, signatures, check.publicKeys)))
    return refuse(
      "webhook_signature_invalid",
      "expected a v1a signature of the raw body by one of the platform's webhook keys",
    );
  const age = checkWebhookAge("webhook-timestamp", signed.timestamp, check.now);
  if (!age.ok) return age;
  const event = readWebhookEvent(body, { id: signed.id, ...check });
  if (!event.ok || check.endpointIds.some((endpointId) => endpointId === event.value.endpoint_id)) return event;
  return refuse(
    "webhook_invalid",
    `event.endpoint_id: expected ${check.endpointIds.join(" or ")}, got ${event.value.endpoint_id ?? "none"}`,
  );
}

async function isSignedByAny(
  message: WebhookMessage,
  signatures: readonly string[],
  publicKeys: readonly string[],
): Promise<boolean> {
  const bytes = new Uint8Array(utf8ToBytes(signedWebhookText(message)));
  const raw = signatures
    .filter((signature) => signature.startsWith(VERSION))
    .flatMap((signature) => decodeBase64(signature.slice(VERSION.length)) ?? []);
  for (const jwk of publicKeys.map(jwkOf)) {
    for (const signature of raw) if (await verifySignature(jwk, bytes, encodeBase64url(signature))) return true;
  }
  return false;
}

/** A receiver configures its keys, so a malformed one is a fault, not a refusal. */
function jwkOf(publicKey: string): PublicJwk {
  const bytes = publicKey.startsWith(PUBLIC_PREFIX) ? decodeBase64(publicKey.slice(PUBLIC_PREFIX.length)) : undefined;
  if (bytes?.length !== PUBLIC_KEY_BYTES)
    throw new TypeError(`webhook public key: expected whpk_ and ${PUBLIC_KEY_BYTES} bytes in base64`);
  const jwk = parsePublicJwk({ kty: "OKP", crv: "Ed25519", x: encodeBase64url(bytes) });
  if (!jwk.ok) throw new TypeError(`webhook public key: ${jwk.refusal.detail}`);
  return jwk.value;
}
