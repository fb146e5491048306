import {
  type CompactJws,
  type ConsentKey,
  type ConsentToken,
  type CreatorKey,
  type JsonObject,
  type KeySet,
  type Result,
  type StatusList,
  accept,
  checkConsentTimes,
  checkStatus,
  parseConsentToken,
  parseInstant,
  refuse,
  statusAt,
  verifyConsentAcceptance,
  verifyConsentSignature,
  verifyCreatorKey,
} from "@licet/protocol";

/**
 * What speaks for one consent: the members of a line of a dataset's consents.
 *
 * @example { token: line.token, acceptance: line.acceptance, key: line.key }
 */
export interface ConsentEvidence {
  /** The compact JWS. */
  readonly token: string;
  /** The platform's `consent-acceptance` document. */
  readonly acceptance?: JsonObject | undefined;
  /** The creator's `creator-key` document; absent when the platform signed. */
  readonly key?: JsonObject | undefined;
}

/**
 * Whom the verifier trusts, and what time it is.
 *
 * @example { keys, origin: "https://platform.example", now: 1768737900 }
 */
export interface ConsentTrust {
  /** The platform's verified key set; see `fetchDatasetStatus` and `verifyDataset`, which fetch it themselves. */
  readonly keys: KeySet;
  /** The platform's origin. */
  readonly origin: string;
  /** Seconds since the epoch. */
  readonly now: number;
}

/** A consent whose signature, claims and acceptance hold. */
export interface AcceptedConsent extends ConsentToken {
  /** Seconds since the epoch. */
  readonly acceptedAt: number;
}

/**
 * A consent that stands. `status` says whether a status list was asked.
 *
 * @example { creatorId: "user:1", signedBy: "creator", acceptedAt: 1768737841, status: "valid", claims: { … }, … }
 */
export interface VerifiedConsent extends AcceptedConsent {
  readonly status: "valid" | "unchecked";
}

/**
 * Verifies one consent alone, in the one order: syntax, header, key and signature, claims,
 * acceptance, times, status. The first failure names the code, so a token that was never accepted
 * is refused with `consent_unaccepted`, a revoked one with `consent_revoked`. Without `status` (the
 * verified list that the token's `status.status_list.uri` names) revocation stays unchecked, and
 * the answer says so. A token that says `test: true` is refused with `test_document`, unless the key
 * set was fetched with `allowTest`.
 *
 * docs/wire-formats.md, "Consent".
 *
 * @example
 * const consent = await verifyConsent({ token, acceptance, key, keys, origin, now, status: list });
 * if (!consent.ok) console.error(consent.refusal.code, consent.refusal.detail);
 */
export async function verifyConsent(
  input: ConsentEvidence & ConsentTrust & { readonly status?: StatusList },
): Promise<Result<VerifiedConsent>> {
  const consent = await verifyAcceptedConsent(input, input);
  if (!consent.ok) return consent;
  const { claims } = consent.value;
  const times = checkConsentTimes(claims, input.now);
  if (!times.ok) return times;
  if (input.status === undefined) return accept({ ...consent.value, status: "unchecked" });
  const { idx, uri } = claims.status.status_list;
  if (input.status.uri !== uri)
    return refuse("status_list_invalid", `expected the status list ${uri}, got ${input.status.uri}`);
  const value = statusAt(input.status.bits, idx);
  const standing = value.ok ? checkStatus(value.value, claims.jti) : value;
  return standing.ok ? accept({ ...consent.value, status: "valid" }) : standing;
}

/** Reads a creator's key document; {@link verifyCreatorKey}, or one that remembers. */
export type ReadCreatorKey = (document: JsonObject, keys: KeySet, now: number) => Promise<Result<CreatorKey>>;

/** Everything about a consent that does not change: signature, claims and acceptance. */
export async function verifyAcceptedConsent(
  evidence: ConsentEvidence,
  trust: ConsentTrust,
  readCreatorKey: ReadCreatorKey = verifyCreatorKey,
): Promise<Result<AcceptedConsent>> {
  const { token, acceptance } = evidence;
  if (trust.keys.iss !== trust.origin)
    return refuse("document_invalid", `expected the key set of ${trust.origin}, got that of ${trust.keys.iss}`);
  const jws = parseConsentToken(token);
  if (!jws.ok) return jws;
  const key = await findKey(jws.value, evidence, trust, readCreatorKey);
  if (!key.ok) return key;
  const signed = await verifyConsentSignature(token, jws.value, {
    origin: trust.origin,
    key: key.value,
    madeAt: madeAt(jws.value, acceptance, trust.now),
    allowTest: trust.keys.allowsTest === true,
  });
  if (!signed.ok) return signed;
  const acceptedAt = await verifyConsentAcceptance(acceptance, token, signed.value.claims.jti, trust.keys);
  return acceptedAt.ok ? accept({ ...signed.value, acceptedAt: acceptedAt.value }) : acceptedAt;
}

/** The key must have been in force when the token was accepted. The claim is read before it is verified, which is safe because a false one fails a step later. */
function madeAt(jws: CompactJws, acceptance: JsonObject | undefined, now: number): number {
  const acceptedAt = acceptance?.["accepted_at"];
  const { iat } = jws.payload;
  return (
    (typeof acceptedAt === "string" ? parseInstant(acceptedAt) : undefined) ?? (typeof iat === "number" ? iat : now)
  );
}

async function findKey(
  jws: CompactJws,
  evidence: ConsentEvidence,
  { keys, now }: ConsentTrust,
  readCreatorKey: ReadCreatorKey,
): Promise<Result<ConsentKey | undefined>> {
  const { kid } = jws.header;
  if (evidence.key === undefined) {
    const key = keys.keys.find((candidate) => candidate.kid === kid);
    if (key === undefined) return accept(undefined);
    return key.purpose === "consent"
      ? accept({ ...key, owner: { kind: "platform" } })
      : refuse("key_purpose_wrong", `expected a key of purpose consent on a consent, got ${key.purpose}`);
  }
  const creatorKey = await readCreatorKey(evidence.key, keys, now);
  if (!creatorKey.ok) return creatorKey;
  if (creatorKey.value.kid !== kid)
    return refuse("key_unknown", `expected the document of the key ${kid}, got ${creatorKey.value.kid}`);
  return accept({ ...creatorKey.value, owner: { kind: "creator", creatorId: creatorKey.value.creator_id } });
}
