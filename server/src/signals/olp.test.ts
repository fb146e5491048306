import { sha256Hex, verifyLicenseToken } from "@licet/protocol";
import { describe, expect, test } from "vitest";
import {
  type RegisteredMarketplace,
  enrolCreator,
  expectStatus,
  giveConsent,
  offerDataset,
  publishDataset,
  registerMarketplace,
  registerWork,
  uniqueId,
} from "../../../test/fixtures/actors.ts";
import { checkPlatform } from "../../../test/fixtures/check-platform.ts";
import { readKeys } from "../../../test/fixtures/datasets.ts";
import { acceptAgreement, setPolicy } from "../../../test/fixtures/licenses.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { obtainToken, postOlp, readRsl, rewrite, ruleFor } from "../../../test/fixtures/rsl-client.ts";
import { renderDueSignals } from "./render-due.ts";

const platform = await startPlatform();
const { ctx } = platform.server;
const now = (): number => Math.floor(platform.clock.nowMs() / 1_000);
const marketplace = await party();

/** A marketplace that has accepted the agreement. */
async function party(): Promise<RegisteredMarketplace> {
  const registered = await registerMarketplace(platform);
  expectStatus(await acceptAgreement(platform, registered), 201);
  return registered;
}

/** A dataset of one text, offered to marketplaces, and its RSL document. */
async function offered(
  members: Record<string, unknown> = {},
  { to = [marketplace], scope = ["training", "inference", "commercial"], mode = "automatic" } = {},
) {
  const creator = await enrolCreator(platform);
  const url = `https://works.example/${uniqueId("song-")}?take=*&mix="1"`;
  const work = await registerWork(platform, creator.creatorId, { canonical_url: url });
  const consent = await giveConsent(creator, { scope });
  const input = { pricing: { model_use: "per-item:0.25" }, scope, ...members };
  const { dataset_id: datasetId } = await publishDataset(platform, [work], input);
  for (const each of to) await offerDataset(platform, datasetId, each);
  expectStatus(await setPolicy(platform, datasetId, { mode }), 200);
  await renderDueSignals(ctx, new AbortController().signal);
  const { text: xml } = expectStatus(await platform.anonymous.get(`/rsl/datasets/${datasetId}.xml`), 200);
  return { creator, consent, datasetId: String(datasetId), url, xml };
}

async function claimsOf(token: string) {
  const verified = await verifyLicenseToken(token, { keys: await readKeys(platform), now: now() });
  if (!verified.ok) throw new Error(`${verified.refusal.code}: ${verified.refusal.detail}`);
  return verified.value.claims;
}

