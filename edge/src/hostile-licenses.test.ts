import { STATUS, encodeBase64url, publicJwkOf, sha256Bytes, signJwsInput, signerOf } from "@licet/protocol";
import { describe, expect, test } from "vitest";
import { PLACES, WORK_URL, now, privateKey } from "./testing/test-platform.ts";
import { GPTBOT, type Line, PERSON, openWorld, outcomeOf } from "./testing/world.ts";

function invalid(cause: string): object {
  return { status: 401, code: "license_invalid", cause };
}
const MALFORMED = { status: 400, code: "credentials_malformed" };
const CONTRADICTORY = { status: 400, code: "credentials_contradictory" };

describe("a license", () => {
  test.each([
    ["forged with a key of somebody else", "stranger", {}, invalid("key_unknown")],
    ["signed with a key for documents", "platform_document", {}, invalid("key_purpose_wrong")],
    ["that has expired", undefined, { iat: now() - 1_000, exp: now() - 100 }, invalid("token_expired")],
    ["from the future", undefined, { iat: now() + 100, exp: now() + 200 }, invalid("token_not_yet_valid")],
    ["that lives longer than a bearer may", undefined, { exp: now() + 3_600 }, invalid("claim_invalid")],
    ["for another site", undefined, { aud: ["https://other.example"] }, invalid("license_audience_wrong")],
    ["for the site over http", undefined, { aud: ["http://works.example"] }, invalid("license_audience_wrong")],
    ["of another platform", undefined, { iss: "https://platform.example" }, invalid("issuer_mismatch")],
    ["bound to a key that is not shown", undefined, { cnf: { jkt: "A".repeat(43) } }, invalid("license_key_mismatch")],
    ["for another dataset", undefined, { dataset_id: "ds_2" }, { status: 403, code: "license_not_for_work" }],
    ["for a later version", undefined, { dataset_version: 9 }, { status: 403, code: "license_not_for_work" }],
    ["for other uses", undefined, { scope: ["search_text"] }, { status: 403, code: "license_scope_insufficient" }],
    ["for an unknown use", undefined, { scope: ["everything"] }, invalid("scope_unknown")],
  ] as const)("%s is refused", async (_name, key, claims, expected) => {
    const { platform, ask, bearing } = await openWorld();
    const signer = key === undefined ? undefined : await platform.signer(key);
    expect(outcomeOf(await ask([PERSON, await bearing(claims, signer)]))).toEqual(expected);
  });

  test("with a byte changed, in whichever part, is refused", async () => {
    const { ask, platform } = await openWorld();
    const token = await platform.license();
    const parts = token.split(".");
    for (const at of [0, 1, 2]) {
      const changed = parts.map((part, index) => (index === at ? `${part.slice(0, -3)}AAA` : part)).join(".");
      expect((await ask([["authorization", `License ${changed}`]])).status).toBe(401);
    }
  });

  test("of a test server is refused by a live edge", async () => {
    const { platform, ask } = await openWorld();
    const signer = await signerOf(privateKey("platform_license"), { test: true });
    const line: Line = ["authorization", `License ${await platform.license({}, signer)}`];
    expect(outcomeOf(await ask([line]))).toEqual(invalid("test_document"));
  });

  test("whose place is on a list of somebody else is not believed", async () => {
    const { ask, bearing } = await openWorld();
    const status = { status_list: { idx: 1, uri: "https://other.example/status-lists/1" } };
    expect(outcomeOf(await ask([await bearing({ status })]))).toEqual({ status: 503, code: "facts_unavailable" });
  });

  test("whose place is beyond the list is not believed", async () => {
    const { ask, bearing, platform } = await openWorld();
    const status = { status_list: { idx: 2 ** 21, uri: platform.listUri } };
    expect(outcomeOf(await ask([await bearing({ status })]))).toEqual({ status: 503, code: "facts_unavailable" });
  });

  test.each([
    ["two headers", ["License TOKEN", "License TOKEN"], CONTRADICTORY],
    ["two datasets in two headers", ["License TOKEN", "License OTHER"], CONTRADICTORY],
    ["two tokens in one header", ["License TOKEN, License OTHER"], CONTRADICTORY],
    ["another scheme before it", ["Basic YTpi", "License TOKEN"], CONTRADICTORY],
    ["another scheme after it", ["License TOKEN", "Bearer x"], CONTRADICTORY],
    ["two tokens with a space", ["License TOKEN OTHER"], MALFORMED],
    ["no token", ["License"], MALFORMED],
    ["parameters", ['License token="TOKEN"'], MALFORMED],
    ["the scheme in other letters", ["lIcEnSe   TOKEN"], { status: 200 }],
    ["no JWS", ["License abc"], invalid("jws_malformed")],
    ["four segments", ["License TOKEN.abc"], invalid("jws_malformed")],
    ["padding", ["License TOKEN=="], invalid("jws_malformed")],
    ["a bearer's scheme", ["Bearer TOKEN"], { status: 402, code: "license_required" }],
  ] as const)("with %s", async (_name, values, expected) => {
    const { ask, platform } = await openWorld();
    const [token, other] = [await platform.license(), await platform.license({ dataset_id: "ds_2" })];
    const lines = values.map((value): Line => ["Authorization", value.replace("TOKEN", token).replace("OTHER", other)]);
    expect(outcomeOf(await ask([GPTBOT, ...lines]))).toEqual(expected);
  });

  test("that names two datasets in one token is refused", async () => {
    const { ask, platform } = await openWorld();
    const signer = await platform.signer("platform_license");
    const [header = "", payload = ""] = (await platform.license()).split(".");
    const claims = atob(payload.replaceAll("-", "+").replaceAll("_", "/"));
    const twice = claims.replace('"dataset_id":"ds_1"', '"dataset_id":"ds_2","dataset_id":"ds_1"');
    expect(twice).not.toBe(claims);
    const token = await signJwsInput(`${header}.${encodeBase64url(new TextEncoder().encode(twice))}`, signer);
    expect((await ask([["authorization", `License ${token}`]])).status).toBe(401);
  });

  test("that does not hold is of no use where the work was taken back", async () => {
    const { ask, platform, bearing } = await openWorld();
    await platform.publishList({ [PLACES.item]: STATUS.revoked });
    const line = await bearing({ iat: now() - 1_000, exp: now() - 100 });
    expect(outcomeOf(await ask([GPTBOT, line]))).toEqual({ status: 403, code: "consent_revoked" });
  });
});

