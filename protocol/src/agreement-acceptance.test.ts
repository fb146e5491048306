import { expect, test } from "vitest";
import vectors from "../vectors/agreement-acceptance.json" with { type: "json" };
import { readAgreementAcceptance, signAgreementAcceptance, verifyAgreementAcceptance } from "./agreement-acceptance.ts";
import { type JsonObject, canonicalBytes, parseJsonObject } from "./json.ts";
import type { VerificationKey } from "./keys.ts";
import { signerOf } from "./signature.ts";
import { casesOf, outcome, testKey } from "./testing/vectors.ts";

interface AcceptanceInput {
  readonly document: JsonObject;
  readonly key: VerificationKey | null;
  readonly received_at: number;
  readonly allow_test?: boolean;
}

const cases = casesOf<AcceptanceInput>(vectors);

test.each(cases)(
  "agreement acceptance: $name",
  async ({ document, key, received_at, allow_test, expect: expected }) => {
    const read = readAgreementAcceptance(document);
    const verified = read.ok
      ? await verifyAgreementAcceptance(document, read.value, {
          key: key ?? undefined,
          receivedAt: received_at,
          allowTest: allow_test === true,
        })
      : read;
    expect(outcome<unknown>(verified)).toEqual(expected);
  },
);

test("an acceptance that we sign verifies after a journey as JSON", async () => {
  const { key, document } = cases[0] ?? { key: null, document: {} };
  const read = readAgreementAcceptance(document);
  if (!read.ok || key === null) throw new TypeError("expected the first vector to be an acceptance");
  const { type: _type, signatures: _signatures, test: _test, ...content } = read.value;
  const signed = await signAgreementAcceptance(content, await signerOf(testKey("marketplace")));
  expect(signed).toMatchObject(content);
  const sent = parseJsonObject(canonicalBytes(signed));
  const received = sent.ok ? readAgreementAcceptance(sent.value) : sent;
  if (!sent.ok || !received.ok) throw new TypeError("expected a well-formed acceptance");
  const verified = await verifyAgreementAcceptance(sent.value, received.value, { key, receivedAt: 1_800_000_000 });
  expect(verified.ok).toBe(true);
});
