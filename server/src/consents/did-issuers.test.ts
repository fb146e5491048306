import {
  type Algorithm,
  type DidMethod,
  DID_METHODS,
  didOf,
  encodeBase64url,
  generatePrivateJwk,
  publicJwkOf,
  readDidDocument,
  signCompactJws,
  signJwsInput,
  signerOf,
} from "@licet/protocol";
import { describe, expect, test } from "vitest";
import { enrolCreator, expectStatus, giveConsent } from "../../../test/fixtures/actors.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";

const platform = await startPlatform();
const ana = await enrolCreator(platform);

/** Enrols a fresh key of Ana's under a DID, with a proof that the DID itself issues. */
async function enrolDid(alg: Algorithm, didFor: (jwk: ReturnType<typeof publicJwkOf>) => string, iss?: string) {
  const jwk = await generatePrivateJwk(alg);
  const signer = await signerOf(jwk);
  const did = didFor(publicJwkOf(jwk));
  const challenge = expectStatus(await ana.caller.post(`/api/v1/creators/${ana.creatorId}/key-challenges`), 201).body;
  const iat = Math.floor(platform.clock.nowMs() / 1_000);
  const claims = { iss: iss ?? did, aud: platform.origin, nonce: challenge.challenge, iat };
  const proof = await signCompactJws("key-proof+jwt", claims, signer);
  const answer = await ana.caller.post(`/api/v1/creators/${ana.creatorId}/keys`, { did, proof });
  return { answer, did, creator: { ...ana, signer, kid: signer.kid }, jwk: publicJwkOf(jwk) };
}

describe("a creator's DID", () => {
  test.each<[Algorithm, DidMethod]>([
    ["EdDSA", "did:key"],
    ["ES256", "did:key"],
    ["EdDSA", "did:jwk"],
    ["ES256", "did:jwk"],
  ])("of an %s key is enrolled as a %s, and issues consents", async (alg, method) => {
    const { answer, did, creator, jwk } = await enrolDid(alg, (key) => didOf(key, method));
    expect(answer).toMatchObject({ status: 201, body: { kid: creator.kid, did, jwk } });
    for (const issuer of DID_METHODS) {
      const { claims } = await giveConsent(creator, { issuer });
      expect(claims.iss).toBe(didOf(jwk, issuer));
    }
    expect((await giveConsent(creator)).claims.iss).toBe(`${platform.origin}/creators/${ana.creatorId}`);
  });

  test("keeps the spelling its owner gave it", async () => {
    const spelled = ({ x, ...others }: ReturnType<typeof publicJwkOf>) =>
      `did:jwk:${encodeBase64url(new TextEncoder().encode(JSON.stringify({ x, ...others, use: "sig" })))}`;
    const { did, creator } = await enrolDid("EdDSA", spelled);
    expect((await giveConsent(creator, { issuer: "did:jwk" })).claims.iss).toBe(did);
  });

  test("is not needed to issue under one: any enrolled key has them", async () => {
    const { claims } = await giveConsent(ana, { issuer: "did:key" });
    expect(claims.iss).toMatch(/^did:key:z6Mk/);
  });

  test.each<[string, (jwk: ReturnType<typeof publicJwkOf>) => string, string]>([
    ["with a fragment", (jwk) => `${didOf(jwk, "did:key")}#1`, "did_malformed"],
    ["of the web", () => "did:web:platform.example", "did_malformed"],
    [
      "with a private member",
      (jwk) => `did:jwk:${encodeBase64url(new TextEncoder().encode(JSON.stringify({ ...jwk, d: "AA" })))}`,
      "key_malformed",
    ],
    ["of another key than signs", () => "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK", "proof_invalid"],
  ])("%s is not enrolled", async (_what, didFor, code) => {
    expect((await enrolDid("EdDSA", didFor)).answer.body.code).toBe(code);
  });

  test("is not enrolled on the word of another issuer, nor beside a JWK", async () => {
    const stranger = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK";
    expect((await enrolDid("EdDSA", (jwk) => didOf(jwk, "did:key"), stranger)).answer.body.code).toBe("proof_invalid");
    const both = { did: stranger, jwk: { kty: "OKP" }, proof: "" };
    expect((await ana.caller.post(`/api/v1/creators/${ana.creatorId}/keys`, both)).body.code).toBe("input_invalid");
  });

  test("of a key that is not the draft's does not make it a consent", async () => {
    const { creator } = await enrolDid("EdDSA", (jwk) => didOf(jwk, "did:key"));
    const draft = await ana.caller.post("/api/v1/consents/drafts", {
      subject: `creator:${ana.creatorId}`,
      scope: ["training"],
      kid: ana.kid,
      issuer: "did:key",
    });
    const token = await signJwsInput(expectStatus(draft, 201).body.signing_input, creator.signer);
    expect((await ana.caller.post("/api/v1/consents", { token })).body.code).toBe("signature_invalid");
  });

  test("is nothing the platform signs under", async () => {
    const draft = { subject: `creator:${ana.creatorId}`, scope: ["training"], signer: "platform", issuer: "did:key" };
    const answer = await platform.operator.post("/api/v1/consents/drafts", {
      ...draft,
      creator_id: ana.creatorId,
      evidence: { clicked: "yes" },
    });
    expect(answer).toMatchObject({ status: 422, body: { code: "input_invalid" } });
  });
});

test("the platform has a did:web, whose keys are those of its key set", async () => {
  const { body: keySet } = await platform.anonymous.get("/.well-known/keys.json");
  const { body: document } = await platform.anonymous.get("/.well-known/did.json");
  const did = `did:web:${new URL(platform.origin).host.replace(":", "%3A")}`;
  const read = readDidDocument(document, did);
  const active = keySet.keys.filter(({ status }: { status: string }) => status === "active");
  expect(active.length).toBeGreaterThan(0);
  expect(read.ok && read.value.keys.map(({ id }) => id)).toEqual(
    active.map(({ kid }: { kid: string }) => `${did}#${kid}`),
  );
});
