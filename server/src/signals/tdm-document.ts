import type { JsonObject, JsonValue } from "@licet/protocol";
import { pathOf } from "./work-place.ts";

/** A work's address and the policy that is for it. */
export interface TdmLocation {
  readonly pattern: string;
  readonly policyUrl: string;
}

/**
 * A `tdmrep.json` (TDMRep, final report of 2024-05-10, section 6.1): everything is reserved, and says where the policy
 * is by which it is to be had. The first location that matches counts, so the whole host comes last.
 */
export function tdmFile(locations: readonly TdmLocation[], policyUrl: string): string {
  const rules = locations.map((location) => rule(pathOf(location.pattern), location.policyUrl));
  return `${JSON.stringify([...rules, rule("/", policyUrl)], undefined, 1)}\n`;
}

function rule(location: string, policyUrl: string): JsonObject {
  return { location, "tdm-reservation": 1, "tdm-policy": policyUrl };
}

export interface TdmPolicy {
  readonly url: string;
  readonly origin: string;
  /** What it is about: the evidence of a dataset, or the platform's whole catalogue. */
  readonly target: string;
  readonly licenseUrl: string;
  readonly offer: "none" | "on-request" | "for-money" | "for-nothing";
  /** True where only users who earn nothing with it may have it. */
  readonly isResearchOnly: boolean;
}

/** A policy (section 7.2): an ODRL offer that says what mining asks for, or that there is none to be had. */
export function tdmPolicy(policy: TdmPolicy): string {
  const { url, origin, target, licenseUrl, offer, isResearchOnly } = policy;
  const mining: JsonObject = { target, action: "tdm:mine" };
  const duties: readonly JsonValue[] = [
    { action: "obtainConsent" },
    ...(offer === "for-money" ? [{ action: "compensate" }] : []),
  ];
  const permission: JsonObject = {
    ...mining,
    duty: [...duties],
    ...(isResearchOnly
      ? { constraint: [{ leftOperand: "purpose", operator: "eq", rightOperand: "tdm:research" }] }
      : {}),
  };
  const document: JsonObject = {
    "@context": ["http://www.w3.org/ns/odrl.jsonld", "http://www.w3.org/ns/tdmrep.jsonld"],
    "@type": "Offer",
    profile: "http://www.w3.org/ns/tdmrep",
    uid: url,
    assigner: { uid: origin, "vcard:hasURL": licenseUrl },
    ...(offer === "none" ? { prohibition: [mining] } : { permission: [permission] }),
  };
  return `${JSON.stringify(document, undefined, 1)}\n`;
}
