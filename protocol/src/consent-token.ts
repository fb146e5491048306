import { type CompactJws, parseCompactJws, verifyCompactJws } from "./compact-jws.ts";
import { licenseShape } from "./content-item.ts";
import { isDid, isDidOf } from "./did.ts";
import { CLOCK_SKEW_SECONDS } from "./freshness.ts";
import { creatorOfIssuer, isIdentifier, isQualifiedIdentifier } from "./identifiers.ts";
import type { JsonObject } from "./json.ts";
import { ALGORITHMS, type VerificationKey, isInForce } from "./keys.ts";
import { parsePrice } from "./pricing.ts";
import { type Result, accept, refuse } from "./refusal.ts";
import { PROHIBITIONS, checkScope } from "./scope.ts";
import {
  flag,
  identifier,
  isWebUrl,
  listOf,
  matching,
  numericDate,
  objectOf,
  oneOf,
  qualifiedIdentifier,
  readShape,
  sha256,
  textUpTo,
} from "./shape.ts";
import { statusReferenceShape } from "./status-list.ts";
import { isTest } from "./signed-document.ts";

export const CONSENT_TYP = "consent+jwt";

/** The consent version this code writes and understands (semantic version of the claims' meaning). */
export const CONSENT_VERSION = "1.0.0";

/** A consent lasts at most this long: ten years. */
export const MAX_CONSENT_SECONDS = 10 * 366 * 86_400;
const MAX_SCOPE_ENTRIES = 40;
const MAX_AUDIENCE = 100;

const JTI = /^ctok_[A-Za-z0-9_-]{22}$/;

/** `ctok_` and 128 random bits in base64url, so that a jti tells nothing. */
export function isJti(text: string): boolean {
  return JTI.test(text);
}

const SUBJECT = /^(content|creator|dataset):(.+)$/;

/** What a consent is about: one work, everything of its creator, or the creator's works in one dataset. */
export interface ConsentSubject {
  readonly kind: "content" | "creator" | "dataset";
  readonly id: string;
}

export function parseSubject(text: string): ConsentSubject | undefined {
  const [, kind, id] = SUBJECT.exec(text) ?? [];
  if (id === undefined) return undefined;
  if (kind === "creator") return isQualifiedIdentifier(id) ? { kind, id } : undefined;
  return (kind === "content" || kind === "dataset") && isIdentifier(id) ? { kind, id } : undefined;
}

/**
 * The claims of a consent: the brief's `iss sub scope consent_version iat exp jti sig_alg`, and
 * ours. Times are seconds since the epoch. `act` is there when the platform signed on behalf of
 * the creator `act.sub`, whose doing is recorded in the evidence that `evidence_sha256` names.
 */
const CONSENT_CLAIMS = objectOf(
  {
    iss: matching((text) => isWebUrl(text) || isDid(text), "an http(s) URL, a did:key or a did:jwk"),
    sub: matching((text) => parseSubject(text) !== undefined, "content:<id>, creator:<id> or dataset:<id>"),
    scope: listOf(textUpTo(64), { min: 1, max: MAX_SCOPE_ENTRIES }),
    consent_version: matching((text) => text === CONSENT_VERSION, CONSENT_VERSION),
    iat: numericDate,
    exp: numericDate,
    jti: matching(isJti, "ctok_ and 22 characters of base64url"),
    sig_alg: textUpTo(16),
    status: statusReferenceShape,
    license: licenseShape,
    terms_sha256: sha256,
    price_floor: matching((text) => parsePrice(text) !== undefined, "a price such as per-token:0.0001"),
  },
  {
    nbf: numericDate,
    aud: listOf(identifier, { min: 1, max: MAX_AUDIENCE }),
    future_works: flag,
    prohibitions: listOf(oneOf(...PROHIBITIONS), { max: PROHIBITIONS.length }),
    act: objectOf({ sub: qualifiedIdentifier, evidence_sha256: sha256 }),
  },
);

export type ConsentClaims = ReturnType<typeof CONSENT_CLAIMS>;

/** A key that may sign consents: the platform's, of purpose `consent`, or one of a creator's. */
export type ConsentKey = VerificationKey & {
  readonly owner: { readonly kind: "platform" } | { readonly kind: "creator"; readonly creatorId: string };
};

/** A consent whose syntax, key, signature and claims hold. Its times and standing are further questions. */
export interface ConsentToken {
  readonly token: string;
  readonly claims: ConsentClaims;
  readonly payload: JsonObject;
  readonly kid: string;
  /** Whose consent it is. */
  readonly creatorId: string;
  readonly signedBy: "creator" | "platform";
}

/** The gate of a consent token: its syntax and header, nothing more. */
export function parseConsentToken(token: string): Result<CompactJws> {
  return parseCompactJws(token, CONSENT_TYP);
}

