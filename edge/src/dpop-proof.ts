import {
  CLOCK_SKEW_SECONDS,
  type PublicJwk,
  type Result,
  accept,
  algorithmOf,
  decodeBase64url,
  encodeBase64url,
  isJsonObject,
  normaliseContentUrl,
  parseJsonObject,
  parsePublicJwk,
  refuse,
  sha256Bytes,
  thumbprint,
  verifySignature,
} from "@licet/protocol";
import type { ProofUse } from "./memory.ts";
import type { EdgeRequest } from "./ports.ts";

const MAX_PROOF_LENGTH = 4_096;
const MAX_JTI_LENGTH = 256;
/** A proof is for one request, made just before it. */
const PROOF_SECONDS = 60;

export interface ProofCheck {
  readonly token: string;
  /** Seconds since the epoch. */
  readonly now: number;
}

/**
 * Verifies a DPoP proof (RFC 9449 section 4.3) for a license token: `htm` and `htu` of this request,
 * `ath` of this token, made within the last minute, with a name of its own. Answers whose it is, and what to remember so
 * that it is used once. Refuses `dpop_proof_invalid`.
 */
export async function verifyDpopProof(
  proof: string,
  request: EdgeRequest,
  { token, now }: ProofCheck,
): Promise<Result<ProofUse>> {
  const read = await readProof(proof);
  if (read === undefined)
    return wrong("expected one JWT of typ dpop+jwt, signed by its own public key with EdDSA or ES256");
  const { jwk, claims } = read;
  const { jti, htm, htu, ath, iat } = claims;
  if (typeof jti !== "string" || jti === "" || jti.length > MAX_JTI_LENGTH)
    return wrong("jti: expected some characters");
  if (htm !== request.method) return wrong(`htm: expected ${request.method}`);
  if (typeof htu !== "string" || !isSamePlace(htu, request.url))
    return wrong(`htu: expected ${withoutQuery(request.url)}`);
  if (ath !== encodeBase64url(sha256Bytes(token))) return wrong("ath: expected the SHA-256 of the license token");
  if (typeof iat !== "number" || iat > now + CLOCK_SKEW_SECONDS || now - iat > PROOF_SECONDS)
    return wrong(`iat: expected at most ${PROOF_SECONDS} seconds ago`);
  return accept({ holder: thumbprint(jwk), nonce: `dpop ${jti}`, untilMs: (iat + PROOF_SECONDS + 1) * 1_000 });
}

function wrong(detail: string) {
  return refuse("dpop_proof_invalid", detail);
}

async function readProof(proof: string) {
  if (proof.length > MAX_PROOF_LENGTH) return undefined;
  const [headerText = "", payloadText = "", signature = "", ...rest] = proof.split(".");
  const header = parsedSegment(headerText);
  const claims = parsedSegment(payloadText);
  if (header === undefined || claims === undefined || rest.length > 0) return undefined;
  if (header["typ"] !== "dpop+jwt" || !isJsonObject(header["jwk"])) return undefined;
  const jwk = parsePublicJwk(header["jwk"]);
  if (!jwk.ok || header["alg"] !== algorithmOf(jwk.value)) return undefined;
  const signed = new TextEncoder().encode(`${headerText}.${payloadText}`);
  const isSigned = await verifySignature(jwk.value, signed, signature);
  return isSigned ? { jwk: jwk.value satisfies PublicJwk, claims } : undefined;
}

function parsedSegment(segment: string) {
  const bytes = decodeBase64url(segment);
  const parsed = bytes === undefined ? undefined : parseJsonObject(bytes);
  return parsed?.ok === true ? parsed.value : undefined;
}

function withoutQuery(url: string): string {
  return url.replace(/[?#].*$/s, "");
}

/** Behind whatever ends TLS, http and https are one, as they are in the address of a work. */
function isSamePlace(htu: string, url: string): boolean {
  const [left, right] = [htu, url].map((text) => normaliseContentUrl(withoutQuery(text)));
  return left?.ok === true && right?.ok === true && left.value === right.value;
}
