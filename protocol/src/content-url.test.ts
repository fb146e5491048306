import fc from "fast-check";
import { describe, expect, test } from "vitest";
import vectors from "../vectors/content-url.json" with { type: "json" };
import { contentStatusPath, normaliseContentUrl } from "./content-url.ts";
import { ROUNDS, casesOf, outcome } from "./testing/vectors.ts";

describe("the one spelling of an address", () => {
  test.each(casesOf<{ url: string }, { url: string }>(vectors))("$name", ({ url, expect: expected }) => {
    expect(outcome(normaliseContentUrl(url), (normalised) => ({ url: normalised }))).toEqual(expected);
    if (expected.ok) expect(normaliseContentUrl(expected.url)).toEqual({ ok: true, value: expected.url });
  });

  test("is a URL that stays as it is, whatever it was made from", () => {
    const part = fc.oneof(fc.webPath(), fc.string({ unit: "binary" }), fc.constantFrom("/%2e%2E/", "/..", "%", "//"));
    fc.assert(
      fc.property(fc.webUrl({ withQueryParameters: true, withFragments: true }), part, (url, rest) => {
        const once = normaliseContentUrl(url + rest);
        if (!once.ok) return;
        expect(normaliseContentUrl(once.value)).toEqual(once);
        expect(new URL(once.value).href).toBe(once.value);
      }),
      { numRuns: ROUNDS },
    );
  });

  test("is hashed into the path of its content status", () => {
    expect(contentStatusPath("https://works.example/songs/1")).toBe(
      "/.well-known/content-status/qT0aM4pJ1PstB_cLNPDWf-HR-grTlsfYh34qpOzEUY8",
    );
  });
});