describe("a client that knows RSL and nothing of us", () => {
  test("gets a license of ours for a model without a name, as a plain bearer token", async () => {
    const { xml, url, datasetId } = await offered();
    const answer = expectStatus(await obtainToken(xml, url, marketplace), 200);
    expect(answer.headers.get("cache-control")).toBe("no-store");
    expect(answer.body).toMatchObject({ token_type: "License", dataset_id: datasetId });
    // A second may have passed since it was signed.
    expect([899, 900]).toContain(answer.body.expires_in);
    const claims = await claimsOf(answer.body.access_token);
    expect(claims).toMatchObject({
      sub: marketplace.marketplaceId,
      aud: ["https://works.example"],
      jti: answer.body.license_id,
      dataset_id: datasetId,
      scope: ["commercial", "inference", "training"],
      model: { model_id: `rsl/${marketplace.clientId}`, fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/) },
    });
    expect(claims.cnf).toBeUndefined();
    const { body } = await (await marketplace.call()).get(`/api/v1/licenses/${answer.body.license_id}`);
    expect(body).toMatchObject({ state: "active", price: "per-item:0.25" });
    const again = expectStatus(await obtainToken(xml, url, marketplace), 200);
    expect(again.body.license_id).toBe(answer.body.license_id);
  });

  test("may build the license anew, speak the drafts' grant, send JSON, and name the work by its own address", async () => {
    const { xml, url } = await offered();
    const license = readRsl(xml)[0]?.license ?? "";
    const built = rewrite(license);
    expect(built).not.toBe(license);
    const first = expectStatus(await obtainToken(xml, url, marketplace, { license: built, grant_type: "rsl" }), 200);
    const credentials = Buffer.from(`${marketplace.clientId}:${marketplace.clientSecret}`).toString("base64");
    const { body } = expectStatus(
      await platform.anonymous.post(
        "/olp/token",
        { grant_type: "client_credentials", license_type: "application/rsl+xml", license, resource: url },
        { authorization: `Basic ${credentials}` },
      ),
      200,
    );
    expect(body.license_id).toBe(first.body.license_id);
  });

  test("finds the same license in the catalogue, at the host of the works, and from robots.txt on", async () => {
    const { url, xml } = await offered();
    const own = ruleFor(readRsl(xml), url);
    for (const path of ["/rsl/catalogue.xml", "/rights/works.example/license.xml"]) {
      const { text } = expectStatus(await platform.anonymous.get(path), 200);
      expect(ruleFor(readRsl(text), url)).toEqual(own);
    }
    const robots = await platform.anonymous.get("/rights/works.example/robots.txt");
    expect(robots.text).toContain(`License: ${platform.origin}/rights/works.example/license.xml`);
  });

  test("may ask for less than is offered, and gets that", async () => {
    const { xml, url } = await offered();
    const license = readRsl(xml)[0]?.license.replace("ai-train ai-input", "ai-input") ?? "";
    const { body } = expectStatus(await obtainToken(xml, url, marketplace, { license }), 200);
    expect((await claimsOf(body.access_token)).scope).toEqual(["commercial", "inference"]);
    const forbidden = license.replace("</license>", '<prohibits type="usage">ai-input</prohibits></license>');
    expect(await obtainToken(xml, url, marketplace, { license: forbidden })).toMatchObject({
      status: 400,
      body: { error: "invalid_license" },
    });
  });

  test("may name its model", async () => {
    const { xml, url } = await offered();
    const model_id = uniqueId("model-");
    const named = { model_id, model_fingerprint: sha256Hex(model_id), base_fingerprint: sha256Hex("base") };
    const { body } = expectStatus(await obtainToken(xml, url, marketplace, named), 200);
    expect((await claimsOf(body.access_token)).model).toEqual({
      model_id,
      fingerprint: named.model_fingerprint,
      base_fingerprint: named.base_fingerprint,
    });
    const half = await obtainToken(xml, url, marketplace, { model_id });
    expect(half).toMatchObject({ status: 400, body: { error: "invalid_request" } });
    expect(half.body.error_description).toContain("model.fingerprint");
  });

  test("waits where a person decides, and gets its token then", async () => {
    const { xml, url } = await offered({}, { mode: "manual" });
    const waiting = await obtainToken(xml, url, marketplace);
    expect(waiting).toMatchObject({ status: 400, body: { error: "authorization_pending", interval: 60 } });
    const again = await obtainToken(xml, url, marketplace);
    expect(again.body.request_id).toBe(waiting.body.request_id);
    expectStatus(await platform.operator.post(`/api/v1/license-requests/${waiting.body.request_id}/approve`, {}), 200);
    expect(expectStatus(await obtainToken(xml, url, marketplace), 200).body.token_type).toBe("License");
  });

  test("is in the interaction log with its token", async () => {
    const { xml, url } = await offered();
    expectStatus(await obtainToken(xml, url, marketplace), 200);
    await expect
      .poll(async () => (await platform.operator.get("/api/v1/interactions?limit=1000")).body.interactions)
      .toContainEqual(
        expect.objectContaining({
          route: "/olp/token",
          caller: {
            kind: "marketplace",
            client_id: marketplace.clientId,
            marketplace_id: marketplace.marketplaceId,
          },
        }),
      );
  });
});

