import { decodeBase64url, encodeBase64url } from "./base64url.ts";
import { type JsonObject, canonicalBytes, parseJsonObject } from "./json.ts";
import { ALGORITHMS, type Algorithm, type PublicJwk, algorithmOf } from "./keys.ts";
import { type Result, accept, refuse } from "./refusal.ts";
import { type Signer, verifySignature } from "./signature.ts";

/** Longer tokens are refused unread; a status list, which is long by nature, names its own limit. */
export const MAX_JWS_LENGTH = 16_384;

export interface JwsHeader {
  readonly alg: Algorithm;
  readonly typ: string;
  readonly kid: string;
}

/** A token that passed the gate. Its signature has not been looked at yet. */
export interface CompactJws {
  readonly header: JwsHeader;
  readonly payload: JsonObject;
  readonly signingInput: string;
  readonly signature: string;
}

/**
 * The gate before every compact JWS (RFC 7515 section 7.1, RFC 8725): three segments of strict
 * base64url, a header of exactly `alg`, `typ` and `kid`, an allowed algorithm, the expected `typ`,
 * and a payload of strict I-JSON. After it a token's text has one spelling; an
 * ECDSA signature still has two, so what must be unique is keyed on `jti`.
 *
 * Refuses `jws_malformed`, `json_malformed`, `header_invalid`, `alg_not_allowed`, `typ_wrong`.
 */
export function parseCompactJws(token: string, typ: string, maxLength = MAX_JWS_LENGTH): Result<CompactJws> {
  if (token.length > maxLength)
    return refuse("jws_malformed", `expected at most ${maxLength} characters, got ${token.length}`);
  const [first, second, signature, ...rest] = token.split(".");
  if (first === undefined || second === undefined || signature === undefined || rest.length > 0) {
    return refuse("jws_malformed", "expected three segments separated by dots");
  }
  const known = passed.get(first);
  const isKnown = known?.typ === typ;
  const headerBytes = isKnown ? NO_BYTES : decodeBase64url(first);
  const payloadBytes = decodeBase64url(second);
  if (headerBytes === undefined || payloadBytes === undefined || decodeBase64url(signature) === undefined) {
    return refuse("jws_malformed", "expected base64url without padding, white space or stray bits in every segment");
  }
  const header = isKnown ? accept(known) : readHeader(headerBytes, typ);
  if (!header.ok) return header;
  if (!isKnown) keepHeader(headerBytes, header.value);
  const payload = parseJsonObject(payloadBytes);
  if (!payload.ok) return payload;
  return accept({ header: header.value, payload: payload.value, signingInput: `${first}.${second}`, signature });
}

/** Headers that passed, by their segment: all tokens of a kind that one key signs begin alike. */
const passed = new Map<string, JwsHeader>();
const MAX_PASSED = 1_000;
const MAX_KEPT_HEADER_BYTES = 512;
const NO_BYTES = new Uint8Array();

/** Under a text of its own: a piece of the token would hold on to all of it. */
function keepHeader(bytes: Uint8Array, header: JwsHeader): void {
  if (bytes.length > MAX_KEPT_HEADER_BYTES) return;
  if (passed.size >= MAX_PASSED) passed.clear();
  passed.set(encodeBase64url(bytes), header);
}

function readHeader(bytes: Uint8Array, expectedTyp: string): Result<JwsHeader> {
  const parsed = parseJsonObject(bytes);
  if (!parsed.ok) return parsed;
  const { alg, typ, kid, ...others } = parsed.value;
  const algorithm = ALGORITHMS.find((allowed) => allowed === alg);
  if (algorithm === undefined)
    return refuse("alg_not_allowed", `expected alg EdDSA or ES256, got ${JSON.stringify(alg)}`);
  if (typ !== expectedTyp) return refuse("typ_wrong", `expected typ ${expectedTyp}, got ${JSON.stringify(typ)}`);
  if (typeof kid !== "string" || kid === "") return refuse("header_invalid", "expected kid to name the signing key");
  const unexpected = Object.keys(others);
  if (unexpected.length > 0)
    return refuse("header_invalid", `expected only alg, typ and kid, got ${unexpected.join(", ")}`);
  return accept({ alg: algorithm, typ: expectedTyp, kid });
}

/**
 * Checks a gated token's signature with the key the verifier chose; the token never chooses.
 * Refuses `key_alg_mismatch` and `signature_invalid`.
 */
export async function verifyCompactJws(jws: CompactJws, jwk: PublicJwk): Promise<Result<CompactJws>> {
  const expected = algorithmOf(jwk);
  if (jws.header.alg !== expected)
    return refuse("key_alg_mismatch", `expected ${expected} by the key ${jws.header.kid}, got ${jws.header.alg}`);
  const verified = await verifySignature(jwk, new TextEncoder().encode(jws.signingInput), jws.signature);
  return verified ? accept(jws) : refuse("signature_invalid", `the signature is not by the key ${jws.header.kid}`);
}

/** The first two segments of a token: what gets signed. The payload is canonical JSON. */
export function jwsSigningInput(header: JwsHeader, payload: JsonObject): string {
  const { alg, typ, kid } = header;
  return `${encodeBase64url(canonicalBytes({ alg, kid, typ }))}.${encodeBase64url(canonicalBytes(payload))}`;
}

export async function signCompactJws(typ: string, payload: JsonObject, signer: Signer): Promise<string> {
  return signJwsInput(jwsSigningInput({ alg: signer.alg, typ, kid: signer.kid }, payload), signer);
}

/** Completes a signing input, for example that of a consent draft, to a token. */
export async function signJwsInput(signingInput: string, signer: Signer): Promise<string> {
  const signature = await signer.sign(new TextEncoder().encode(signingInput));
  return `${signingInput}.${encodeBase64url(signature)}`;
}