export interface ConsentCheck {
  /** The platform's origin: `iss` of the platform, and prefix of its creators'. */
  readonly origin: string;
  /** The key that `header.kid` names, found by the verifier, or undefined when it knows none. */
  readonly key: ConsentKey | undefined;
  /** When the token was signed or, at verification, accepted: the key must have been in force then. Seconds since the epoch. */
  readonly madeAt: number;
  readonly allowTest?: boolean;
}

/**
 * Verifies key, signature and claims of a gated token, in this order, so that the first failure
 * names the code: `key_unknown`, `key_not_in_force`, `key_alg_mismatch`, `signature_invalid`,
 * `claim_missing`, `claim_invalid`, `sig_alg_mismatch`, `scope_unknown`, `scope_contradictory`, `issuer_mismatch`,
 * `act_invalid`, `subject_not_signers`, `test_document`.
 */
export async function verifyConsentSignature(
  token: string,
  jws: CompactJws,
  check: ConsentCheck,
): Promise<Result<ConsentToken>> {
  const { key } = check;
  if (key === undefined || key.kid !== jws.header.kid)
    return refuse("key_unknown", `expected ${key?.kid ?? "an enrolled key"}, got kid ${jws.header.kid}`);
  if (!isInForce(key, check.madeAt))
    return refuse("key_not_in_force", `the key ${key.kid} was not in force when the token was made`);
  const verifying = verifyCompactJws(jws, key.jwk);
  // Read while another thread verifies; what is wrong with them counts only once the signature holds.
  const claims = readConsentClaims(jws);
  const verified = await verifying;
  if (!verified.ok) return verified;
  if (!claims.ok) return claims;
  const creatorId = checkSigner(claims.value, key, check.origin);
  if (!creatorId.ok) return creatorId;
  if (isTest(jws.payload["test"]) && check.allowTest !== true)
    return refuse("test_document", "the consent says test: true");
  return accept({
    token,
    claims: claims.value,
    payload: jws.payload,
    kid: key.kid,
    creatorId: creatorId.value,
    signedBy: key.owner.kind,
  });
}

function readConsentClaims(jws: CompactJws): Result<ConsentClaims> {
  const claims = readShape(CONSENT_CLAIMS, jws.payload, "claims", "claim_invalid", "claim_missing");
  if (!claims.ok) return claims;
  const { sig_alg, scope, iat, exp, nbf } = claims.value;
  if (!ALGORITHMS.some((alg) => alg === sig_alg) || sig_alg !== jws.header.alg)
    return refuse("sig_alg_mismatch", `expected sig_alg ${jws.header.alg}, got ${sig_alg}`);
  const checked = checkScope(scope);
  if (!checked.ok) return checked;
  if (exp <= iat || exp - iat > MAX_CONSENT_SECONDS)
    return refuse(
      "claim_invalid",
      `claims.exp: expected at most ${MAX_CONSENT_SECONDS} seconds after iat ${iat}, got ${exp}`,
    );
  if (nbf !== undefined && nbf >= exp)
    return refuse("claim_invalid", `claims.nbf: expected before exp ${exp}, got ${nbf}`);
  return claims;
}

/** Who consents: the creator whose key signed (named by our URL for them, or by the DID of that very key), or the one the platform acts for. Any other combination of iss, key, act and sub is refused. */
function checkSigner(claims: ConsentClaims, key: ConsentKey, origin: string): Result<string> {
  const issuer = creatorOfIssuer(claims.iss, origin);
  if (key.owner.kind === "creator") {
    if (issuer !== key.owner.creatorId && !(isDid(claims.iss) && isDidOf(claims.iss, key.jwk)))
      return refuse("issuer_mismatch", `expected iss to be the owner of the key ${key.kid}, got ${claims.iss}`);
    if (claims.act !== undefined) return refuse("act_invalid", "expected no act in a token that the creator signs");
    return checkSubject(claims, key.owner.creatorId);
  }
  if (claims.iss !== origin) return refuse("issuer_mismatch", `expected iss ${origin}, got ${claims.iss}`);
  if (claims.act === undefined) return refuse("act_invalid", "expected act in a token that the platform signs");
  return checkSubject(claims, claims.act.sub);
}

function checkSubject(claims: ConsentClaims, creatorId: string): Result<string> {
  const subject = parseSubject(claims.sub);
  if (subject?.kind === "creator" && subject.id !== creatorId)
    return refuse("subject_not_signers", `expected the signer's own works (creator:${creatorId}), got ${claims.sub}`);
  return accept(creatorId);
}

/** Refuses `token_not_yet_valid` before `nbf` (and when `iat` lies in the future) and `token_expired` from `exp` on. */
export function checkConsentTimes(claims: ConsentClaims, now: number): Result<ConsentClaims> {
  if (now >= claims.exp) return refuse("token_expired", `the consent expired at ${claims.exp}, it is ${now}`);
  const begins = Math.max(claims.iat - CLOCK_SKEW_SECONDS, claims.nbf ?? 0);
  if (now < begins)
    return refuse(
      "token_not_yet_valid",
      `the consent begins at ${Math.max(claims.iat, claims.nbf ?? 0)}, it is ${now}`,
    );
  return accept(claims);
}
