import { bytesToHex } from "@noble/hashes/utils.js";
import { expect, test } from "vitest";
import consentTexts from "../vectors/consent-text.json" with { type: "json" };
import vectors from "../vectors/content-item.json" with { type: "json" };
import { type ConsentTextParts, consentText, termsSha256 } from "./consent-text.ts";
import { itemLeafHash, readContentItem } from "./content-item.ts";
import { type JsonObject, canonicalize } from "./json.ts";
import { SCOPE_TABLE } from "./scope.ts";
import { casesOf, outcome } from "./testing/vectors.ts";

test.each(casesOf<{ item: JsonObject }>(vectors))("content item: $name", ({ item, expect: expected }) => {
  expect(
    outcome(readContentItem(item), () => ({
      canonical: canonicalize(item),
      leaf_hash: bytesToHex(itemLeafHash(item)),
    })),
  ).toEqual(expected);
});

const texts = casesOf<{ parts: ConsentTextParts }, { text: string; terms_sha256: string }>(consentTexts);

test.each(texts)("consent text: $name", ({ parts, expect: expected }) => {
  const text = consentText(parts);
  expect({ ok: true, text, terms_sha256: termsSha256(text) }).toEqual(expected);
});

test("every scope entry is told to the creator, with an example", () => {
  const [first] = texts;
  if (first === undefined) throw new TypeError("expected a consent text");
  for (const [entry, { sentence, example }] of SCOPE_TABLE) {
    expect(consentText({ ...first.parts, scope: [entry] })).toContain(`- ${sentence} For example: ${example}`);
  }
});
