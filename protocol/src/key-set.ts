import { checkFresh, clocksShape } from "./freshness.ts";
import { type JsonObject, canonicalize } from "./json.ts";
import {
  ALGORITHMS,
  type Algorithm,
  KEY_PURPOSES,
  type KeyPurpose,
  type PublicJwk,
  type VerificationKey,
  algorithmOf,
  parsePublicJwk,
  thumbprint,
} from "./keys.ts";
import { type Result, accept, refuse } from "./refusal.ts";
import {
  anyObject,
  count,
  instant,
  listOf,
  objectOf,
  oneOf,
  origin,
  qualifiedIdentifier,
  readShape,
  textUpTo,
} from "./shape.ts";
import { type SignedDocument, verifyDocument } from "./signed-document.ts";

export type KeyStatus = "active" | "retired" | "revoked";

/** A key of the platform: a verification key with one purpose. */
export interface PlatformKey extends VerificationKey {
  readonly purpose: KeyPurpose;
  readonly status: KeyStatus;
}

/** What a reader keeps of `/.well-known/keys.json`. */
export interface KeySet {
  readonly iss: string;
  readonly seq: number;
  readonly keys: readonly PlatformKey[];
  /** Set by a reader who accepts what a server in test mode signs. Otherwise everything that says `test: true` is refused. */
  readonly allowsTest?: boolean;
}

/** The key set as it is published: a JWKS (RFC 7517 section 5) that is also a signed document. */
export interface KeySetDocument extends SignedDocument {
  readonly seq: number;
  readonly keys: readonly JsonObject[];
}

const MAX_KEYS = 1_000;

/** Whatever its age, a key is handed over this long before its end: what it signed after that nobody would take. */
export const KEY_HANDOVER_SECONDS = 7 * 86_400;

const LIFETIME = { not_before: instant, not_after: instant } as const;
const ENDINGS = { revoked_at: instant, compromised_since: instant } as const;
const KEY_ENTRY = objectOf(
  {
    kid: textUpTo(128),
    alg: oneOf(...ALGORITHMS),
    purpose: oneOf(...KEY_PURPOSES),
    status: oneOf("active", "retired", "revoked"),
    ...LIFETIME,
  },
  ENDINGS,
);
const KEY_SET = objectOf({ iss: origin, seq: count, keys: listOf(anyObject, { max: MAX_KEYS }) });

/** One key as a member of the published JWKS: the JWK's own members beside ours. */
export function keyEntry(key: PlatformKey): JsonObject {
  const { jwk, ...rest } = key;
  return { ...jwk, ...rest, use: "sig" };
}

/**
 * Reads and verifies a key set. Trust begins with where it was fetched from: `expectedIssuer` is
 * the origin of that URL. Its own signature, by one of its active document keys, shows that it is
 * complete and lets `seq` be compared.
 */
export async function verifyKeySet(
  document: JsonObject,
  expectedIssuer: string,
  now: number,
  options: { readonly allowTest?: boolean } = {},
): Promise<Result<KeySet>> {
  const keySet = readKeySet(document);
  if (!keySet.ok) return keySet;
  if (keySet.value.iss !== expectedIssuer)
    return refuse("document_invalid", `expected iss ${expectedIssuer}, got ${keySet.value.iss}`);
  const verified = await verifyDocument(document, { type: "key-set", keys: keySet.value, madeAt: now, ...options });
  if (!verified.ok) return verified;
  const fresh = checkFreshIfClocked(document, now);
  if (!fresh.ok) return fresh;
  return options.allowTest === true ? accept({ ...keySet.value, allowsTest: true }) : keySet;
}

/** A set that carries clocks is believed no longer than they say: an old one could hide that a key was revoked. */
function checkFreshIfClocked(document: JsonObject, now: number): Result<true> {
  if (!Object.hasOwn(document, "expires_at")) return accept(true);
  const clocks = readShape(clocksShape, document, "key-set", "document_invalid");
  if (!clocks.ok) return clocks;
  const fresh = checkFresh(clocks.value, now);
  return fresh.ok ? accept(true) : fresh;
}

/** Reads a key set without checking its signature. Refuses a `kid` that is not the key's thumbprint, and duplicates. */
export function readKeySet(document: JsonObject): Result<KeySet> {
  const read = readShape(KEY_SET, document, "key-set", "document_invalid");
  if (!read.ok) return read;
  const keys: PlatformKey[] = [];
  for (const entry of read.value.keys) {
    const key = readPlatformKey(entry);
    if (!key.ok) return key;
    if (keys.some((known) => known.kid === key.value.kid))
      return refuse("document_invalid", `key-set: expected each kid once, got ${key.value.kid} twice`);
    keys.push(key.value);
  }
  return accept({ iss: read.value.iss, seq: read.value.seq, keys });
}

function readPlatformKey(entry: JsonObject): Result<PlatformKey> {
  const members = readShape(KEY_ENTRY, entry, "key-set.keys", "document_invalid");
  if (!members.ok) return members;
  const { kid, alg, status, revoked_at, compromised_since } = members.value;
  if (status === "revoked" && (revoked_at ?? compromised_since) === undefined)
    return refuse("document_invalid", `key-set.keys: expected revoked_at of the revoked key ${kid}, got none`);
  const jwk = readBoundJwk(entry, kid, alg);
  return jwk.ok ? accept({ ...members.value, jwk: jwk.value }) : jwk;
}

/** Reads a JWK and demands that `kid` and `alg` are the key's own. */
export function readBoundJwk(input: JsonObject, kid: string, alg: Algorithm): Result<PublicJwk> {
  const jwk = parsePublicJwk(input);
  if (!jwk.ok) return jwk;
  if (thumbprint(jwk.value) !== kid)
    return refuse("document_invalid", `expected kid to be the key's thumbprint ${thumbprint(jwk.value)}, got ${kid}`);
  if (algorithmOf(jwk.value) !== alg)
    return refuse(
      "key_alg_mismatch",
      `expected ${algorithmOf(jwk.value)} for ${canonicalize({ ...jwk.value })}, got ${alg}`,
    );
  return jwk;
}

/** A creator's key as a signed document of type `creator-key`. */
export interface CreatorKey extends VerificationKey {
  readonly creator_id: string;
}

const CREATOR_KEY = objectOf(
  { creator_id: qualifiedIdentifier, kid: textUpTo(128), alg: oneOf(...ALGORITHMS), jwk: anyObject, ...LIFETIME },
  ENDINGS,
);

/** Reads a `creator-key` document without checking its signature. */
export function readCreatorKey(document: JsonObject): Result<CreatorKey> {
  const members = readShape(CREATOR_KEY, document, "creator-key", "document_invalid");
  if (!members.ok) return members;
  const jwk = readBoundJwk(members.value.jwk, members.value.kid, members.value.alg);
  return jwk.ok ? accept({ ...members.value, jwk: jwk.value }) : jwk;
}

/** Reads a `creator-key` document and verifies the platform's signature on it. */
export async function verifyCreatorKey(document: JsonObject, keys: KeySet, now: number): Promise<Result<CreatorKey>> {
  const verified = await verifyDocument(document, { type: "creator-key", keys, madeAt: now });
  return verified.ok ? readCreatorKey(document) : verified;
}
