import type { Modality } from "./media-type.ts";
import type { Refusal, RefusalCode } from "./refusal.ts";
import { type Use, grants, requestsFor } from "./scope.ts";
import { STATUS } from "./status-list.ts";

/** A place in a status list as it was read: the value, and until when (seconds since the epoch) it may be trusted. */
export interface StatusFact {
  readonly value: number;
  readonly trusted_until: number;
}

/** A fact that is not there: nobody could be asked, or what they answered could not be believed. */
export interface MissingFact {
  readonly state: "missing";
  readonly detail: string;
}

/** A dataset that holds the work, and whether it and the consent stand. `expires_at` is the consent's end. */
export interface GrantFact {
  readonly dataset_id: string;
  readonly version: number;
  readonly scope: readonly string[];
  readonly expires_at: number;
  readonly dataset: StatusFact | MissingFact;
  readonly consent: StatusFact | MissingFact;
}

/** What is known of the address that was asked for. */
export type ContentFact =
  | MissingFact
  /** No dataset holds a work at this address. */
  | { readonly state: "unlicensed" }
  | {
      readonly state: "known";
      readonly trusted_until: number;
      readonly modality?: Modality;
      /** The work's own place. */
      readonly item: StatusFact | MissingFact;
      /** Of the license's dataset where one was shown, else of whichever hold the work. */
      readonly grants: readonly GrantFact[];
    };

/** The license that was shown, once it was verified; its status is one more fact. */
export type LicenseFact =
  | MissingFact
  | { readonly state: "invalid"; readonly code: RefusalCode; readonly detail: string }
  | {
      readonly state: "verified";
      readonly license_id: string;
      readonly dataset_id: string;
      readonly dataset_version: number;
      readonly scope: readonly string[];
      readonly status: StatusFact | MissingFact;
    };

/** Everything the decision looks at. Plain data, so that origin, Worker and test decide alike. */
export interface AccessFacts {
  /** False where no rule asks for a license. */
  readonly governed: boolean;
  /** Why the credentials cannot be read, contradict each other or do not hold. */
  readonly credentials?: Refusal;
  readonly license?: LicenseFact;
  /** What the request is for, where it says so, or is made by an agent that is known for one use. */
  readonly purpose?: Use;
  /** True where somebody who is known to fetch for AI asks, or the address is there for machines alone. */
  readonly isAgent: boolean;
  readonly content: ContentFact;
}

/** Why a request passes. */
export type PassReason = "not_governed" | "person" | "licensed";

export type AccessDecision =
  | { readonly kind: "pass"; readonly reason: PassReason }
  | { readonly kind: "refuse"; readonly refusal: Refusal };

/**
 * Decides whether a request may have a work, at `now` (seconds since the epoch). The first that
 * fits:
 *
 * 1. not governed: pass
 * 2. credentials that cannot be read, contradict each other or do not hold: theirs (400, 401, 429)
 * 3. no license, no purpose, no agent: a person, pass
 * 4. a fact that is missing or no longer to be trusted: `facts_unavailable` (503)
 * 5. the work, its consent or its dataset is revoked or suspended: `consent_revoked` (403)
 * 6. a license that does not hold: `license_invalid` (401)
 * 7. one that is for other works or other uses: `license_not_for_work`, `license_scope_insufficient` (403)
 * 8. none: `license_required` (402)
 * 9. pass
 *
 * @example decideAccess({ governed: true, isAgent: false, content: { state: "unlicensed" } }, now) // → pass, a person
 */
export function decideAccess(facts: AccessFacts, now: number): AccessDecision {
  const { governed, credentials, license, purpose, isAgent, content } = facts;
  if (!governed) return pass("not_governed");
  if (credentials !== undefined) return { kind: "refuse", refusal: credentials };
  if (license === undefined && purpose === undefined && !isAgent) return pass("person");
  const missing = missingFact(facts, now);
  if (missing !== undefined) return no("facts_unavailable", missing);
  const revoked = revokedFact(facts, now);
  if (revoked !== undefined) return no("consent_revoked", revoked);
  if (license === undefined) return no("license_required", "expected a license for AI use of this work, got none");
  if (license.state !== "verified")
    return no("license_invalid", license.detail, license.state === "invalid" ? license.code : undefined);
  if (isStatus(license.status) && license.status.value !== STATUS.valid)
    return no("license_invalid", `the license ${license.license_id} was revoked or has ended`, "license_revoked");
  return checkReach(license, { content, purpose, now }) ?? pass("licensed");
}

function pass(reason: PassReason): AccessDecision {
  return { kind: "pass", reason };
}

