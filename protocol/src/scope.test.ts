import { describe, expect, test } from "vitest";
import coverage from "../vectors/coverage.json" with { type: "json" };
import vectors from "../vectors/scope.json" with { type: "json" };
import type { ConsentClaims } from "./consent-token.ts";
import { type CoveredWork, checkAudience, checkCoverage } from "./coverage.ts";
import { MODALITIES } from "./media-type.ts";
import { SCOPE_TABLE, USES, type UseRequest, checkScope, grants, requestsFor } from "./scope.ts";
import { casesOf, outcome } from "./testing/vectors.ts";

const YES_AND_NO = [false, true] as const;
const REQUESTS: readonly UseRequest[] = USES.flatMap((use) =>
  MODALITIES.flatMap((modality) =>
    YES_AND_NO.flatMap((commercial) => YES_AND_NO.map((derivative) => ({ use, modality, commercial, derivative }))),
  ),
);

function nameOf({ use, modality, commercial, derivative }: UseRequest): string {
  return [use, modality, commercial ? "commercial" : "", derivative ? "derivative" : ""]
    .filter((word) => word !== "")
    .join(" ");
}

const cases = casesOf<{ scope: string[]; expect: { granted: string[] } }>(vectors);

describe("the truth table of scopes", () => {
  test.each(cases)("at issue: $name", ({ scope, expect: expected }) => {
    const { granted: _, ...issue } = expected;
    expect(outcome(checkScope(scope))).toEqual(issue);
  });

  test.each(cases)("at verification: $name", ({ scope, expect: expected }) => {
    const granted = REQUESTS.filter((request) => grants(scope, request)).map(nameOf);
    expect(granted.toSorted()).toEqual(expected.granted.toSorted());
  });

  test("asks all 80 requests and holds every entry of the scope table", () => {
    expect(new Set(REQUESTS.map(nameOf)).size).toBe(80);
    const entries = new Set(cases.flatMap(({ scope }) => scope));
    expect([...SCOPE_TABLE.keys()].filter((entry) => !entries.has(entry))).toEqual([]);
    expect(SCOPE_TABLE.size).toBe(29);
  });
});

test("the order of entries says nothing", () => {
  for (const { scope } of cases) {
    for (const request of REQUESTS) expect(grants(scope.toReversed(), request)).toBe(grants(scope, request));
  }
});

test("a further entry never takes a grant away", () => {
  for (const { scope } of cases) {
    for (const entry of SCOPE_TABLE.keys())
      expect(REQUESTS.filter((request) => grants(scope, request) && !grants([...scope, entry], request))).toEqual([]);
  }
});

test("a scope grants every request that it stands for as an offer, unless it names no use", () => {
  for (const { scope } of cases) {
    for (const modality of MODALITIES)
      expect(requestsFor(scope, modality).every((request) => grants(scope, request))).toBe(true);
  }
});

interface CoverageInput {
  readonly consents: readonly { readonly creator_id: string; readonly claims: ConsentClaims }[];
  readonly work: CoveredWork;
  readonly offer: {
    readonly dataset_id: string;
    readonly scope: string[];
    readonly license: string;
    readonly price: string;
  };
  readonly marketplace_id?: string;
}

test.each(casesOf<CoverageInput>(coverage))(
  "coverage: $name",
  ({ consents, work, offer, marketplace_id, expect: expected }) => {
    const results = consents.map(({ claims, creator_id }) => {
      const covered = checkCoverage({ claims, creatorId: creator_id }, work, { ...offer, datasetId: offer.dataset_id });
      return outcome(covered.ok && marketplace_id !== undefined ? checkAudience(claims, marketplace_id) : covered);
    });
    if (expected.ok) expect(results).toContainEqual({ ok: true });
    else expect(results).toEqual(results.map(() => expected));
  },
);
