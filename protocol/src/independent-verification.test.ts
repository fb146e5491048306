import { type JWK, compactVerify, importJWK, jwtVerify } from "jose";
import { describe, expect, test } from "vitest";
import jwsVectors from "../vectors/compact-jws.json" with { type: "json" };
import consentVectors from "../vectors/consent-token.json" with { type: "json" };
import statusListVectors from "../vectors/status-list.json" with { type: "json" };
import { signCompactJws } from "./compact-jws.ts";
import { type PublicJwk } from "./keys.ts";
import { publicJwkOf, signerOf } from "./signature.ts";
import { casesOf, testKey } from "./testing/vectors.ts";

/* The tokens of the valid vectors, and those we sign, also verify with jose, which does not know us. */

describe("jose verifies what the vectors call valid", () => {
  test.each(casesOf<{ typ: string; key: JWK; token: string }>(jwsVectors).filter((vector) => vector.expect.ok))(
    "compact JWS: $name",
    async ({ typ, key, token }) => {
      const { protectedHeader } = await compactVerify(token, await importJWK(key, algorithmOf(token)), {
        algorithms: ["EdDSA", "ES256"],
      });
      expect(protectedHeader.typ).toBe(typ);
    },
  );

  const consents = casesOf<{ key: { jwk: JWK }; token: string; now: number }>(consentVectors).filter(
    (vector) => vector.expect.ok,
  );
  test.each(consents)("consent token: $name", async ({ key, token, now }) => {
    const options = {
      typ: "consent+jwt",
      algorithms: ["EdDSA", "ES256"],
      currentDate: new Date(now * 1000),
      clockTolerance: 60,
      requiredClaims: ["iss", "sub", "jti"],
    };
    const { payload } = await jwtVerify(token, await importJWK(key.jwk, algorithmOf(token)), options);
    expect(payload["sig_alg"]).toBe(algorithmOf(token));
  });

  const keys = new Map(statusListVectors.key_set.keys.map((key) => [key.kid, key]));
  test.each(casesOf<{ token: string; now: number }>(statusListVectors).filter((vector) => vector.expect.ok))(
    "status list: $name",
    async ({ token, now }) => {
      const options = { typ: "statuslist+jwt", issuer: "https://platform.example", currentDate: new Date(now * 1000) };
      await jwtVerify(token, ({ kid = "", alg = "" }) => importJWK((keys.get(kid) ?? {}) as JWK, alg), options);
    },
  );
});

function algorithmOf(token: string): string {
  const header: unknown = JSON.parse(atob((token.split(".")[0] ?? "").replaceAll("-", "+").replaceAll("_", "/")));
  return typeof header === "object" && header !== null && "alg" in header ? String(header.alg) : "";
}

test.each(["creator_ana", "creator_bram"] as const)(
  "jose verifies a token that we sign with the key of %s",
  async (name) => {
    const jwk = testKey(name);
    const token = await signCompactJws(
      "consent+jwt",
      { iss: "https://platform.example", note: "Rösti 😀" },
      await signerOf(jwk),
    );
    const publicJwk: PublicJwk = publicJwkOf(jwk);
    const { payload } = await jwtVerify(token, await importJWK({ ...publicJwk }, algorithmOf(token)), {
      typ: "consent+jwt",
    });
    expect(payload).toEqual({ iss: "https://platform.example", note: "Rösti 😀" });
  },
);
