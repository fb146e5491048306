import { decodeBase64url, encodeBase64url } from "./base64url.ts";
import { parseCompactJws, signCompactJws, verifyCompactJws } from "./compact-jws.ts";
import { CLOCK_SKEW_SECONDS, TRUST_SECONDS, TTL_SECONDS } from "./freshness.ts";
import type { KeySet } from "./key-set.ts";
import { isInForce } from "./keys.ts";
import { type Result, accept, refuse } from "./refusal.ts";
import { anything, count, exactly, numericDate, objectOf, origin, readShape, textUpTo, webUrl } from "./shape.ts";
import type { Signer } from "./signature.ts";
import { isTest, testMark } from "./signed-document.ts";

/**
 * IETF Token Status List (draft-ietf-oauth-status-list-21), JWT form: two bits for each token, so
 * that whoever holds a fresh list knows everything offline.
 */
export const STATUS_LIST_TYP = "statuslist+jwt";
export const STATUS_LIST_BITS = 2;
export const STATUS_LIST_ENTRIES = 2 ** 20;
/** A list of two-bit entries in memory: 256 KiB. Also the most that a received list may inflate to. */
export const STATUS_LIST_BYTES = (STATUS_LIST_ENTRIES * STATUS_LIST_BITS) / 8;
/** A list of random bits hardly compresses; its token is never longer than this. */
export const MAX_STATUS_LIST_TOKEN_LENGTH = 500_000;

/** Status types of section 7.1. */
export const STATUS = { valid: 0, revoked: 1, suspended: 2 } as const;
export type StatusName = keyof typeof STATUS;

/** Where a token's status is found: the claim `status.status_list`. */
export interface StatusReference {
  readonly idx: number;
  readonly uri: string;
}
export const statusReferenceShape = objectOf({ status_list: objectOf({ idx: count, uri: webUrl }) });

const ENTRIES_PER_BYTE = 8 / STATUS_LIST_BITS;
const ENTRY_MASK = 2 ** STATUS_LIST_BITS - 1;

/** The value at an index; least significant bits first (section 4.1). Refuses `status_out_of_range`. */
export function statusAt(bits: Uint8Array, idx: number): Result<number> {
  const byte = bits[Math.floor(idx / ENTRIES_PER_BYTE)];
  if (!Number.isSafeInteger(idx) || idx < 0 || byte === undefined)
    return refuse("status_out_of_range", `expected an index below ${bits.length * ENTRIES_PER_BYTE}, got ${idx}`);
  return accept((byte >> shiftOf(idx)) & ENTRY_MASK);
}

/** Sets the value at an index in place. The index is ours, so one out of range is a fault. */
export function setStatusAt(bits: Uint8Array, idx: number, status: number): void {
  const at = Math.floor(idx / ENTRIES_PER_BYTE);
  const byte = bits[at];
  if (byte === undefined || status > ENTRY_MASK)
    throw new RangeError(`status list: no index ${idx} or no status ${status}`);
  bits[at] = (byte & ~(ENTRY_MASK << shiftOf(idx))) | (status << shiftOf(idx));
}

function shiftOf(idx: number): number {
  return (idx % ENTRIES_PER_BYTE) * STATUS_LIST_BITS;
}

/** Refuses (`consent_revoked`, `consent_suspended`) unless the value says valid; values without a meaning here count as revoked. */
export function checkStatus(value: number, what: string): Result<true> {
  if (value === STATUS.valid) return accept(true);
  return value === STATUS.suspended
    ? refuse("consent_suspended", `${what} is suspended`)
    : refuse("consent_revoked", `${what} is revoked`);
}

/** zlib (RFC 1950) compression at the level the host chooses. */
export type Deflate = (bytes: Uint8Array<ArrayBuffer>) => Promise<Uint8Array<ArrayBuffer>>;

export interface StatusList {
  readonly uri: string;
  readonly iss: string;
  readonly seq: number;
  /** Seconds since the epoch. */
  readonly iat: number;
  readonly exp: number;
  readonly bits: Uint8Array;
}

export interface StatusListContent {
  readonly uri: string;
  readonly iss: string;
  readonly seq: number;
  readonly iat: number;
  /** The compressed bits, `lst`. They change only when a bit changes, so re-signing need not compress again. */
  readonly lst: string;
}

