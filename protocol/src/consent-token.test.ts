import { expect, test } from "vitest";
import acceptances from "../vectors/consent-acceptance.json" with { type: "json" };
import vectors from "../vectors/consent-token.json" with { type: "json" };
import { verifyConsentAcceptance } from "./consent-acceptance.ts";
import { type ConsentKey, checkConsentTimes, parseConsentToken, verifyConsentSignature } from "./consent-token.ts";
import type { JsonObject } from "./json.ts";
import { keySetOf } from "./testing/key-set-of.ts";
import { casesOf, outcome } from "./testing/vectors.ts";

interface ConsentInput {
  readonly token: string;
  readonly key: ConsentKey | null;
  readonly made_at: number;
  readonly now: number;
  readonly allow_test?: boolean;
}

test.each(casesOf<ConsentInput>(vectors))(
  "consent token: $name",
  async ({ token, key, made_at, now, allow_test, expect: expected }) => {
    const gated = parseConsentToken(token);
    const check = { origin: vectors.origin, key: key ?? undefined, madeAt: made_at, allowTest: allow_test ?? false };
    const verified = gated.ok ? await verifyConsentSignature(token, gated.value, check) : gated;
    const times = verified.ok ? checkConsentTimes(verified.value.claims, now) : verified;
    const answer = verified.ok
      ? { creator_id: verified.value.creatorId, signed_by: verified.value.signedBy, kid: verified.value.kid }
      : {};
    expect(outcome<object>(times, () => answer)).toEqual(expected);
  },
);

test.each(casesOf<{ token: string; jti: string; acceptance: JsonObject | null }>(acceptances))(
  "consent acceptance: $name",
  async ({ token, jti, acceptance, expect: expected }) => {
    const result = await verifyConsentAcceptance(acceptance ?? undefined, token, jti, keySetOf(acceptances));
    expect(outcome(result, (accepted_at) => ({ accepted_at }))).toEqual(expected);
  },
);
