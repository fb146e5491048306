import fc from "fast-check";
import { describe, expect, test } from "vitest";
import vectors from "../vectors/access-decision.json" with { type: "json" };
import { type AccessDecision, type AccessFacts, type StatusFact, decideAccess } from "./access-decision.ts";
import { ROUNDS, casesOf } from "./testing/vectors.ts";

interface Input {
  readonly facts: AccessFacts;
  readonly now: number;
}

const NOW = 1_800_000_000;

function shown(decision: AccessDecision): object {
  if (decision.kind === "pass") return { ok: true, reason: decision.reason };
  const cause = decision.refusal.offences?.[0]?.code;
  return { ok: false, code: decision.refusal.code, ...(cause === undefined ? {} : { cause }) };
}

describe("access", () => {
  test.each(casesOf<Input, { reason: string }>(vectors))("$name", ({ facts, now, expect: expected }) => {
    expect(shown(decideAccess(facts, now))).toEqual(expected);
  });

  const status = fc.oneof(
    fc.record({ value: fc.constantFrom(0, 1, 2, 3), trusted_until: fc.constantFrom(NOW, NOW + 1) }),
    fc.constant({ state: "missing" as const, detail: "" }),
  );
  const grant = fc.record({
    dataset_id: fc.constantFrom("ds_1", "ds_2"),
    version: fc.constantFrom(1, 2),
    scope: fc.subarray(["training_text", "search", "commercial"]),
    expires_at: fc.constantFrom(NOW, NOW + 1),
    dataset: status,
    consent: status,
  });
  const facts = fc.record({
    governed: fc.constant(true),
    isAgent: fc.boolean(),
    license: fc.record({
      state: fc.constant("verified" as const),
      license_id: fc.constant("lic_1"),
      dataset_id: fc.constantFrom("ds_1", "ds_2"),
      dataset_version: fc.constantFrom(1, 2),
      scope: fc.constant(["training_text"]),
      status,
    }),
    content: fc.record({
      state: fc.constant("known" as const),
      trusted_until: fc.constantFrom(NOW, NOW + 1),
      modality: fc.constantFrom("text" as const, "image" as const),
      item: status,
      grants: fc.array(grant, { maxLength: 3 }),
    }),
  }) satisfies fc.Arbitrary<AccessFacts>;

  test("is given only where everything that is in question is there, fresh and valid", () => {
    const stands = (fact: object): boolean => "value" in fact && fact.value === 0 && isFresh(fact as StatusFact);
    const isFresh = ({ trusted_until }: StatusFact): boolean => trusted_until > NOW;
    fc.assert(
      fc.property(facts, (known) => {
        if (decideAccess(known, NOW).kind === "refuse") return;
        const { license, content } = known;
        const own = content.grants.filter(({ dataset_id }) => dataset_id === license.dataset_id);
        const opens = own.some(
          (grant) => stands(grant.dataset) && stands(grant.consent) && grant.scope.includes("training_text"),
        );
        expect([stands(license.status), stands(content.item), content.modality, opens]).toEqual([
          true,
          true,
          "text",
          true,
        ]);
      }),
      { numRuns: ROUNDS * 20 },
    );
  });
});
