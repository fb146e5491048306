import { expect, test } from "vitest";
import vectors from "../vectors/identifiers.json" with { type: "json" };
import instants from "../vectors/instant.json" with { type: "json" };
import pricing from "../vectors/pricing.json" with { type: "json" };
import { isJti, parseSubject } from "./consent-token.ts";
import { isLicense, isLineage } from "./content-item.ts";
import { creatorIssuer, creatorOfIssuer, isIdentifier, isOrigin, isQualifiedIdentifier } from "./identifiers.ts";
import { formatInstant, isInstant, parseInstant } from "./instant.ts";
import { isMimeType, modalityOf } from "./media-type.ts";
import { meetsFloor, parsePrice } from "./pricing.ts";
import { isWebUrl } from "./shape.ts";
import { casesOf } from "./testing/vectors.ts";

const PREDICATES = {
  identifier: isIdentifier,
  qualified: isQualifiedIdentifier,
  jti: isJti,
  origin: isOrigin,
  url: isWebUrl,
  mime_type: isMimeType,
  license: isLicense,
  lineage: isLineage,
  subject: (text: string) => parseSubject(text) !== undefined,
};

test.each(casesOf<{ kind: keyof typeof PREDICATES; text: string }>(vectors))(
  "$name",
  ({ kind, text, expect: expected }) => {
    expect(PREDICATES[kind](text)).toBe(expected.ok);
  },
);

test("a creator's issuer names the creator back, and no other text does", () => {
  const origin = "https://platform.example";
  expect(creatorOfIssuer(creatorIssuer(origin, "user:12345"), origin)).toBe("user:12345");
  for (const issuer of [
    origin,
    `${origin}/creators/`,
    `${origin}/creators/a/b`,
    `${origin}/creators/../x`,
    `${origin}.example/creators/a`,
    `${origin}/creators/a?b`,
  ]) {
    expect(creatorOfIssuer(issuer, origin)).toBeUndefined();
  }
});

test.each(casesOf<{ text: string }, { epoch: number }>(instants))("instant: $name", ({ text, expect: expected }) => {
  expect(parseInstant(text)).toBe(expected.ok ? expected.epoch : undefined);
  if (expected.ok) expect(formatInstant(expected.epoch)).toBe(text);
});

test("an instant in seconds is whole, from 1970 to the year 9999", () => {
  expect([0, 253_402_300_799].map(isInstant)).toEqual([true, true]);
  expect([-1, 0.5, 253_402_300_800, Number.NaN, Number.POSITIVE_INFINITY].map(isInstant)).toEqual([
    false,
    false,
    false,
    false,
    false,
  ]);
});

test.each(casesOf<{ price: string; floor?: string }, { unit: string; scaled: string }>(pricing))(
  "price: $name",
  ({ price, floor, expect: expected }) => {
    const parsed = parsePrice(price);
    const least = floor === undefined ? undefined : parsePrice(floor);
    const stands = parsed !== undefined && (least === undefined || meetsFloor(parsed, least));
    const answer = stands
      ? { ok: true, unit: parsed.unit, scaled: parsed.scaled.toString() }
      : { ok: false, ...(floor === undefined ? {} : { code: "price_below_floor" }) };
    expect(answer).toEqual(expected);
  },
);

test.each([
  ["text/plain", "text"],
  ["TEXT/HTML", "text"],
  ["application/pdf", "text"],
  ["application/epub+zip", "text"],
  ["audio/flac", "audio"],
  ["image/svg+xml", "image"],
  ["video/mp4", "video"],
  ["application/zip", undefined],
  ["font/woff2", undefined],
  ["model/gltf-binary", undefined],
  ["text", undefined],
  ["", undefined],
])("a work of type %s counts as %s", (mimeType, modality) => {
  expect(modalityOf(mimeType)).toBe(modality);
});
