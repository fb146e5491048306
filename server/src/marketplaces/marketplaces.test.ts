import { generatePrivateJwk, publicJwkOf, thumbprint } from "@licet/protocol";
import { describe, expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  fetchAccessToken,
  registerMarketplace,
  uniqueId,
} from "../../../test/fixtures/actors.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { MARKETPLACE_SCOPES } from "../http/scopes.ts";

const platform = await startPlatform({ allowedHosts: ["127.0.0.1:4444"] });
const { db } = platform.server.ctx;

const register = (members: object = {}) =>
  platform.operator.post("/api/v1/marketplaces", {
    marketplace_id: uniqueId("mkt_"),
    name: "A marketplace",
    base_url: "https://marketplace.example",
    webhook_url: "https://marketplace.example/webhooks/consent-updated",
    ...members,
  });

describe("a marketplace", () => {
  test("gets all it needs to connect, and the secrets once", async () => {
    const answer = expectStatus(await register({ platform_token: "a-token-of-theirs-for-us" }), 201);
    expect(answer.body).toEqual({
      marketplace_id: expect.stringMatching(/^mkt_/),
      client_id: expect.stringMatching(/^client_/),
      client_secret: expect.stringMatching(/^[A-Za-z0-9_-]{43}$/),
      token_endpoint_auth_method: "client_secret_basic",
      scope: MARKETPLACE_SCOPES.join(" "),
      webhook_endpoint_id: expect.stringMatching(/^whe_/),
      webhook_secret: expect.stringMatching(/^whsec_[A-Za-z0-9+/]{43}=$/),
    });
    expect(answer.headers.get("cache-control")).toBe("no-store");
    const { marketplace_id, client_id, client_secret, scope, webhook_secret } = answer.body;
    const shown = [
      (await platform.operator.get(`/api/v1/marketplaces/${marketplace_id}`)).text,
      (await platform.operator.get("/api/v1/marketplaces?limit=1000")).text,
    ].join("");
    const kept = JSON.stringify(
      [
        await db.selectFrom("oauth_client").selectAll().execute(),
        await db.selectFrom("webhook_endpoint").selectAll().execute(),
        await db.selectFrom("marketplace").selectAll().execute(),
        await db.selectFrom("event_body").select("body").execute(),
      ],
      (_key, value) => (value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : value),
    );
    for (const secret of [
      client_secret,
      webhook_secret,
      webhook_secret.slice("whsec_".length),
      "a-token-of-theirs-for-us",
    ]) {
      expect(shown).not.toContain(secret);
      expect(kept).not.toContain(secret);
    }
    expect(await fetchAccessToken(platform, { clientId: client_id, clientSecret: client_secret, scope })).toMatch(
      /^eyJ/,
    );
  });

  test("has one id in every case, or one of ours", async () => {
    const marketplace_id = uniqueId("Market-");
    expectStatus(await register({ marketplace_id }), 201);
    for (const taken of [marketplace_id, marketplace_id.toLowerCase(), marketplace_id.toUpperCase()])
      expect(await register({ marketplace_id: taken })).toMatchObject({
        status: 409,
        body: { code: "already_exists" },
      });
    expect((await register({ marketplace_id: undefined })).body.marketplace_id).toMatch(/^mkt_[0-9A-HJKMNP-TV-Z]{26}$/);
    const raced = uniqueId("mkt_");
    const answers = await Promise.all(Array.from({ length: 10 }, () => register({ marketplace_id: raced })));
    expect(answers.map((answer) => answer.status).toSorted()).toEqual([201, ...Array.from({ length: 9 }, () => 409)]);
    expect(
      await db.selectFrom("webhook_endpoint").select("endpoint_id").where("marketplace_id", "=", raced).execute(),
    ).toHaveLength(1);
  });

  test.each([
    ["plain http", { base_url: "http://marketplace.example" }],
    ["plain http for webhooks", { webhook_url: "http://marketplace.example/hook" }],
    ["a host that is allowed on another port", { webhook_url: "http://127.0.0.1:4445/hook" }],
    ["metadata", { webhook_url: "https://169.254.169.254/latest/" }],
    ["loopback in decimal", { base_url: "https://2130706433" }],
  ])("does not lead the server to %s", async (_what, members) => {
    expect(await register(members)).toMatchObject({ status: 422, body: { code: "url_forbidden" } });
  });

  test.each([
    ["a user name in the URL", { webhook_url: "https://user:secret@marketplace.example/hook" }],
    ["a file", { webhook_url: "file:///etc/passwd" }],
    ["no URL", { base_url: "marketplace.example" }],
    ["a fragment", { webhook_url: "https://marketplace.example/#hook" }],
    ["backslashes", { webhook_url: "https:\\\\marketplace.example\\hook" }],
    ["a base that ends in a question", { base_url: "https://marketplace.example/?tenant=1" }],
    ["an id that climbs out", { marketplace_id: "../mkt" }],
    ["a scope that is not for marketplaces", { scopes: ["datasets:write"] }],
    ["no scope", { scopes: [] }],
    ["a short token", { platform_token: "short" }],
    ["an empty name", { name: " " }],
    ["a member nobody knows", { colour: "blue" }],
  ])("is refused with %s", async (_what, members) => {
    expect(await register(members)).toMatchObject({
      status: 422,
      body: { code: expect.stringMatching(/^(input_invalid|url_forbidden)$/) },
    });
  });

  test("on an allowed host needs no https, and its base loses a last slash", async () => {
    const { marketplace_id } = expectStatus(
      await register({ base_url: "http://127.0.0.1:4444/", webhook_url: "http://127.0.0.1:4444/hook" }),
      201,
    ).body;
    expect((await platform.operator.get(`/api/v1/marketplaces/${marketplace_id}`)).body.base_url).toBe(
      "http://127.0.0.1:4444",
    );
  });

  test("reads itself and no other, and registers nobody", async () => {
    const [mine, theirs] = [await registerMarketplace(platform), await registerMarketplace(platform)];
    const caller = await mine.call();
    expect(await caller.get(`/api/v1/marketplaces/${mine.marketplaceId}`)).toMatchObject({
      status: 200,
      body: { marketplace_id: mine.marketplaceId, receipt_keys: [{ kid: mine.receiptSigner.kid, alg: "EdDSA" }] },
    });
    for (const other of [theirs.marketplaceId, "mkt_nobody", mine.marketplaceId.toUpperCase()])
      expect(await caller.get(`/api/v1/marketplaces/${other}`)).toMatchObject({
        status: 403,
        body: { code: "not_yours" },
      });
    expect((await caller.get("/api/v1/marketplaces")).status).toBe(403);
    expect((await caller.post("/api/v1/marketplaces", {})).status).toBe(403);
    expect((await caller.post("/api/v1/clients", {})).status).toBe(403);
    expect((await (await enrolCreator(platform)).caller.get(`/api/v1/marketplaces/${mine.marketplaceId}`)).status).toBe(
      403,
    );
  });

  test("cannot ask for more than it was given", async () => {
    const reader = await registerMarketplace(platform, { scopes: ["datasets:read"] });
    const caller = await reader.call();
    expect((await caller.get("/api/v1/datasets")).status).toBe(200);
    expect((await caller.get("/api/v1/usage-receipts")).status).toBe(403);
    expect((await caller.get("/api/v1/webhook-deliveries")).status).toBe(403);
    await expect(
      fetchAccessToken(platform, {
        clientId: reader.clientId,
        clientSecret: reader.clientSecret,
        scope: "datasets:read datasets:write",
      }),
    ).rejects.toThrow(/invalid_scope/);
    await expect(
      fetchAccessToken(platform, {
        clientId: reader.clientId,
        clientSecret: `${reader.clientSecret}x`,
        scope: "datasets:read",
      }),
    ).rejects.toThrow(/invalid_client/);
  });

  test("is listed page by page", async () => {
    const ids: string[] = [];
    for (let after = ""; ;) {
      const { body } = await platform.operator.get(`/api/v1/marketplaces?limit=3${after}`);
      ids.push(...body.marketplaces.map((entry: { marketplace_id: string }) => entry.marketplace_id));
      if (body.next === null) break;
      after = `&after=${body.next}`;
    }
    expect(new Set(ids)).toEqual(
      new Set((await db.selectFrom("marketplace").select("marketplace_id").execute()).map((row) => row.marketplace_id)),
    );
    expect(new Set(ids).size).toBe(ids.length);
  });
});

