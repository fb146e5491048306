import { expect, test } from "vitest";
import creatorKeys from "../vectors/creator-key.json" with { type: "json" };
import keySets from "../vectors/key-set.json" with { type: "json" };
import documents from "../vectors/signed-document.json" with { type: "json" };
import type { JsonObject } from "./json.ts";
import { keyEntry, verifyCreatorKey, verifyKeySet } from "./key-set.ts";
import { type DocumentType, documentSha256, signDocument, verifyDocument } from "./signed-document.ts";
import { signerOf } from "./signature.ts";
import { keySetOf } from "./testing/key-set-of.ts";
import { casesOf, outcome, testKey } from "./testing/vectors.ts";

interface DocumentInput {
  readonly type: DocumentType;
  readonly document: JsonObject;
  readonly made_at: number;
  readonly allow_test?: boolean;
}

test.each(casesOf<DocumentInput>(documents))(
  "signed document: $name",
  async ({ type, document, made_at, allow_test, expect: expected }) => {
    const verified = await verifyDocument(document, {
      type,
      keys: keySetOf(documents),
      madeAt: made_at,
      allowTest: allow_test ?? false,
    });
    expect(outcome(verified, (value) => ({ sha256: documentSha256(value) }))).toEqual(expected);
  },
);

test.each(casesOf<{ document: JsonObject; origin: string; now: number; allow_test?: boolean }>(keySets))(
  "key set: $name",
  async ({ document, origin, now, allow_test = false, expect: expected }) => {
    expect(
      outcome(await verifyKeySet(document, origin, now, { allowTest: allow_test }), ({ seq, keys }) => ({
        seq,
        kids: keys.map((key) => key.kid),
      })),
    ).toEqual(expected);
  },
);

test.each(casesOf<{ document: JsonObject; now: number }>(creatorKeys))(
  "creator key: $name",
  async ({ document, now, expect: expected }) => {
    expect(
      outcome(await verifyCreatorKey(document, keySetOf(creatorKeys), now), ({ creator_id, kid }) => ({
        creator_id,
        kid,
      })),
    ).toEqual(expected);
  },
);

test("what we sign, we verify; and whoever changes a letter, does not", async () => {
  const keys = keySetOf(documents);
  const signer = await signerOf(testKey("platform_document_es256"));
  const document = await signDocument("terms", keys.iss, { text: "é😀", nested: { b: [], a: {} } }, signer);
  const check = { type: "terms", keys, madeAt: 1_800_000_000 } as const;
  expect((await verifyDocument(document, check)).ok).toBe(true);
  expect(outcome(await verifyDocument({ ...document, text: "e\u0301😀" }, check))).toEqual({
    ok: false,
    code: "signature_invalid",
  });
});

test("a key is published with the JWK's members beside ours, and read back", () => {
  for (const key of keySetOf(documents).keys) {
    const entry = keyEntry(key);
    expect(keySetOf({ key_set: { iss: "https://platform.example", seq: 1, keys: [entry] } }).keys).toEqual([key]);
  }
});
