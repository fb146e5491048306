import {
  type JsonObject,
  type PrivateJwk,
  type Signer,
  generatePrivateJwk,
  signCompactJws,
  signerOf,
} from "@licet/protocol";
import { createRemoteJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify } from "jose";
import { createHmac } from "node:crypto";
import { describe, expect, test } from "vitest";
import { expectStatus, fetchAccessToken, registerMarketplace } from "../../../../test/fixtures/actors.ts";
import type { Answer } from "../../../../test/fixtures/caller.ts";
import { startPlatform } from "../../../../test/fixtures/platform.ts";
import { PLATFORM_SCOPES } from "../scopes.ts";

const platform = await startPlatform();
const { ctx } = platform.server;

interface Client {
  readonly client_id: string;
  readonly client_secret: string;
  readonly scope: string;
}

async function newClient(scopes: readonly string[] = ["content:read", "creators:read"]): Promise<Client> {
  return expectStatus(await platform.operator.post("/api/v1/clients", { name: "Backend", scopes }), 201).body;
}

const backend = await newClient();

async function askForToken(
  { client_id, client_secret }: Pick<Client, "client_id" | "client_secret">,
  members: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const body = new URLSearchParams({ grant_type: "client_credentials", ...members }).toString();
  const authorization = `Basic ${Buffer.from(`${client_id}:${client_secret}`).toString("base64")}`;
  return platform.anonymous.send("POST", "/oauth/token", {
    body,
    headers: { authorization, "content-type": "application/x-www-form-urlencoded" },
  });
}

describe("the metadata (RFC 8414)", () => {
  test("tells where tokens come from, and offers nothing else", async () => {
    const { status, body } = await platform.anonymous.get("/.well-known/oauth-authorization-server/oauth");
    expect({ status, body }).toMatchObject({
      status: 200,
      body: {
        issuer: `${platform.origin}/oauth`,
        token_endpoint: `${platform.origin}/oauth/token`,
        jwks_uri: `${platform.origin}/oauth/jwks`,
        grant_types_supported: ["client_credentials"],
        token_endpoint_auth_methods_supported: ["client_secret_basic", "private_key_jwt"],
      },
    });
    for (const absent of [
      "authorization_endpoint",
      "mtls_endpoint_aliases",
      "registration_endpoint",
      "userinfo_endpoint",
      "introspection_endpoint",
      "device_authorization_endpoint",
      "end_session_endpoint",
    ])
      expect(body[absent]).toBeUndefined();
  });

  test("names keys without private members, which are not the keys of the documents", async () => {
    const { keys } = (await platform.anonymous.get("/oauth/jwks")).body;
    expect(keys.length).toBe(1);
    expect(Object.keys(keys[0]).sort()).toEqual(["alg", "crv", "kid", "kty", "use", "x"]);
    const documents = (await platform.anonymous.get("/.well-known/keys.json")).body.keys;
    expect(documents.map((key: { kid: string }) => key.kid)).not.toContain(keys[0].kid);
  });
});

describe("an access token", () => {
  test("is an at+jwt for this API of at most five minutes, with the scopes that were asked for", async () => {
    const answer = await askForToken(backend, { scope: "content:read" });
    expect(answer).toMatchObject({ status: 200, body: { token_type: "Bearer", scope: "content:read" } });
    expect(answer.body.expires_in).toBeLessThanOrEqual(300);
    expect(answer.headers.get("cache-control")).toContain("no-store");
    const keys = createRemoteJWKSet(new URL(`${platform.origin}/oauth/jwks`));
    const { payload, protectedHeader } = await jwtVerify(answer.body.access_token, keys, {
      typ: "at+jwt",
      issuer: `${platform.origin}/oauth`,
      audience: platform.origin,
    });
    expect(protectedHeader.alg).toBe("EdDSA");
    expect(payload).toMatchObject({ client_id: backend.client_id, scope: "content:read" });
    expect((payload.exp ?? Infinity) - (payload.iat ?? 0)).toBeLessThanOrEqual(300);
  });

  test("without a scope asked for carries none, and opens nothing", async () => {
    const { body } = expectStatus(await askForToken(backend), 200);
    expect(decodeJwt(body.access_token)["scope"]).toBeUndefined();
    for (const path of ["/api/v1/content", "/api/v1/creators", "/api/v1/datasets"]) {
      expect(await platform.as(body.access_token).get(path)).toMatchObject({
        status: 403,
        body: { code: "forbidden" },
      });
    }
  });

  test.each([
    "everything",
    "datasets:write",
    "content:read datasets:write",
    "receipts:write",
    "content:READ",
    "operator",
    "openid",
  ])("is not given for the scope %s", async (scope) => {
    expect(await askForToken(backend, { scope })).toMatchObject({ status: 400, body: { error: "invalid_scope" } });
  });

  test("is not given to a marketplace with the platform's scopes", async () => {
    const marketplace = await registerMarketplace(platform, { scopes: ["datasets:read"] });
    const credentials = { client_id: marketplace.clientId, client_secret: marketplace.clientSecret };
    for (const scope of ["content:read", "consents:write", "receipts:write"])
      expect((await askForToken(credentials, { scope })).body.error).toBe("invalid_scope");
    expectStatus(await askForToken(credentials, { scope: "datasets:read" }), 200);
  });

  test("is not given for another API", async () => {
    expect(await askForToken(backend, { scope: "content:read", resource: "https://elsewhere.example" })).toMatchObject({
      status: 400,
      body: { error: "invalid_target" },
    });
  });

  test.each([
    "authorization_code",
    "password",
    "refresh_token",
    "implicit",
    "urn:ietf:params:oauth:grant-type:jwt-bearer",
    "",
  ])("is not given for the grant %j", async (grant_type) => {
    expect((await askForToken(backend, { grant_type })).status).toBe(400);
  });
});