describe("a receipt key", () => {
  test("is registered by its marketplace or the operator, for one marketplace only", async () => {
    const [mine, theirs] = [await registerMarketplace(platform), await registerMarketplace(platform)];
    const jwk = await generatePrivateJwk("ES256");
    const [caller, stranger] = [await mine.call(), await theirs.call()];
    const path = `/api/v1/marketplaces/${mine.marketplaceId}/receipt-keys`;
    expect(await stranger.post(path, { jwk: publicJwkOf(jwk) })).toMatchObject({
      status: 403,
      body: { code: "not_yours" },
    });
    expect(await caller.post(path, { jwk: publicJwkOf(jwk) })).toMatchObject({
      status: 201,
      body: { kid: thumbprint(jwk), alg: "ES256" },
    });
    expect(await platform.operator.post(path, { jwk: publicJwkOf(jwk) })).toMatchObject({
      status: 409,
      body: { code: "key_exists" },
    });
    expect(
      await stranger.post(`/api/v1/marketplaces/${theirs.marketplaceId}/receipt-keys`, { jwk: publicJwkOf(jwk) }),
    ).toMatchObject({ status: 409 });
    expect(
      await platform.operator.post("/api/v1/marketplaces/mkt_nobody/receipt-keys", {
        jwk: publicJwkOf(await generatePrivateJwk("EdDSA")),
      }),
    ).toMatchObject({ status: 404 });
  });

  test("is a usable public key, or refused", async () => {
    const { marketplaceId } = await registerMarketplace(platform);
    const path = `/api/v1/marketplaces/${marketplaceId}/receipt-keys`;
    const jwk = await generatePrivateJwk("EdDSA");
    for (const wrong of [
      jwk,
      { ...publicJwkOf(jwk), x: "AAAA" },
      { kty: "RSA", n: "AQAB", e: "AQAB" },
      { kty: "oct", k: "c2VjcmV0" },
      { ...publicJwkOf(jwk), crv: "X25519" },
    ]) {
      expect(await platform.operator.post(path, { jwk: wrong })).toMatchObject({
        status: 400,
        body: { code: "key_malformed" },
      });
    }
    expect((await platform.operator.get(`/api/v1/marketplaces/${marketplaceId}`)).body.receipt_keys).toHaveLength(1);
  });
});

