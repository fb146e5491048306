import { decodeBase58btc, encodeBase58btc } from "./base58btc.ts";
import { decodeBase64url, encodeBase64url } from "./base64url.ts";
import { canonicalBytes, parseJsonObject } from "./json.ts";
import { type PublicJwk, algorithmOf, parsePublicJwk, thumbprint } from "./keys.ts";
import { compressPoint, decompressPoint } from "./p256-point.ts";
import { type Result, accept, refuse } from "./refusal.ts";

/** The DIDs that hold their key in themselves: nobody has to be asked for it. */
export const DID_METHODS = ["did:key", "did:jwk"] as const;
export type DidMethod = (typeof DID_METHODS)[number];

/** A DID is at most this long. */
export const MAX_DID_LENGTH = 1024;

const DID_KEY = /^did:key:z([1-9A-HJ-NP-Za-km-z]{1,64})$/;
const DID_JWK = /^did:jwk:([A-Za-z0-9_-]+)$/;

/** Multicodec names as varints: `ed25519-pub` (0xed) and `p256-pub` (0x1200), each in its shortest form. */
const ED25519_PUB = [0xed, 0x01];
const P256_PUB = [0x80, 0x24];

/**
 * The public key inside a `did:key` (Ed25519 `z6Mk…`, P-256 `zDn…`) or `did:jwk`, with a bare DID and
 * nothing after it. A `did:key` has one spelling for each key; a `did:jwk` is strict base64url of
 * strict I-JSON, without private members, and `use` and `alg`, where they are there, must be those of
 * a key that signs.
 *
 * Refuses `did_malformed` and, as {@link parsePublicJwk} does, `key_malformed`.
 *
 * @example parseDid("did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK")
 */
export function parseDid(did: string): Result<PublicJwk> {
  if (did.length > MAX_DID_LENGTH)
    return refuse("did_malformed", `expected at most ${MAX_DID_LENGTH} characters, got ${did.length}`);
  const [, multibase] = DID_KEY.exec(did) ?? [];
  if (multibase !== undefined) return parseDidKey(decodeBase58btc(multibase) ?? new Uint8Array());
  const [, encoded] = DID_JWK.exec(did) ?? [];
  if (encoded !== undefined) return parseDidJwk(encoded);
  return refuse(
    "did_malformed",
    "expected did:key:z and base58btc, or did:jwk: and base64url, without path, query or fragment",
  );
}

function parseDidKey(bytes: Uint8Array): Result<PublicJwk> {
  const key = bytes.subarray(2);
  if (startsWith(bytes, ED25519_PUB) && key.length === 32)
    return parsePublicJwk({ kty: "OKP", crv: "Ed25519", x: encodeBase64url(key) });
  const point = startsWith(bytes, P256_PUB) ? decompressPoint(key) : undefined;
  if (point !== undefined)
    return accept({ kty: "EC", crv: "P-256", x: encodeBase64url(point.x), y: encodeBase64url(point.y) });
  return refuse("did_malformed", "expected an Ed25519 key of 32 bytes, or a compressed point of P-256");
}

function startsWith(bytes: Uint8Array, prefix: readonly number[]): boolean {
  return prefix.every((byte, index) => bytes[index] === byte);
}

function parseDidJwk(encoded: string): Result<PublicJwk> {
  const bytes = decodeBase64url(encoded);
  const parsed = bytes === undefined ? undefined : parseJsonObject(bytes);
  if (parsed?.ok !== true) return refuse("did_malformed", "expected did:jwk: and strict base64url of an I-JSON object");
  const jwk = parsePublicJwk(parsed.value);
  if (!jwk.ok) return jwk;
  const { use = "sig", alg = algorithmOf(jwk.value) } = parsed.value;
  if (use !== "sig" || alg !== algorithmOf(jwk.value))
    return refuse("did_malformed", `expected use sig and alg ${algorithmOf(jwk.value)}, where they are there`);
  return jwk;
}

/** The DID of a key: its one `did:key`, or the `did:jwk` of its required members in canonical JSON (RFC 8785). */
export function didOf(jwk: PublicJwk, method: DidMethod): string {
  if (method === "did:jwk") return `did:jwk:${encodeBase64url(canonicalBytes({ ...jwk }))}`;
  const bytes = jwk.kty === "OKP" ? [...ED25519_PUB, ...coordinate(jwk.x)] : [...P256_PUB, ...compress(jwk.x, jwk.y)];
  return `did:key:z${encodeBase58btc(Uint8Array.from(bytes))}`;
}

function compress(x: string, y: string): Uint8Array {
  return compressPoint({ x: coordinate(x), y: coordinate(y) });
}

function coordinate(text: string): Uint8Array<ArrayBuffer> {
  const bytes = decodeBase64url(text);
  if (bytes === undefined) throw new TypeError("expected a key that parsePublicJwk accepted");
  return bytes;
}

/** True for text that begins as one of the DIDs {@link parseDid} reads. */
export function isDid(text: string): boolean {
  return text.length <= MAX_DID_LENGTH && (DID_KEY.test(text) || DID_JWK.test(text));
}

/** True when a DID holds exactly this key. */
export function isDidOf(did: string, jwk: PublicJwk): boolean {
  if (did.startsWith("did:key:")) return did === didOf(jwk, "did:key");
  const parsed = parseDid(did);
  return parsed.ok && thumbprint(parsed.value) === thumbprint(jwk);
}
