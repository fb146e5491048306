import { decodeBase64url } from "./base64url.ts";
import { isStrictEd25519Signature } from "./ed25519-encoding.ts";
import { type Algorithm, type PublicJwk, algorithmOf, thumbprint } from "./keys.ts";

/** Signs bytes with one key. The private half stays with whoever made the signer. */
export interface Signer {
  readonly kid: string;
  readonly alg: Algorithm;
  /** True for a key of a server in test mode: everything that is signed with it says `test: true`. */
  readonly test?: boolean;
  readonly sign: (bytes: Uint8Array<ArrayBuffer>) => Promise<Uint8Array<ArrayBuffer>>;
}

/** A private key as a JWK: the public members and `d`. */
export type PrivateJwk = PublicJwk & { readonly d: string };

const WEB_CRYPTO = {
  EdDSA: { key: { name: "Ed25519" }, signature: { name: "Ed25519" } },
  ES256: { key: { name: "ECDSA", namedCurve: "P-256" }, signature: { name: "ECDSA", hash: "SHA-256" } },
} as const satisfies Record<Algorithm, unknown>;

/** Every signature is this long: R‖S of Ed25519 (RFC 8032), r‖s of ES256 (RFC 7518 section 3.4). */
export const SIGNATURE_BYTES = 64;

/** Makes a signer from a private JWK; with `test`, one whose signed things say `test: true`. */
export async function signerOf(jwk: PrivateJwk, { test = false }: { readonly test?: boolean } = {}): Promise<Signer> {
  const alg = algorithmOf(jwk);
  const key = await crypto.subtle.importKey("jwk", { ...jwk }, WEB_CRYPTO[alg].key, false, ["sign"]);
  return {
    kid: thumbprint(jwk),
    alg,
    ...(test ? { test } : {}),
    sign: async (bytes) => new Uint8Array(await crypto.subtle.sign(WEB_CRYPTO[alg].signature, key, bytes)),
  };
}

/** Makes a fresh private key. Keep it sealed. */
export async function generatePrivateJwk(alg: Algorithm): Promise<PrivateJwk> {
  const pair = await crypto.subtle.generateKey(WEB_CRYPTO[alg].key, true, ["sign", "verify"]);
  if (!("privateKey" in pair)) throw new TypeError("expected a key pair");
  const { kty, crv, x, y, d } = await crypto.subtle.exportKey("jwk", pair.privateKey);
  if (x === undefined || d === undefined) throw new TypeError("expected a JWK with x and d");
  if (kty === "OKP" && crv === "Ed25519") return { kty, crv, x, d };
  if (kty === "EC" && crv === "P-256" && y !== undefined) return { kty, crv, x, y, d };
  throw new TypeError(`expected ${alg}, got kty ${kty} and crv ${crv}`);
}

/** Drops the private member. */
export function publicJwkOf(jwk: PrivateJwk): PublicJwk {
  return jwk.kty === "OKP"
    ? { kty: jwk.kty, crv: jwk.crv, x: jwk.x }
    : { kty: jwk.kty, crv: jwk.crv, x: jwk.x, y: jwk.y };
}

/** A key once it is imported, and until then the promise of it. */
const imported = new WeakMap<PublicJwk, CryptoKey | Promise<CryptoKey>>();

/**
 * True when `signature` (64 bytes, base64url) is this key's over `bytes`. A key that is no point of
 * its curve verifies nothing. An Ed25519 signature has one spelling, whatever the runtime would
 * accept. An ES256 signature has two, (r, s) and (r, n − s), and both are accepted, since honest
 * signers make either: what must be unique is never keyed on it.
 * With a key that was used before, the work has begun when this returns.
 */
export async function verifySignature(
  jwk: PublicJwk,
  bytes: Uint8Array<ArrayBuffer>,
  signature: string,
): Promise<boolean> {
  const raw = decodeBase64url(signature);
  if (raw?.length !== SIGNATURE_BYTES) return false;
  if (jwk.kty === "OKP" && !isStrictEd25519Signature(raw)) return false;
  try {
    const held = importPublicKey(jwk);
    const key = held instanceof Promise ? await held : held;
    return await crypto.subtle.verify(WEB_CRYPTO[algorithmOf(jwk)].signature, key, raw, bytes);
  } catch (error) {
    if (error instanceof DOMException || error instanceof TypeError) return false;
    throw error;
  }
}

/** Importing costs as much as verifying, so a key object is imported once for as long as somebody holds it. */
function importPublicKey(jwk: PublicJwk): CryptoKey | Promise<CryptoKey> {
  const known = imported.get(jwk);
  if (known !== undefined) return known;
  const importing = crypto.subtle.importKey("jwk", { ...jwk }, WEB_CRYPTO[algorithmOf(jwk)].key, false, ["verify"]);
  imported.set(jwk, importing);
  importing.then(
    (key) => imported.set(jwk, key),
    () => undefined,
  );
  return importing;
}