function no(code: RefusalCode, detail: string, cause?: RefusalCode): AccessDecision {
  const refusal = { code, detail };
  return {
    kind: "refuse",
    refusal: cause === undefined ? refusal : { ...refusal, offences: [{ at: "authorization", code: cause, detail }] },
  };
}

function isStatus(fact: StatusFact | MissingFact): fact is StatusFact {
  return "value" in fact;
}

/** The first fact that would be needed and is not there, in words. */
function missingFact({ content, license }: AccessFacts, now: number): string | undefined {
  if (license?.state === "missing") return license.detail;
  if (content.state === "missing") return content.detail;
  const statuses = license?.state === "verified" ? [license.status] : [];
  if (content.state === "known") {
    if (now >= content.trusted_until) return "the content status is too old to be trusted";
    statuses.push(content.item, ...grantsInQuestion(content.grants, license).flatMap(standing));
  }
  for (const status of statuses) {
    if (!isStatus(status)) return status.detail;
    if (now >= status.trusted_until) return "a status list is too old to be trusted";
  }
  return undefined;
}

function standing({ dataset, consent }: GrantFact): readonly (StatusFact | MissingFact)[] {
  return [dataset, consent];
}

/** A license opens one dataset: what befalls the others is no matter. A license that does not hold opens none. */
function grantsInQuestion(all: readonly GrantFact[], license: LicenseFact | undefined): readonly GrantFact[] {
  return license?.state === "verified" ? all.filter(({ dataset_id }) => dataset_id === license.dataset_id) : all;
}

/** What was taken back, in words: the work itself, or every grant that is in question. */
function revokedFact({ content, license }: AccessFacts, now: number): string | undefined {
  if (content.state !== "known") return undefined;
  if (isStatus(content.item) && content.item.value !== STATUS.valid) return `the work ${wordOf(content.item.value)}`;
  const inQuestion = grantsInQuestion(content.grants, license);
  const fallen = inQuestion.map((grant) => fallenOf(grant, now));
  return fallen.length > 0 && fallen.every((why) => why !== undefined) ? fallen[0] : undefined;
}

function fallenOf({ dataset_id, dataset, consent, expires_at }: GrantFact, now: number): string | undefined {
  if (isStatus(consent) && consent.value !== STATUS.valid)
    return `the consent for the work in ${dataset_id} ${wordOf(consent.value)}`;
  if (isStatus(dataset) && dataset.value !== STATUS.valid) return `the dataset ${dataset_id} ${wordOf(dataset.value)}`;
  return now >= expires_at ? `the consent for the work in ${dataset_id} has expired` : undefined;
}

/** The grants of a work that stand, by facts that are still to be trusted; none where anything of the work itself is in doubt. */
export function standingGrants(content: ContentFact, now: number): readonly GrantFact[] {
  if (content.state !== "known" || now >= content.trusted_until) return [];
  const isValid = (fact: StatusFact | MissingFact): boolean =>
    isStatus(fact) && now < fact.trusted_until && fact.value === STATUS.valid;
  if (!isValid(content.item)) return [];
  return content.grants.filter((grant) => now < grant.expires_at && standing(grant).every(isValid));
}

function wordOf(value: number): string {
  return value === STATUS.suspended ? "is suspended" : "was taken back";
}

interface Reach {
  readonly content: ContentFact;
  readonly purpose: Use | undefined;
  readonly now: number;
}

/** A license is for its dataset, from its version on, and for the uses that its scope names. */
function checkReach(
  license: Extract<LicenseFact, { state: "verified" }>,
  { content, purpose, now }: Reach,
): AccessDecision | undefined {
  const held = content.state === "known" ? grantsInQuestion(content.grants, license) : [];
  const grant = held.find((candidate) => fallenOf(candidate, now) === undefined);
  if (content.state !== "known" || grant === undefined || grant.version < license.dataset_version)
    return no(
      "license_not_for_work",
      `the license ${license.license_id} is for ${license.dataset_id} from version ${license.dataset_version} on, which does not hold this work`,
    );
  const wanted = content.modality === undefined ? [] : requestsFor(license.scope, content.modality);
  const asked = purpose === undefined ? wanted : wanted.filter(({ use }) => use === purpose);
  if (asked.length > 0 && asked.every((request) => grants(grant.scope, request))) return undefined;
  return no(
    "license_scope_insufficient",
    `the license ${license.license_id} is for ${license.scope.join(", ")}, the work is offered for ${grant.scope.join(", ")}${purpose === undefined ? "" : `, and the request is for ${purpose}`}`,
  );
}