describe("no token is to be had", () => {
  const form = { grant_type: "client_credentials", license: "<license/>", resource: "https://works.example/1" };
  const token = `${platform.origin}/olp/token`;

  test("without credentials, with wrong ones, with two, and for a client that is suspended", async () => {
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    const body = new URLSearchParams(form).toString();
    const none = await platform.anonymous.send("POST", "/olp/token", { body, headers });
    expect(none).toMatchObject({ status: 400, body: { error: "invalid_request" } });
    const wrong = await postOlp(token, { ...marketplace, clientSecret: "wrong" }, form);
    expect(wrong).toMatchObject({ status: 401, body: { error: "invalid_client" } });
    const unknown = await postOlp(token, { clientId: "client_unknown", clientSecret: "x" }, form);
    expect(unknown).toMatchObject({ status: 401, body: { error: "invalid_client" } });
    const other = await party();
    expectStatus(await platform.operator.post(`/api/v1/clients/${other.clientId}/suspend`), 200);
    expect(await postOlp(token, other, form)).toMatchObject({ status: 401, body: { error: "invalid_client" } });
  });

  test("by another grant, nor OLP's own ones where OAuth's tokens are", async () => {
    for (const grant_type of ["password", "urn:licet:olp:token", "urn:licet:olp:introspect"])
      expect(await postOlp(token, marketplace, { ...form, grant_type })).toMatchObject({
        status: 400,
        body: { error: "unsupported_grant_type" },
      });
    const { grant_type: _grant, ...without } = form;
    expect(await postOlp(token, marketplace, without)).toMatchObject({
      status: 400,
      body: { error: "invalid_request" },
    });
    for (const grant_type of ["urn:licet:olp:token", "urn:licet:olp:introspect", "rsl"])
      expect(await postOlp(`${platform.origin}/oauth/token`, marketplace, { ...form, grant_type })).toMatchObject({
        status: 400,
        body: { error: "unsupported_grant_type" },
      });
    const { body } = await platform.anonymous.get("/.well-known/oauth-authorization-server/oauth");
    expect(JSON.stringify(body)).not.toContain("urn:licet:olp");
  });

  test("with a body that is too long, or none that can be read", async () => {
    expect(await postOlp(token, marketplace, { ...form, license: "x".repeat(60_000) })).toMatchObject({
      status: 400,
      body: { error: "invalid_request" },
    });
    for (const body of ['{"license": 1}', "[]", "{"])
      expect(await platform.anonymous.post("/olp/token", body)).toMatchObject({
        status: 400,
        body: { error: "invalid_request" },
      });
    expect(await platform.anonymous.get("/olp/token")).toMatchObject({ status: 405 });
    expect(await platform.anonymous.get("/olp/other")).toMatchObject({ status: 404 });
  });

  test("for another price, another use, another user, and what is no license of ours", async () => {
    const { xml, url } = await offered();
    const license = readRsl(xml)[0]?.license ?? "";
    const changes: readonly [RegExp, string][] = [
      [/0\.25/, "0.0025"],
      [/USD/, "EUR"],
      [/<amount.*<\/amount>/, ""],
      [/type="training"/, 'type="free"'],
      [/<payment.*<\/payment>/, ""],
      [/ai-train ai-input/, "ai-train ai-index"],
      [/ai-train ai-input/, "all"],
      [/<permits type="usage">.*?<\/permits>/, ""],
      [/commercial non-commercial/, "government"],
      [/<legal.*<\/legal>/, ""],
      [/manifest\.json/, "manifest.json https://elsewhere.example/proof"],
      [/http:\/\/127[^/]+/g, "https://elsewhere.example"],
      [/<\/license>/, ""],
      [/<license>/, "<!DOCTYPE license><license>"],
    ];
    for (const [from, into] of changes) {
      const changed = license.replaceAll(new RegExp(from, "g"), into);
      expect(changed).not.toBe(license);
      expect([into, await obtainToken(xml, url, marketplace, { license: changed })]).toMatchObject([
        into,
        { status: 400, body: { error: "invalid_license" } },
      ]);
    }
    expect(await obtainToken(xml, url, marketplace, { license_type: "text/plain" })).toMatchObject({
      status: 400,
      body: { error: "invalid_request" },
    });
  });

  test("for a resource that is none of the dataset's works, and for one that was taken back", async () => {
    const { xml, url, creator, consent } = await offered();
    for (const resource of ["https://works.example/", "https://works.example/*", `${url}1`, "/", "nothing"])
      expect(await obtainToken(xml, url, marketplace, { resource })).toMatchObject({
        status: 400,
        body: { error: "invalid_resource" },
      });
    expectStatus(await creator.caller.post(`/api/v1/consents/${consent.jti}/revoke`, {}), 200);
    const gone = await obtainToken(xml, url, marketplace);
    expect(gone).toMatchObject({ status: 400, body: { error: "invalid_resource" } });
  });

  test("for a dataset that was not offered, without the agreement, and for a platform's client", async () => {
    const { xml, url } = await offered({}, { to: [] });
    const denied = { status: 403, body: { error: "unauthorized_client" } };
    expect(await obtainToken(xml, url, marketplace)).toMatchObject(denied);
    const stranger = await registerMarketplace(platform);
    const theirs = await offered({}, { to: [stranger] });
    const unaccepted = await obtainToken(theirs.xml, theirs.url, stranger);
    expect(unaccepted).toMatchObject(denied);
    expect(unaccepted.body.error_description).toContain("agreement_not_accepted");
    const reader = await registerMarketplace(platform, { scopes: ["datasets:read"] });
    expect(await obtainToken(xml, url, reader)).toMatchObject(denied);
    const { body } = await platform.operator.post("/api/v1/clients", { name: "B", scopes: ["licenses:read"] });
    const backend = { clientId: body.client_id, clientSecret: body.client_secret };
    expect(await obtainToken(xml, url, backend)).toMatchObject(denied);
  });
});