describe("a license with a DPoP proof", () => {
  async function openBound() {
    const world = await openWorld();
    const jwk = privateKey("marketplace");
    const signer = await signerOf(jwk);
    const token = await world.platform.license({ cnf: { jkt: signer.kid } });
    const license: Line = ["authorization", `License ${token}`];
    const prove = async (claims: object = {}, header: object = {}): Promise<Line> => {
      const part = (members: object): string => encodeBase64url(new TextEncoder().encode(JSON.stringify(members)));
      const input = [
        part({ typ: "dpop+jwt", alg: signer.alg, jwk: publicJwkOf(jwk), ...header }),
        part({
          jti: crypto.randomUUID(),
          htm: "GET",
          htu: WORK_URL,
          iat: now(),
          ath: encodeBase64url(sha256Bytes(token)),
          ...claims,
        }),
      ].join(".");
      return ["dpop", await signJwsInput(input, signer)];
    };
    return { ...world, license, prove };
  }

  test("of its key is opened once", async () => {
    const { ask, license, prove } = await openBound();
    const proof = await prove();
    expect(outcomeOf(await ask([license, proof]))).toEqual({ status: 200 });
    expect(outcomeOf(await ask([license, proof]))).toEqual({ status: 429, code: "signature_replayed" });
    expect(outcomeOf(await ask([license, await prove()]))).toEqual({ status: 200 });
  });

  test("by a stranger's key uses up nothing, however often it comes", async () => {
    const { ask, platform, prove } = await openBound();
    const bound = await platform.license({ cnf: { jkt: "A".repeat(43) } });
    const proof = await prove({ ath: encodeBase64url(sha256Bytes(bound)) });
    const lines: readonly Line[] = [["authorization", `License ${bound}`], proof];
    for (const _time of [1, 2]) expect(outcomeOf(await ask(lines))).toEqual(invalid("license_key_mismatch"));
  });

  test.each([
    ["for another method", { htm: "POST" }],
    ["for another work", { htu: "https://works.example/songs/2" }],
    ["for another site", { htu: "https://other.example/songs/1" }],
    ["for another license", { ath: encodeBase64url(sha256Bytes("another")) }],
    ["without a license", { ath: undefined }],
    ["of two minutes ago", { iat: now() - 120 }],
    ["from the future", { iat: now() + 120 }],
    ["without jti", { jti: undefined }],
  ])("%s stays closed", async (_name, claims) => {
    const { ask, license, prove } = await openBound();
    expect(outcomeOf(await ask([license, await prove(claims)]))).toEqual(invalid("dpop_proof_invalid"));
  });

  test.each([
    ["of another type", { typ: "jwt" }],
    ["with another algorithm", { alg: "none" }],
    ["with another key than the one that signed", { jwk: publicJwkOf(privateKey("stranger")) }],
    ["with a private key", { jwk: privateKey("marketplace") }],
    ["without a key", { jwk: undefined }],
  ])("%s stays closed", async (_name, header) => {
    const { ask, license, prove } = await openBound();
    expect(outcomeOf(await ask([license, await prove({}, header)]))).toEqual(invalid("dpop_proof_invalid"));
  });

  test("twice, or none, stays closed", async () => {
    const { ask, license, prove } = await openBound();
    expect(outcomeOf(await ask([license, await prove(), await prove()]))).toEqual(invalid("dpop_proof_invalid"));
    expect(outcomeOf(await ask([license]))).toEqual(invalid("license_key_mismatch"));
  });
});
