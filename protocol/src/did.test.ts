import { describe, expect, test } from "vitest";
import vectors from "../vectors/did.json" with { type: "json" };
import webVectors from "../vectors/did-web.json" with { type: "json" };
import { decodeBase58btc, encodeBase58btc } from "./base58btc.ts";
import { didDocument, didWebOf, didWebUrl, readDidDocument } from "./did-web.ts";
import { didOf, isDid, isDidOf, parseDid } from "./did.ts";
import type { JsonObject } from "./json.ts";
import type { PublicJwk } from "./keys.ts";
import { generatePrivateJwk, publicJwkOf } from "./signature.ts";
import { casesOf, diceFrom, outcome } from "./testing/vectors.ts";

test.each(casesOf<{ did: string }>(vectors))("DID: $name", ({ did, expect: expected }) => {
  const shown = (jwk: PublicJwk) => ({ jwk, did_key: didOf(jwk, "did:key"), did_jwk: didOf(jwk, "did:jwk") });
  expect(outcome(parseDid(did), shown)).toEqual(expected);
  const parsed = parseDid(did);
  if (parsed.ok) expect([isDid(did), isDidOf(did, parsed.value)]).toEqual([true, true]);
});

test.each(casesOf<{ did: string }>(webVectors))("did:web: $name", ({ did, expect: expected }) => {
  expect(outcome(didWebUrl(did), (url) => ({ url }))).toEqual(expected);
});

test("every fresh key has DIDs that lead back to it, and to no other", async () => {
  const stranger = publicJwkOf(await generatePrivateJwk("ES256"));
  for (const alg of ["EdDSA", "ES256", "ES256", "ES256", "ES256"] as const) {
    const jwk = publicJwkOf(await generatePrivateJwk(alg));
    for (const method of ["did:key", "did:jwk"] as const) {
      expect(parseDid(didOf(jwk, method))).toEqual({ ok: true, value: jwk });
      expect(isDidOf(didOf(jwk, method), stranger)).toBe(false);
    }
  }
});

test("base58btc has one spelling for each value", () => {
  const dice = diceFrom(58);
  for (let length = 0; length < 40; length += 1) {
    const bytes = Uint8Array.from({ length }, (_, index) => (index < length / 4 ? 0 : dice(256)));
    expect(decodeBase58btc(encodeBase58btc(bytes))).toEqual(bytes);
  }
  expect(encodeBase58btc(new TextEncoder().encode("Hello World!"))).toBe("2NEpo7TZRRrLZSi2U");
  for (const text of ["0", "O", "I", "l", "+", " ", "é"]) expect(decodeBase58btc(text)).toBeUndefined();
});

describe("a DID document", () => {
  const DID = "did:web:platform.example";
  const jwk: JsonObject = { kty: "OKP", crv: "Ed25519", x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" };
  const method = { id: `${DID}#1`, type: "JsonWebKey", controller: DID, publicKeyJwk: jwk };
  const document = { id: DID, verificationMethod: [method], assertionMethod: [method.id] };
  const keysIn = (members: JsonObject) => {
    const read = readDidDocument({ ...document, ...members }, DID);
    return read.ok ? read.value.keys.map(({ id }) => id) : read.refusal.code;
  };

  test("names keys by reference, by relative reference, or whole", () => {
    expect(keysIn({})).toEqual([`${DID}#1`]);
    expect(keysIn({ assertionMethod: ["#1"] })).toEqual([`${DID}#1`]);
    expect(keysIn({ verificationMethod: [{ ...method, id: "#1" }] })).toEqual([`${DID}#1`]);
    expect(keysIn({ verificationMethod: [], assertionMethod: [method] })).toEqual([`${DID}#1`]);
  });

  test.each<[string, JsonObject]>([
    ["that may make no assertion", { assertionMethod: [] }],
    ["that are not there", { assertionMethod: [`${DID}#2`] }],
    ["of somebody else", { verificationMethod: [{ ...method, controller: "did:web:other.example" }] }],
    ["named by another DID", { assertionMethod: [{ ...method, id: "did:web:other.example#1" }] }],
    ["that are revoked", { verificationMethod: [{ ...method, revoked: "2026-01-01T00:00:00Z" }] }],
    ["of another kind", { verificationMethod: [{ ...method, publicKeyJwk: { kty: "RSA", n: "AQAB", e: "AQAB" } }] }],
    ["in another form", { verificationMethod: [{ ...method, publicKeyJwk: null, publicKeyMultibase: "z6Mk" }] }],
    ["in entries that are none", { assertionMethod: [1, null, [], "", {}] }],
  ])("does not lend keys %s", (_what, members) => {
    expect(keysIn(members)).toEqual([]);
  });

  test("of another id, with too much in it, or with a private key, is refused", () => {
    expect(keysIn({ id: `${DID}:user` })).toBe("document_invalid");
    expect(keysIn({ id: 1 })).toBe("document_invalid");
    expect(keysIn({ verificationMethod: {} })).toBe("document_invalid");
    expect(keysIn({ assertionMethod: Array.from({ length: 257 }, () => "#1") })).toBe("document_invalid");
    expect(keysIn({ verificationMethod: [{ ...method, publicKeyJwk: { ...jwk, d: "" } }] })).toBe("key_malformed");
  });

  test("of a platform lends the keys that are active, and keeps retired ones to look up", async () => {
    const fresh = async () => publicJwkOf(await generatePrivateJwk("EdDSA"));
    const lifetime = { not_before: "2026-01-01T00:00:00Z", not_after: "2030-01-01T00:00:00Z" };
    const keyOf = async (kid: string, status: "active" | "retired" | "revoked") =>
      ({ kid, alg: "EdDSA", purpose: "document", status, jwk: await fresh(), ...lifetime }) as const;
    const keys = [await keyOf("a", "active"), await keyOf("b", "retired"), await keyOf("c", "revoked")];
    const platform = didDocument({ iss: "http://localhost:4242", keys });
    const did = didWebOf("http://localhost:4242");
    expect(did).toBe("did:web:localhost%3A4242");
    expect(readDidDocument(platform, did)).toEqual({
      ok: true,
      value: { id: did, keys: [{ id: `${did}#a`, jwk: keys[0]?.jwk }] },
    });
    expect(JSON.stringify(platform)).toContain(`${did}#b`);
    expect(JSON.stringify(platform)).not.toContain(`${did}#c`);
  });
});
