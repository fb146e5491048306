import { expect, test } from "vitest";
import vectors from "../vectors/public-key.json" with { type: "json" };
import { decodeBase64, decodeBase64url, encodeBase64, encodeBase64url } from "./base64url.ts";
import type { JsonObject } from "./json.ts";
import { type PublicJwk, algorithmOf, isInForce, parsePublicJwk, publicKeyPem, thumbprint } from "./keys.ts";
import { generatePrivateJwk, publicJwkOf, signerOf, verifySignature } from "./signature.ts";
import { casesOf, diceFrom, outcome } from "./testing/vectors.ts";

test.each(casesOf<{ jwk: JsonObject }>(vectors))("public key: $name", ({ jwk, expect: expected }) => {
  expect(
    outcome(parsePublicJwk(jwk), (key) => ({ kid: thumbprint(key), alg: algorithmOf(key), pem: publicKeyPem(key) })),
  ).toEqual(expected);
});

test.each(["EdDSA", "ES256"] as const)("a fresh %s key signs what it verifies, and nothing else", async (alg) => {
  const jwk = await generatePrivateJwk(alg);
  const signer = await signerOf(jwk);
  const bytes = new TextEncoder().encode("hello");
  const signature = encodeBase64url(await signer.sign(bytes));
  expect(signer.kid).toBe(thumbprint(publicJwkOf(jwk)));
  expect(Object.hasOwn(publicJwkOf(jwk), "d")).toBe(false);
  expect(await verifySignature(publicJwkOf(jwk), bytes, signature)).toBe(true);
  expect(await verifySignature(publicJwkOf(jwk), new TextEncoder().encode("hellp"), signature)).toBe(false);
  expect(await verifySignature(publicJwkOf(await generatePrivateJwk(alg)), bytes, signature)).toBe(false);
});

test("a key that is no point of its curve verifies nothing, however often it is asked", async () => {
  const nowhere = encodeBase64url(new Uint8Array(32).fill(0xff));
  const keys: PublicJwk[] = [
    { kty: "EC", crv: "P-256", x: nowhere, y: nowhere },
    { kty: "OKP", crv: "Ed25519", x: nowhere },
  ];
  for (const jwk of [...keys, ...keys])
    expect(await verifySignature(jwk, new Uint8Array(1), encodeBase64url(new Uint8Array(64).fill(1)))).toBe(false);
});

test("a key is in force from its first second until before its earliest end", () => {
  const key = { not_before: "2027-01-15T08:00:00Z", not_after: "2027-01-15T08:01:00Z" };
  const at = 1_800_000_000;
  expect([-1, 0, 59, 60].map((offset) => isInForce(key, at + offset))).toEqual([false, true, true, false]);
  const revoked = { ...key, revoked_at: "2027-01-15T08:00:30Z" };
  expect([29, 30].map((offset) => isInForce(revoked, at + offset))).toEqual([true, false]);
  const compromised = { ...revoked, compromised_since: "2027-01-15T08:00:10Z" };
  expect([9, 10].map((offset) => isInForce(compromised, at + offset))).toEqual([true, false]);
});

test("a key whose times cannot be read is never in force", () => {
  const key = { not_before: "2027-01-15T08:00:00Z", not_after: "2027-01-15T08:01:00Z" };
  for (const unread of [
    { ...key, not_before: "" },
    { ...key, not_after: "never" },
    { ...key, revoked_at: "" },
  ])
    expect(isInForce(unread, 1_800_000_000)).toBe(false);
});

test("base64 and base64url have one spelling for each value", () => {
  const dice = diceFrom(4648);
  for (let length = 0; length < 64; length += 1) {
    const bytes = Uint8Array.from({ length }, () => dice(256));
    expect(decodeBase64url(encodeBase64url(bytes))).toEqual(bytes);
    expect(decodeBase64(encodeBase64(bytes))).toEqual(bytes);
  }
  for (const text of ["A", "AA=", "AA==", "AB", "A A", "AA\n", "A+", "A/", "Á"])
    expect(decodeBase64url(text)).toBeUndefined();
  for (const text of ["AA", "AA=", "AB==", "AAA", "AA==\n", "A-==", "====", "A==="])
    expect(decodeBase64(text)).toBeUndefined();
});
