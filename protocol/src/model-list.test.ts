import { expect, test } from "vitest";
import vectors from "../vectors/model-list.json" with { type: "json" };
import { type JsonObject, canonicalBytes, parseJsonObject } from "./json.ts";
import type { VerificationKey } from "./keys.ts";
import { readModelList, signModelList, verifyModelList } from "./model-list.ts";
import { signerOf } from "./signature.ts";
import { casesOf, outcome, testKey } from "./testing/vectors.ts";

interface ListInput {
  readonly document: JsonObject;
  readonly marketplace_id: string;
  readonly key: VerificationKey | null;
  readonly now: number;
  readonly allow_test?: boolean;
}

const cases = casesOf<ListInput>(vectors);

test.each(cases)(
  "list of models: $name",
  async ({ document, marketplace_id, key, now, allow_test, expect: expected }) => {
    const read = readModelList(document);
    const verified = read.ok
      ? await verifyModelList(document, read.value, {
          marketplaceId: marketplace_id,
          key: key ?? undefined,
          now,
          allowTest: allow_test === true,
        })
      : read;
    expect(outcome<unknown>(verified)).toEqual(expected);
  },
);

test("a list that we sign verifies after a journey as JSON", async () => {
  const { key, document, now } = cases[0] ?? { key: null, document: {}, now: 0 };
  const read = readModelList(document);
  if (!read.ok || key === null) throw new TypeError("expected the first vector to be a list");
  const { type: _type, signatures: _signatures, test: _test, ...content } = read.value;
  const signed = await signModelList(content, await signerOf(testKey("marketplace")));
  expect(signed).toMatchObject({ ...content, type: "model-list" });
  const sent = parseJsonObject(canonicalBytes(signed));
  const received = sent.ok ? readModelList(sent.value) : sent;
  if (!sent.ok || !received.ok) throw new TypeError("expected a well-formed list");
  expect(await verifyModelList(sent.value, received.value, { marketplaceId: content.iss, key, now })).toMatchObject({
    ok: true,
  });
});