describe("a client", () => {
  test("with a wrong secret, an empty one, or unknown, gets 401", async () => {
    for (const wrong of [
      { client_secret: "wrong" },
      { client_secret: "" },
      { client_secret: `${backend.client_secret}x` },
      { client_id: "nobody" },
      { client_id: backend.client_id.toLowerCase() },
    ]) {
      const answer = await askForToken({ ...backend, ...wrong }, { scope: "content:read" });
      expect(answer.status).toBe(wrong.client_secret === "" ? 400 : 401);
      expect(answer.body.access_token).toBeUndefined();
      expect(answer.text).not.toContain(backend.client_secret);
    }
  });

  test("that sends its secret in the body, or no credentials, gets none", async () => {
    const form = { "content-type": "application/x-www-form-urlencoded" };
    const inBody = new URLSearchParams({
      grant_type: "client_credentials",
      client_id: backend.client_id,
      client_secret: backend.client_secret,
      scope: "content:read",
    }).toString();
    for (const body of [inBody, "grant_type=client_credentials"]) {
      const answer = await platform.anonymous.send("POST", "/oauth/token", { body, headers: form });
      expect([400, 401]).toContain(answer.status);
      expect(answer.body.access_token).toBeUndefined();
    }
  });

  test("has a secret of 256 bits that is shown once", async () => {
    const answer = await platform.operator.post("/api/v1/clients", { name: "Backend", scopes: ["content:read"] });
    expect(Buffer.from(answer.body.client_secret, "base64url").length).toBe(32);
    expect(answer.headers.get("cache-control")).toBe("no-store");
  });

  test.each([
    ["scopes of marketplaces", ["webhooks:read"]],
    ["scopes nobody knows", ["all"]],
    ["no scope", []],
  ])("is not made with %s", async (_what, scopes) => {
    expect(await platform.operator.post("/api/v1/clients", { name: "Backend", scopes })).toMatchObject({
      status: 422,
      body: { code: "input_invalid" },
    });
  });

  test("that loses a scope, or is removed, loses it in the tokens it has", async () => {
    const client = await newClient(PLATFORM_SCOPES);
    const token = await fetchAccessToken(platform, {
      clientId: client.client_id,
      clientSecret: client.client_secret,
      scope: "content:read creators:read",
    });
    const caller = platform.as(token);
    expectStatus(await caller.get("/api/v1/content"), 200);
    await ctx.db
      .updateTable("oauth_client")
      .set({ scope: "creators:read" })
      .where("client_id", "=", client.client_id)
      .execute();
    expect((await caller.get("/api/v1/content")).body.code).toBe("forbidden");
    expectStatus(await caller.get("/api/v1/creators"), 200);
    await ctx.db.deleteFrom("oauth_client").where("client_id", "=", client.client_id).execute();
    expect(await caller.get("/api/v1/creators")).toMatchObject({ status: 401, body: { code: "token_invalid" } });
  });
});