describe("a client of the platform", () => {
  test("does what its scopes say, for all creators, and nothing else", async () => {
    const { body } = expectStatus(
      await platform.operator.post("/api/v1/clients", { name: "Backend", scopes: ["creators:write", "datasets:read"] }),
      201,
    );
    const caller = platform.as(
      await fetchAccessToken(platform, {
        clientId: body.client_id,
        clientSecret: body.client_secret,
        scope: body.scope,
      }),
    );
    expect((await caller.post("/api/v1/creators", { creator_id: uniqueId("user:") })).status).toBe(201);
    expect((await caller.get("/api/v1/datasets")).status).toBe(200);
    expect(await caller.get("/api/v1/creators")).toMatchObject({ status: 403, body: { code: "forbidden" } });
    expect((await caller.post("/api/v1/clients", { name: "More", scopes: ["creators:read"] })).status).toBe(403);
    expect((await caller.post("/api/v1/usage-receipts", {})).status).toBe(403);
    expect((await platform.operator.post("/api/v1/clients", { name: "x", scopes: ["receipts:write"] })).status).toBe(
      422,
    );
  });

  test("that is gone is refused at once, though its token lives on", async () => {
    const { body } = expectStatus(
      await platform.operator.post("/api/v1/clients", { name: "Short-lived", scopes: ["datasets:read"] }),
      201,
    );
    const caller = platform.as(
      await fetchAccessToken(platform, {
        clientId: body.client_id,
        clientSecret: body.client_secret,
        scope: body.scope,
      }),
    );
    expect((await caller.get("/api/v1/datasets")).status).toBe(200);
    await db.deleteFrom("oauth_client").where("client_id", "=", body.client_id).execute();
    expect(await caller.get("/api/v1/datasets")).toMatchObject({ status: 401, body: { code: "token_invalid" } });
  });
});