describe("introspection", () => {
  const introspect = `${platform.origin}/olp/introspect`;

  test("says what a token opens, to whose it is and to the platform, and nothing to others", async () => {
    const { xml, url, datasetId } = await offered();
    const { body: granted } = expectStatus(await obtainToken(xml, url, marketplace), 200);
    const { access_token: token } = granted;
    const { body } = expectStatus(await postOlp(introspect, marketplace, { token }), 200);
    expect(body).toMatchObject({
      active: true,
      token_type: "License",
      scope: "commercial inference training",
      sub: marketplace.marketplaceId,
      dataset_id: datasetId,
      jti: granted.license_id,
    });
    const created = await platform.operator.post("/api/v1/clients", { name: "Edge", scopes: ["licenses:read"] });
    const edge = { clientId: created.body.client_id, clientSecret: created.body.client_secret };
    const isActive = async (members: Record<string, string>, by: typeof edge = edge) =>
      expectStatus(await postOlp(introspect, by, { token, ...members }), 200).body.active;
    expect(await isActive({})).toBe(true);
    expect(await isActive({ resource: url })).toBe(true);
    expect(await isActive({ resource: "https://works.example/other" })).toBe(false);
    expect(await isActive({ token: `${token.slice(0, -4)}AAAA` })).toBe(false);
    expect(await isActive({ token: "opaque" })).toBe(false);
    expect(await isActive({}, await party())).toBe(false);
    expectStatus(
      await (await marketplace.call()).post(`/api/v1/licenses/${granted.license_id}/revoke`, { reason: "done" }),
      200,
    );
    expect(await isActive({})).toBe(false);
  });

  test("sees a revocation at once", async () => {
    const { xml, url, creator, consent } = await offered();
    const { body } = expectStatus(await obtainToken(xml, url, marketplace), 200);
    expectStatus(await creator.caller.post(`/api/v1/consents/${consent.jti}/revoke`, {}), 200);
    expect((await postOlp(introspect, marketplace, { token: body.access_token })).body).toEqual({ active: false });
  });

  test("needs a client and a token, and there is no key to be had", async () => {
    expect(await postOlp(introspect, { ...marketplace, clientSecret: "wrong" }, { token: "x" })).toMatchObject({
      status: 401,
      body: { error: "invalid_client" },
    });
    expect(await postOlp(introspect, marketplace, {})).toMatchObject({
      status: 400,
      body: { error: "invalid_request" },
    });
    expect(await postOlp(`${platform.origin}/olp/key`, marketplace, { token: "x" })).toMatchObject({
      status: 400,
      body: { error: "invalid_resource" },
    });
  });
});

test("all promises hold", async () => {
  await checkPlatform({ ...platform, now });
});
