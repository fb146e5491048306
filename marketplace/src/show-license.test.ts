import { type JsonObject, generatePrivateJwk, signCompactJws, signerOf } from "@licet/protocol";
import { EmbeddedJWK, calculateJwkThumbprint, jwtVerify } from "jose";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Answered, PLATFORM_TOKEN, type Stage, setStage } from "./testing/started-marketplace.ts";

const SITE = "https://works.example";
const WORK = `${SITE}/a/song.mp3`;

let stage: Stage;

beforeEach(async () => {
  stage = await setStage();
  await stage.connect();
});
afterEach(() => stage.end());

/** A license as far as a marketplace reads one. */
async function licenseWith(claims: JsonObject): Promise<string> {
  return signCompactJws("license+jwt", { aud: [SITE], ...claims }, await signerOf(await generatePrivateJwk("EdDSA")));
}

function show(body: JsonObject): Promise<Answered> {
  return stage.call("POST", "/api/v1/license-presentations", { body });
}

async function receiptKid(): Promise<string> {
  const { body } = await stage.call("GET", "/api/v1/connection");
  return JSON.parse(JSON.stringify(body["receipt_key"])).kid;
}

describe("a marketplace's crawler", () => {
  it("is given the headers that show a license, with a proof by the key it is bound to", async () => {
    const kid = await receiptKid();
    const token = await licenseWith({ cnf: { jkt: kid } });
    const shown = await show({ token, url: `${WORK}?t=1` });
    const { headers } = JSON.parse(JSON.stringify(shown.body));
    expect([shown.status, headers.authorization]).toEqual([200, `License ${token}`]);
    const { payload, protectedHeader } = await jwtVerify(headers.dpop, EmbeddedJWK, {
      typ: "dpop+jwt",
      currentDate: new Date(stage.clock.now * 1_000),
    });
    expect(payload).toMatchObject({ htm: "GET", htu: WORK, iat: stage.clock.now });
    expect(await calculateJwkThumbprint(protectedHeader.jwk ?? {})).toBe(kid);
  });

  it("shows a license that is bound to no key without one", async () => {
    const token = await licenseWith({});
    expect((await show({ token, url: WORK })).body).toEqual({ headers: { authorization: `License ${token}` } });
  });

  it("is refused for a license that is another's, for another site, or none", async () => {
    const kid = await receiptKid();
    const mine = { cnf: { jkt: kid } };
    const refused = async (body: JsonObject): Promise<unknown> => {
      const { status, body: problem } = await show(body);
      return [status, problem["code"]];
    };
    expect(await refused({ token: await licenseWith({ cnf: { jkt: "x" } }), url: WORK })).toEqual([
      401,
      "license_key_mismatch",
    ]);
    expect(await refused({ token: await licenseWith({ cnf: "x" }), url: WORK })).toEqual([401, "license_key_mismatch"]);
    const token = await licenseWith(mine);
    expect(await refused({ token, url: "https://elsewhere.example/a" })).toEqual([403, "license_audience_wrong"]);
    expect(await refused({ token: await licenseWith({ ...mine, aud: SITE }), url: WORK })).toEqual([
      403,
      "license_audience_wrong",
    ]);
    expect(await refused({ token: "a.b.c", url: WORK })).toEqual([400, "jws_malformed"]);
    // A proof of our key for a POST could be shown where tokens are made.
    expect(await refused({ token, url: WORK, method: "POST" })).toEqual([422, "input_invalid"]);
    expect(await refused({ token, url: "song.mp3" })).toEqual([422, "input_invalid"]);
  });

  it("asks with the marketplace's own token", async () => {
    const body = { token: await licenseWith({}), url: WORK };
    const path = "/api/v1/license-presentations";
    expect((await stage.call("POST", path, { body, token: undefined })).status).toBe(401);
    expect((await stage.call("POST", path, { body, token: PLATFORM_TOKEN })).status).toBe(403);
  });
});
