import { expect, test } from "vitest";
import vectors from "../vectors/compact-jws.json" with { type: "json" };
import { MAX_JWS_LENGTH, parseCompactJws, signCompactJws, verifyCompactJws } from "./compact-jws.ts";
import type { PublicJwk } from "./keys.ts";
import { publicJwkOf, signerOf } from "./signature.ts";
import { casesOf, outcome, testKey } from "./testing/vectors.ts";

test.each(casesOf<{ typ: string; key: PublicJwk; token: string }>(vectors))(
  "compact JWS: $name",
  async ({ typ, key, token, expect: expected }) => {
    const gated = parseCompactJws(token, typ);
    const result = gated.ok ? await verifyCompactJws(gated.value, key) : gated;
    expect(outcome(result, ({ header, payload }) => ({ kid: header.kid, payload }))).toEqual(expected);
  },
);

test.each(["creator_ana", "creator_bram"] as const)(
  "a token signed by %s passes the gate and verifies",
  async (name) => {
    const jwk = testKey(name);
    const token = await signCompactJws("example+jwt", { b: 1, a: "é" }, await signerOf(jwk));
    const gated = parseCompactJws(token, "example+jwt");
    expect(gated.ok && (await verifyCompactJws(gated.value, publicJwkOf(jwk))).ok).toBe(true);
  },
);

test("a token is refused unread above its limit, and read at it", () => {
  expect(parseCompactJws("a".repeat(MAX_JWS_LENGTH + 1), "example+jwt")).toMatchObject({
    refusal: { code: "jws_malformed", detail: "expected at most 16384 characters, got 16385" },
  });
  expect(parseCompactJws("a".repeat(MAX_JWS_LENGTH), "example+jwt")).toMatchObject({
    refusal: { code: "jws_malformed", detail: "expected three segments separated by dots" },
  });
});
