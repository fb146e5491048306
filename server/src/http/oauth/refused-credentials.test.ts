import { SignJWT, type JWTPayload, exportJWK, generateKeyPair, type CryptoKey } from "jose";
import { createHash, randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { expectStatus } from "../../../../test/fixtures/actors.ts";
import type { Answer } from "../../../../test/fixtures/caller.ts";
import { startPlatform } from "../../../../test/fixtures/platform.ts";

const platform = await startPlatform();
const SCOPE = "content:read";
const API = "/api/v1/content";

interface Keys {
  readonly publicKey: CryptoKey;
  readonly privateKey: CryptoKey;
}
const keys: Keys = await generateKeyPair("ES256", { extractable: true });
const strangers: Keys = await generateKeyPair("ES256", { extractable: true });
const publicJwk = await exportJWK(keys.publicKey);

async function register(members: object = {}): Promise<{ readonly client_id: string; readonly client_secret: string }> {
  const input = { name: "Client", scopes: [SCOPE], ...members };
  return expectStatus(await platform.operator.post("/api/v1/clients", input), 201).body;
}

async function postForm(members: Record<string, string>, headers: Record<string, string> = {}): Promise<Answer> {
  return platform.anonymous.send("POST", "/oauth/token", {
    body: new URLSearchParams({ grant_type: "client_credentials", scope: SCOPE, ...members }).toString(),
    headers: { "content-type": "application/x-www-form-urlencoded", ...headers },
  });
}

function now(): number {
  return Math.floor(platform.clock.nowMs() / 1_000);
}

describe("a client assertion", async () => {
  const { client_id } = await register({
    token_endpoint_auth_method: "private_key_jwt",
    jwks: { keys: [{ ...publicJwk, kid: "k" }] },
  });

  interface Assertion {
    readonly claims?: JWTPayload;
    readonly header?: Record<string, unknown>;
    readonly key?: CryptoKey | Uint8Array;
  }

  async function assertion({ claims = {}, header = {}, key = keys.privateKey }: Assertion = {}): Promise<string> {
    const honest = {
      iss: client_id,
      sub: client_id,
      aud: `${platform.origin}/oauth`,
      jti: randomUUID(),
      iat: now(),
      exp: now() + 60,
    };
    return new SignJWT({ ...honest, ...claims }).setProtectedHeader({ alg: "ES256", kid: "k", ...header }).sign(key);
  }

  async function present(client_assertion: string, members: Record<string, string> = {}): Promise<Answer> {
    return postForm({
      client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
      client_assertion,
      ...members,
    });
  }

  test("that is honest is taken once, and refused when it comes again, also at the same moment", async () => {
    const once = await assertion();
    expectStatus(await present(once), 200);
    expect((await present(once)).status).toBeGreaterThanOrEqual(400);
    const raced = await assertion();
    const answers = await Promise.all(Array.from({ length: 6 }, () => present(raced)));
    expect(answers.filter(({ status }) => status === 200).length).toBe(1);
    expect(answers.filter(({ status }) => status >= 500)).toEqual([]);
  });

  test.each<[what: string, make: () => Promise<string>]>([
    ["for another audience", () => assertion({ claims: { aud: "https://elsewhere.example/oauth/token" } })],
    ["without audience", () => assertion({ claims: { aud: "" } })],
    ["of another issuer", () => assertion({ claims: { iss: "https://elsewhere.example" } })],
    ["about another client", () => assertion({ claims: { sub: "client_nobody" } })],
    ["that has expired", () => assertion({ claims: { iat: now() - 600, exp: now() - 300 } })],
    ["that lives for a day", () => assertion({ claims: { exp: now() + 86_400 } })],
    ["without jti", () => assertion({ claims: { jti: "" } })],
    ["that is not valid yet", () => assertion({ claims: { nbf: now() + 600 } })],
    ["by a key that is not registered", () => assertion({ key: strangers.privateKey })],
    [
      "by a key that it brings along",
      async () => assertion({ key: strangers.privateKey, header: { jwk: await exportJWK(strangers.publicKey) } }),
    ],
    [
      "by a key that it says where to fetch",
      () => assertion({ key: strangers.privateKey, header: { jku: "https://elsewhere.example/jwks", kid: "other" } }),
    ],
    ["with an extension nobody knows", () => assertion({ header: { crit: ["x"], x: 1 } })],
    [
      "by HMAC with the public key",
      async () => assertion({ header: { alg: "HS256" }, key: new TextEncoder().encode(JSON.stringify(publicJwk)) }),
    ],
    [
      "by HMAC with the client's name",
      async () => assertion({ header: { alg: "HS256" }, key: new TextEncoder().encode(client_id.padEnd(32, "0")) }),
    ],
    [
      "without signature",
      async () => {
        const [, payload] = (await assertion()).split(".");
        return `${Buffer.from('{"alg":"none"}').toString("base64url")}.${payload}.`;
      },
    ],
    ["whose signature was cut", async () => (await assertion()).slice(0, -4)],
    ["that is no JWT", async () => "a.b.c"],
    ["that is empty", async () => "."],
  ])("%s is refused", async (_what, make) => {
    const answer = await present(await make().catch(() => "a.b.c"));
    expect([400, 401]).toContain(answer.status);
    expect(answer.body.access_token).toBeUndefined();
  });

  test("beside a secret, or of a client that has one, is refused", async () => {
    const basic = `Basic ${Buffer.from(`${client_id}:secret`).toString("base64")}`;
    const both = await postForm({ client_assertion: await assertion() }, { authorization: basic });
    expect(both.status).toBe(400);
    const bySecret = await register();
    const claims = { iss: bySecret.client_id, sub: bySecret.client_id };
    expect((await present(await assertion({ claims }))).status).toBe(401);
    expect((await postForm({}, { authorization: basic })).status).toBe(401);
    expect((await postForm({ client_id })).status).toBe(401);
  });
});

describe("a DPoP proof at the API", async () => {
  const { client_id, client_secret } = await register();
  const basic = { authorization: `Basic ${Buffer.from(`${client_id}:${client_secret}`).toString("base64")}` };
  const tokenUrl = `${platform.origin}/oauth/token`;
  const url = `${platform.origin}${API}`;
  const token = await boundToken();
  let nonce = "";

  interface Proof {
    readonly claims?: JWTPayload;
    readonly header?: Record<string, unknown>;
    readonly key?: CryptoKey | Uint8Array;
  }

  async function proof({ claims = {}, header = {}, key = keys.privateKey }: Proof = {}): Promise<string> {
    const honest = { jti: randomUUID(), htm: "GET", htu: url, iat: now(), ath: hashOf(token), nonce };
    return new SignJWT({ ...honest, ...claims })
      .setProtectedHeader({ alg: "ES256", typ: "dpop+jwt", jwk: publicJwk, ...header })
      .sign(key);
  }

  async function boundToken(): Promise<string> {
    const ask = async (given: JWTPayload): Promise<Answer> =>
      postForm(
        {},
        {
          ...basic,
          dpop: await new SignJWT({ jti: randomUUID(), htm: "POST", htu: tokenUrl, iat: now(), ...given })
            .setProtectedHeader({ alg: "ES256", typ: "dpop+jwt", jwk: publicJwk })
            .sign(keys.privateKey),
        },
      );
    const first = await ask({});
    expect(first).toMatchObject({ status: 400, body: { error: "use_dpop_nonce" } });
    const second = await ask({ nonce: first.headers.get("dpop-nonce") ?? "" });
    return expectStatus(second, 200).body.access_token;
  }

  function hashOf(text: string): string {
    return createHash("sha256").update(text).digest("base64url");
  }

  async function present(dpop: string | undefined, authorization = `DPoP ${token}`): Promise<Answer> {
    return platform.anonymous.get(API, { authorization, ...(dpop === undefined ? {} : { dpop }) });
  }

  test("without the server's nonce learns it from the refusal (RFC 9449 section 9)", async () => {
    const answer = await present(
      await new SignJWT({ jti: "1", htm: "GET", htu: url, iat: now(), ath: hashOf(token) })
        .setProtectedHeader({ alg: "ES256", typ: "dpop+jwt", jwk: publicJwk })
        .sign(keys.privateKey),
    );
    expect(answer).toMatchObject({ status: 401, body: { code: "dpop_nonce_required" } });
    expect(answer.headers.get("www-authenticate")).toMatch(/^DPoP error="use_dpop_nonce"/);
    nonce = answer.headers.get("dpop-nonce") ?? "";
    expect(nonce).not.toBe("");
    const good = await present(await proof());
    expectStatus(good, 200);
    expect(good.headers.get("dpop-nonce")).not.toBeNull();
  });

  test("counts once, also at the same moment", async () => {
    const once = await proof();
    const answers = await Promise.all(Array.from({ length: 5 }, () => present(once)));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 401, 401, 401, 401]);
  });

  test.each<[what: string, make: () => Promise<string>]>([
    ["for another method", () => proof({ claims: { htm: "POST" } })],
    ["for another path", () => proof({ claims: { htu: `${platform.origin}/api/v1/creators` } })],
    ["for another host", () => proof({ claims: { htu: `https://elsewhere.example${API}` } })],
    ["without a URL", () => proof({ claims: { htu: "" } })],
    ["for another token", () => proof({ claims: { ath: hashOf("other") } })],
    ["without ath", () => proof({ claims: { ath: "" } })],
    ["without jti", () => proof({ claims: { jti: "" } })],
    ["with an endless jti", () => proof({ claims: { jti: "a".repeat(300) } })],
    ["an hour old", () => proof({ claims: { iat: now() - 3_600 } })],
    ["from the future", () => proof({ claims: { iat: now() + 3_600 } })],
    ["of another type", () => proof({ header: { typ: "JWT" } })],
    ["with a private key in it", async () => proof({ header: { jwk: await exportJWK(keys.privateKey) } })],
    ["signed by another key than it shows", () => proof({ key: strangers.privateKey })],
    [
      "by another key than the token's",
      async () => proof({ key: strangers.privateKey, header: { jwk: await exportJWK(strangers.publicKey) } }),
    ],
    ["by HMAC", () => proof({ header: { alg: "HS256", jwk: { kty: "oct", k: "AAAA" } }, key: new Uint8Array(32) })],
    [
      "without signature",
      async () => {
        const [, payload] = (await proof()).split(".");
        const header = Buffer.from(JSON.stringify({ alg: "none", typ: "dpop+jwt", jwk: publicJwk })).toString(
          "base64url",
        );
        return `${header}.${payload}.`;
      },
    ],
    ["that is no JWT", async () => "proof"],
    ["that is endless", async () => `${await proof()}${"A".repeat(5_000)}`],
  ])("%s is refused", async (_what, make) => {
    const answer = await present(await make());
    expect(answer).toMatchObject({ status: 401, body: { code: "dpop_proof_invalid" } });
    expect(answer.headers.get("www-authenticate")).toMatch(/^DPoP error="invalid_dpop_proof"/);
  });

  test("with a nonce that somebody made up, or that is no text, gets the present one", async () => {
    for (const made of ["AAAA", `${nonce.slice(0, -2)}xx`]) {
      const answer = await present(await proof({ claims: { nonce: made } }));
      expect(answer).toMatchObject({ status: 401, body: { code: "dpop_nonce_required" } });
      expect(answer.headers.get("dpop-nonce")).not.toBeNull();
    }
  });

  test("that is missing is missed, and a token goes only by the scheme it belongs to", async () => {
    expect(await present(undefined)).toMatchObject({ status: 401, body: { code: "dpop_proof_invalid" } });
    expect(await present(await proof(), `Bearer ${token}`)).toMatchObject({ body: { code: "token_unbound" } });
    expect(await present(undefined, `Bearer ${token}`)).toMatchObject({ body: { code: "token_unbound" } });
    const plain: string = expectStatus(await postForm({}, basic), 200).body.access_token;
    const claims = { ath: hashOf(plain) };
    expect(await present(await proof({ claims }), `DPoP ${plain}`)).toMatchObject({ body: { code: "token_unbound" } });
    expect(await present(await proof(), `DPoP ${platform.operatorToken}`)).toMatchObject({
      body: { code: "token_invalid" },
    });
  });
});