export async function compressStatusList(bits: Uint8Array<ArrayBuffer>, deflate: Deflate): Promise<string> {
  return encodeBase64url(await deflate(bits));
}

/** Signs a list: `sub` is its URI, `exp` and `ttl` are the two clocks, `seq` grows with every signature. */
export async function signStatusList(content: StatusListContent, signer: Signer): Promise<string> {
  const { uri, iss, seq, iat, lst } = content;
  const claims = {
    sub: uri,
    iss,
    seq,
    iat,
    exp: iat + TRUST_SECONDS,
    ttl: TTL_SECONDS,
    status_list: { bits: STATUS_LIST_BITS, lst },
    ...testMark(signer),
  };
  return signCompactJws(STATUS_LIST_TYP, claims, signer);
}

const CLAIMS = objectOf(
  {
    sub: webUrl,
    iss: origin,
    seq: count,
    iat: numericDate,
    exp: numericDate,
    status_list: objectOf({ bits: exactly(STATUS_LIST_BITS), lst: textUpTo(MAX_STATUS_LIST_TOKEN_LENGTH) }),
  },
  { ttl: count, test: anything },
);

export interface StatusListCheck {
  readonly uri: string;
  readonly keys: KeySet;
  readonly now: number;
}

/**
 * Verifies a status list token in the order of section 8.3: syntax, key and signature, claims,
 * times, content. Only an active document key may sign one.
 *
 * Refuses what {@link parseCompactJws} and {@link verifyCompactJws} refuse, and `key_unknown`,
 * `key_not_in_force`, `key_purpose_wrong`, `document_expired`, `test_document`, `status_list_invalid`.
 */
export async function verifyStatusList(token: string, check: StatusListCheck): Promise<Result<StatusList>> {
  const jws = parseCompactJws(token, STATUS_LIST_TYP, MAX_STATUS_LIST_TOKEN_LENGTH);
  if (!jws.ok) return jws;
  const key = check.keys.keys.find((candidate) => candidate.kid === jws.value.header.kid);
  if (key === undefined)
    return refuse("key_unknown", `expected a key of ${check.keys.iss}, got ${jws.value.header.kid}`);
  if (key.purpose !== "document")
    return refuse("key_purpose_wrong", `expected a document key on a status list, got purpose ${key.purpose}`);
  if (key.status !== "active" || !isInForce(key, check.now))
    return refuse("key_not_in_force", `the key ${key.kid} is not active`);
  const verified = await verifyCompactJws(jws.value, key.jwk);
  if (!verified.ok) return verified;
  const claims = readShape(CLAIMS, verified.value.payload, "status list", "status_list_invalid");
  if (!claims.ok) return claims;
  const { sub, iss, seq, iat, exp, test, status_list } = claims.value;
  if (isTest(test) && check.keys.allowsTest !== true) return refuse("test_document", "the status list says test: true");
  if (sub !== check.uri || iss !== check.keys.iss)
    return refuse("status_list_invalid", `expected sub ${check.uri} and iss ${check.keys.iss}, got ${sub} and ${iss}`);
  if (iat > check.now + CLOCK_SKEW_SECONDS || check.now >= Math.min(exp, iat + TRUST_SECONDS)) {
    return refuse(
      "document_expired",
      `expected a status list that is trusted at ${check.now}, got iat ${iat} and exp ${exp}`,
    );
  }
  const bits = await inflateStatusList(status_list.lst);
  return bits.ok ? accept({ uri: sub, iss, seq, iat, exp, bits: bits.value }) : bits;
}

/** Inflates `lst`, and never beyond {@link STATUS_LIST_BYTES}: a list is also where a deflate bomb would hide. */
async function inflateStatusList(lst: string): Promise<Result<Uint8Array>> {
  const compressed = decodeBase64url(lst);
  if (compressed === undefined) return refuse("status_list_invalid", "expected lst in base64url");
  const bits = new Uint8Array(STATUS_LIST_BYTES);
  let length = 0;
  try {
    const reader = new Blob([compressed]).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
      if (length + chunk.value.length > STATUS_LIST_BYTES) {
        await reader.cancel();
        return refuse("status_list_invalid", `expected at most ${STATUS_LIST_BYTES} bytes`);
      }
      bits.set(chunk.value, length);
      length += chunk.value.length;
    }
  } catch {
    return refuse("status_list_invalid", "expected lst to be a zlib stream");
  }
  return accept(bits.subarray(0, length));
}
