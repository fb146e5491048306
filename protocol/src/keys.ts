import { decodeBase64url, encodeBase64, encodeBase64url } from "./base64url.ts";
import { sha256Bytes } from "./digest.ts";
import { isCanonicalPoint, isSmallOrderPoint } from "./ed25519-encoding.ts";
import { parseInstant } from "./instant.ts";
import { type JsonObject, canonicalize } from "./json.ts";
import { type Result, accept, refuse } from "./refusal.ts";

/** The algorithms Licet speaks: Ed25519 (RFC 8037) and ECDSA with P-256 and SHA-256 (RFC 7518). */
export type Algorithm = "EdDSA" | "ES256";
export const ALGORITHMS = ["EdDSA", "ES256"] as const satisfies readonly Algorithm[];

/** A public key as a JWK (RFC 7517), required members only. */
export type PublicJwk =
  | { readonly kty: "OKP"; readonly crv: "Ed25519"; readonly x: string }
  | { readonly kty: "EC"; readonly crv: "P-256"; readonly x: string; readonly y: string };

/** What a platform key may sign: one key, one purpose. */
export type KeyPurpose = "consent" | "document" | "webhook" | "license" | "receipt";
export const KEY_PURPOSES = [
  "consent",
  "document",
  "webhook",
  "license",
  "receipt",
] as const satisfies readonly KeyPurpose[];

/** When a key may be relied on. Instants as in {@link parseInstant}. */
export interface KeyLifetime {
  readonly not_before: string;
  readonly not_after: string;
  readonly revoked_at?: string;
  readonly compromised_since?: string;
}

/** A key somebody can verify with: its public half and its lifetime. `kid` is the RFC 7638 thumbprint. */
export interface VerificationKey extends KeyLifetime {
  readonly kid: string;
  readonly alg: Algorithm;
  readonly jwk: PublicJwk;
}

/**
 * Reads an untrusted public JWK and keeps its required members only. Refuses (`key_malformed`)
 * other key types, coordinates that are not 32 bytes, Ed25519 points of small order or in a second
 * spelling, and anything that carries a private member.
 */
export function parsePublicJwk(input: JsonObject): Result<PublicJwk> {
  const { kty, crv, x, y } = input;
  if (Object.hasOwn(input, "d") || Object.hasOwn(input, "k"))
    return refuse("key_malformed", "expected a public key, got private members");
  if (kty === "OKP" && crv === "Ed25519" && isCoordinate(x)) return readEd25519(x);
  if (kty === "EC" && crv === "P-256" && isCoordinate(x) && isCoordinate(y)) return accept({ kty, crv, x, y });
  return refuse(
    "key_malformed",
    "expected kty OKP with crv Ed25519, or kty EC with crv P-256, and coordinates of 32 bytes in base64url",
  );
}

/** Two spellings of one key would have two thumbprints; under a point of small order anybody can sign. */
function readEd25519(x: string): Result<PublicJwk> {
  const point = decodeBase64url(x) ?? new Uint8Array();
  if (!isCanonicalPoint(point))
    return refuse("key_malformed", "expected an Ed25519 key with y below p (RFC 8032 section 5.1.3), got y from p on");
  return isSmallOrderPoint(point)
    ? refuse("key_malformed", "expected a key that only its owner can sign with, got a point of small order")
    : accept({ kty: "OKP", crv: "Ed25519", x });
}

function isCoordinate(value: unknown): value is string {
  return typeof value === "string" && decodeBase64url(value)?.length === 32;
}

export function algorithmOf(jwk: PublicJwk): Algorithm {
  return jwk.kty === "OKP" ? "EdDSA" : "ES256";
}

/** The RFC 7638 thumbprint (SHA-256, base64url) of a key; it is the key's `kid` everywhere. */
export function thumbprint(jwk: PublicJwk): string {
  const required =
    jwk.kty === "OKP" ? { crv: jwk.crv, kty: jwk.kty, x: jwk.x } : { crv: jwk.crv, kty: jwk.kty, x: jwk.x, y: jwk.y };
  return encodeBase64url(sha256Bytes(canonicalize(required)));
}

/**
 * True when something made at `madeAt` (seconds since the epoch) may be relied on: within
 * [not_before, min(not_after, compromised_since ?? revoked_at)).
 */
export function isInForce(key: KeyLifetime, madeAt: number): boolean {
  const begin = parseInstant(key.not_before);
  const ends = [key.not_after, key.compromised_since ?? key.revoked_at]
    .filter((end) => end !== undefined)
    .map(parseInstant);
  return begin !== undefined && begin <= madeAt && ends.every((end) => end !== undefined && madeAt < end);
}

/** The DER prefixes of SubjectPublicKeyInfo (RFC 8410 section 4; RFC 5480 section 2). */
const SPKI_PREFIX = {
  OKP: [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00],
  EC: [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
  ],
} as const;

/** The key as `-----BEGIN PUBLIC KEY-----` (RFC 7468 section 13). */
export function publicKeyPem(jwk: PublicJwk): string {
  const coordinates = jwk.kty === "OKP" ? [jwk.x] : [jwk.x, jwk.y];
  const der = [
    ...SPKI_PREFIX[jwk.kty],
    ...coordinates.flatMap((coordinate) => [...(decodeBase64url(coordinate) ?? [])]),
  ];
  const lines = encodeBase64(Uint8Array.from(der)).match(/.{1,64}/g) ?? [];
  return `-----BEGIN PUBLIC KEY-----\n${lines.join("\n")}\n-----END PUBLIC KEY-----\n`;
}
