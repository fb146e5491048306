import { type ConsentClaims, parseSubject } from "./consent-token.ts";
import { parseInstant } from "./instant.ts";
import { modalityOf } from "./media-type.ts";
import { meetsFloor, parsePrice } from "./pricing.ts";
import { type Result, accept, refuse } from "./refusal.ts";
import { type UseRequest, grants, prohibitionAgainst, requestsFor } from "./scope.ts";

/** What a dataset offers: its scope, the license and the price. */
export interface DatasetOffer {
  readonly datasetId: string;
  readonly scope: readonly string[];
  readonly license: string;
  /** `per-token:0.0001` */
  readonly price: string;
}

/** What coverage needs to know of a work. */
export interface CoveredWork {
  readonly content_id: string;
  readonly creator_id: string;
  readonly mime_type: string;
  readonly registered_at: string;
}

/** A consent and whose it is. */
export interface StandingConsent {
  readonly claims: ConsentClaims;
  readonly creatorId: string;
}

/**
 * Does this one consent cover this work for everything the dataset offers in the work's modality?
 * Never a union of consents. Times and revocation are other questions.
 *
 * Refuses `subject_other_work`, `registered_after_consent`, `license_mismatch`,
 * `modality_not_offered`, `scope_not_granted`, `use_prohibited`, `price_below_floor`.
 */
export function checkCoverage(consent: StandingConsent, work: CoveredWork, offer: DatasetOffer): Result<true> {
  const { claims } = consent;
  const subject = checkSubjectCovers(consent, work, offer.datasetId);
  if (!subject.ok) return subject;
  if (claims.license !== offer.license)
    return refuse("license_mismatch", `${claims.jti} is under ${claims.license}, the dataset under ${offer.license}`);
  const scope = checkScopeCovers(claims, work, offer.scope);
  if (!scope.ok) return scope;
  const price = parsePrice(offer.price);
  const floor = parsePrice(claims.price_floor);
  if (price === undefined || floor === undefined || !meetsFloor(price, floor)) {
    return refuse(
      "price_below_floor",
      `${claims.jti} asks for at least ${claims.price_floor}, the dataset pays ${offer.price}`,
    );
  }
  return accept(true);
}

function checkSubjectCovers(
  { claims, creatorId }: StandingConsent,
  work: CoveredWork,
  datasetId: string,
): Result<true> {
  const subject = parseSubject(claims.sub);
  const isSigners = work.creator_id === creatorId;
  const named = { content: work.content_id, creator: work.creator_id, dataset: datasetId };
  if (subject === undefined || !isSigners || subject.id !== named[subject.kind])
    return refuse("subject_other_work", `${claims.jti} is for ${claims.sub}, not for content:${work.content_id}`);
  const registeredAt = parseInstant(work.registered_at) ?? Number.POSITIVE_INFINITY;
  if (subject.kind !== "dataset" && claims.future_works !== true && registeredAt > claims.iat) {
    return refuse(
      "registered_after_consent",
      `${work.content_id} was registered at ${work.registered_at}, after ${claims.jti} was issued`,
    );
  }
  return accept(true);
}

function checkScopeCovers(claims: ConsentClaims, work: CoveredWork, offeredScope: readonly string[]): Result<true> {
  const modality = modalityOf(work.mime_type);
  const requests = modality === undefined ? [] : requestsFor(offeredScope, modality);
  if (modality === undefined || requests.length === 0)
    return refuse(
      "modality_not_offered",
      `the dataset offers ${offeredScope.join(", ")}, nothing for ${work.mime_type}`,
    );
  const missing = requests.find((request) => !grants(claims.scope, request));
  if (missing === undefined) return checkProhibitions(claims, requests);
  const extent = [missing.commercial ? "commercial" : "non-commercial", missing.derivative ? "derivative" : ""]
    .filter((word) => word !== "")
    .join(" ");
  return refuse(
    "scope_not_granted",
    `${claims.jti} grants ${claims.scope.join(", ")}, not ${extent} ${missing.use} of ${modality}`,
  );
}

/** Prohibitions win over whatever the scope grants. */
function checkProhibitions(claims: ConsentClaims, requests: readonly UseRequest[]): Result<true> {
  for (const request of requests) {
    const prohibition = prohibitionAgainst(claims.prohibitions ?? [], request);
    if (prohibition !== undefined)
      return refuse(
        "use_prohibited",
        `${claims.jti} prohibits ${prohibition}, and the dataset offers derivative ${request.use} of ${request.modality}`,
      );
  }
  return accept(true);
}

/** Refuses `audience_excluded` when the consent names marketplaces and this is none of them. */
export function checkAudience(claims: ConsentClaims, marketplaceId: string): Result<true> {
  const excluded = claims.aud !== undefined && !claims.aud.includes(marketplaceId);
  return excluded
    ? refuse("audience_excluded", `${claims.jti} names ${claims.aud.join(", ")}, not ${marketplaceId}`)
    : accept(true);
}
