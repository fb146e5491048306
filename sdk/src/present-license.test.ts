import { algorithmOf, generatePrivateJwk, publicJwkOf, signerOf, thumbprint } from "@licet/protocol";
import { EmbeddedJWK, calculateJwkThumbprint, jwtVerify } from "jose";
import { describe, expect, it } from "vitest";
import { presentLicense } from "./present-license.ts";

const TOKEN = "eyJ0.eyJ0.c2ln";
const URL_OF_WORK = "https://works.example/a/song.mp3";
const NOW = 1_768_737_900;

describe("a license that is shown", () => {
  it("is a header alone when it is bound to no key", async () => {
    expect(await presentLicense({ token: TOKEN, url: URL_OF_WORK })).toEqual({ authorization: `License ${TOKEN}` });
  });

  it.each(["EdDSA", "ES256"] as const)("carries a proof of its key (%s) for this one request", async (alg) => {
    const jwk = await generatePrivateJwk(alg);
    const key = { jwk: publicJwkOf(jwk), signer: await signerOf(jwk) };
    const shown = { token: TOKEN, url: `${URL_OF_WORK}?part=2#a`, method: "HEAD", key };
    const { authorization, dpop = "" } = await presentLicense(shown, () => NOW);
    expect(authorization).toBe(`License ${TOKEN}`);
    // What is verified by a library that is not ours: a proof as RFC 9449 section 4.2 has it.
    const { payload, protectedHeader } = await jwtVerify(dpop, EmbeddedJWK, { typ: "dpop+jwt" });
    expect(Object.keys(protectedHeader).toSorted()).toEqual(["alg", "jwk", "typ"]);
    expect(await calculateJwkThumbprint(protectedHeader.jwk ?? {})).toBe(thumbprint(key.jwk));
    expect(protectedHeader.alg).toBe(algorithmOf(key.jwk));
    const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(TOKEN));
    expect(payload).toEqual({
      jti: expect.stringMatching(/^[\w-]{22}$/),
      htm: "HEAD",
      htu: URL_OF_WORK,
      iat: NOW,
      ath: Buffer.from(hash).toString("base64url"),
    });
    const again = await presentLicense(shown, () => NOW);
    expect(again.dpop).not.toBe(dpop);
  });
});
