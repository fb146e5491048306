import { expect, test } from "vitest";
import countersignatures from "../vectors/receipt-countersignature.json" with { type: "json" };
import vectors from "../vectors/usage-receipt.json" with { type: "json" };
import { type JsonObject, canonicalBytes, parseJsonObject } from "./json.ts";
import { type VerificationKey, thumbprint } from "./keys.ts";
import { publicJwkOf, signerOf } from "./signature.ts";
import { keySetOf } from "./testing/key-set-of.ts";
import { casesOf, outcome, testKey } from "./testing/vectors.ts";
import {
  countersignReceipt,
  readUsageReceipt,
  receiptSha256,
  signUsageReceipt,
  verifyCountersignature,
  verifyUsageReceipt,
} from "./usage-receipt.ts";

interface ReceiptInput {
  readonly document: JsonObject;
  readonly key: VerificationKey | null;
  readonly received_at: number;
}

const cases = casesOf<ReceiptInput>(vectors);

test.each(cases)("usage receipt: $name", async ({ document, key, received_at, expect: expected }) => {
  const receipt = readUsageReceipt(document);
  const verified = receipt.ok
    ? await verifyUsageReceipt(document, receipt.value, key ?? undefined, received_at)
    : receipt;
  expect(outcome<unknown>(verified, () => ({ sha256: receiptSha256(document) }))).toEqual(expected);
});

test.each(casesOf<{ document: JsonObject; allow_test?: boolean }>(countersignatures))(
  "countersignature: $name",
  async ({ document, allow_test = false, expect: expected }) => {
    const keys = { ...keySetOf(countersignatures), allowsTest: allow_test };
    expect(outcome(await verifyCountersignature(document, keys))).toEqual(expected);
  },
);

test.each(["tokens", "seconds"] as const)(
  "a receipt in %s that we sign and countersign verifies after a journey as JSON",
  async (unit) => {
    const { key, document } = cases[0] ?? { key: null, document: {} };
    const read = readUsageReceipt(document);
    if (!read.ok || key === null) throw new TypeError("expected the first vector to be a receipt");
    const { type: _type, key_id: _key, signature: _signature, tokens_used: _tokens, ...content } = read.value;
    const usage = { unit, count: 7 };
    const receipt = await signUsageReceipt(
      { ...content, usage, ...(unit === "tokens" ? { tokens_used: 7 } : {}) },
      await signerOf(testKey("marketplace")),
    );
    const sent = parseJsonObject(canonicalBytes({ ...receipt }));
    const received = sent.ok ? readUsageReceipt(sent.value) : sent;
    if (!sent.ok || !received.ok) throw new TypeError("expected a well-formed receipt");
    expect((await verifyUsageReceipt(sent.value, received.value, key, 1_800_000_000)).ok).toBe(true);
    const countersignature = await countersignReceipt(
      sent.value,
      "https://platform.example",
      { acceptedAt: "2027-01-15T08:01:00Z", flags: unit === "tokens" ? [] : ["late"] },
      await signerOf(testKey("platform_receipt")),
    );
    expect(
      outcome(
        await verifyCountersignature(
          { ...sent.value, countersignature: { ...countersignature } },
          keySetOf(countersignatures),
        ),
      ),
    ).toEqual({ ok: true });
  },
);

test("the marketplace's test key is the one the vectors register", () => {
  expect(cases[0]?.key?.kid).toBe(thumbprint(publicJwkOf(testKey("marketplace"))));
});