describe("no door is opened by", () => {
  interface Forgery {
    readonly typ?: string;
    readonly claims?: JsonObject;
    readonly signer?: Signer;
  }

  /** Signed with the OAuth server's own key unless told otherwise, so that each check is reached. */
  async function forge({ typ = "at+jwt", claims = {}, signer }: Forgery): Promise<string> {
    const now = Math.floor(platform.clock.nowMs() / 1_000);
    const honest = {
      iss: `${platform.origin}/oauth`,
      aud: platform.origin,
      client_id: backend.client_id,
      sub: backend.client_id,
      scope: "content:read",
      iat: now,
      exp: now + 300,
      jti: "x",
    };
    const present = Object.fromEntries(Object.entries({ ...honest, ...claims }).filter(([, value]) => value !== null));
    return signCompactJws(typ, present, signer ?? (await oauthSigner()));
  }

  async function oauthSigner(): Promise<Signer> {
    const { kid, sealed_jwk } = await ctx.db.selectFrom("oauth_key").selectAll().executeTakeFirstOrThrow();
    const jwk: PrivateJwk = JSON.parse(ctx.sealer.open(`oauth_key/${kid}`, sealed_jwk));
    return signerOf(jwk);
  }

  test("nothing but an honest token, which does", async () => {
    expectStatus(await platform.as(await forge({})).get("/api/v1/content"), 200);
  });

  const now = Math.floor(platform.clock.nowMs() / 1_000);
  test.each<[what: string, forgery: Forgery]>([
    ["a token of another type", { typ: "JWT" }],
    ["an ID token's type", { typ: "id_token+jwt" }],
    ["a token for another audience", { claims: { aud: "https://elsewhere.example" } }],
    ["a token without audience", { claims: { aud: null } }],
    ["a token of another issuer", { claims: { iss: "https://elsewhere.example/oauth" } }],
    ["the origin itself as issuer", { claims: { iss: platform.origin } }],
    ["an expired token", { claims: { iat: now - 600, exp: now - 300 } }],
    ["a token that never expires", { claims: { exp: null } }],
    ["a token that is not valid yet", { claims: { nbf: now + 600 } }],
    ["a token of a client that does not exist", { claims: { client_id: "client_nobody" } }],
    ["a token without client", { claims: { client_id: null } }],
    ["a token whose client is no text", { claims: { client_id: ["a"] } }],
  ])("%s", async (_what, forgery) => {
    expect(await platform.as(await forge(forgery)).get("/api/v1/content")).toMatchObject({
      status: 401,
      body: { code: "token_invalid" },
    });
  });

  test("scopes the client was never given, however well the token is signed", async () => {
    const token = await forge({ claims: { scope: "datasets:write operator" } });
    expect((await platform.as(token).post("/api/v1/datasets", {})).body.code).toBe("forbidden");
    expect(
      (await platform.as(await forge({ claims: { scope: ["content:read"] } })).get("/api/v1/content")).body.code,
    ).toBe("forbidden");
  });

  test("another key under the same kid, the documents' key, alg none, or HMAC with the public key", async () => {
    const { kid } = await oauthSigner();
    const other = await signerOf(await generatePrivateJwk("EdDSA"));
    const honest = await forge({});
    const [, payload] = honest.split(".");
    const { keys } = (await platform.anonymous.get("/oauth/jwks")).body;
    const hmacInput = `${segment({ alg: "HS256", typ: "at+jwt", kid })}.${payload}`;
    const tokens = [
      await forge({ signer: { ...other, kid } }),
      await forge({ signer: other }),
      await forge({ signer: ctx.signingKeys.signerFor("document") }),
      await forge({ signer: ctx.signingKeys.signerFor("consent") }),
      `${segment({ alg: "none", typ: "at+jwt" })}.${payload}.`,
      `${segment({ alg: "none", typ: "at+jwt", kid })}.${payload}.${honest.split(".")[2]}`,
      `${hmacInput}.${createHmac("sha256", keys[0].x).update(hmacInput).digest("base64url")}`,
      `${segment({ ...decodeProtectedHeader(honest), jwk: keys[0] })}.${payload}.${honest.split(".")[2]}`,
    ];
    for (const token of tokens)
      expect(await platform.as(token).get("/api/v1/content")).toMatchObject({
        status: 401,
        body: { code: "token_invalid" },
      });
  });
});

function segment(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

describe("the OAuth server", () => {
  test.each([
    "GET /oauth/token",
    "GET /oauth/auth?client_id=x&response_type=code",
    "POST /oauth/reg",
    "POST /oauth/token/introspection",
    "POST /oauth/token/revocation",
    "GET /oauth/me",
    "POST /oauth/device/auth",
    "GET /oauth/..%2f",
    "GET /oauth/",
  ])("has nothing at %s", async (route) => {
    const [method = "", path = ""] = route.split(" ");
    const answer = await platform.anonymous.send(method, path);
    expect([400, 404, 405]).toContain(answer.status);
    expect(answer.text).not.toMatch(/at .*\.(js|ts):\d+/);
  });

  test("refuses a body that is no form, or over its limit", async () => {
    const authorization = `Basic ${Buffer.from(`${backend.client_id}:${backend.client_secret}`).toString("base64")}`;
    const json = await platform.anonymous.send("POST", "/oauth/token", {
      body: "{}",
      headers: { authorization, "content-type": "application/json" },
    });
    expect(json.status).toBe(400);
    const long = await askForToken(backend, { scope: "content:read", padding: "a".repeat(200_000) });
    expect([400, 413]).toContain(long.status);
  });
});
