import { exportJWK, generateKeyPair } from "jose";
import { describe, expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  fetchAccessToken,
  registerMarketplace,
  uniqueId,
} from "../../../../test/fixtures/actors.ts";
import type { Answer } from "../../../../test/fixtures/caller.ts";
import { startPlatform } from "../../../../test/fixtures/platform.ts";

const platform = await startPlatform();
const { operator } = platform;
const SCOPE = "content:read";
const HOUR = 3_600;

interface Client {
  readonly client_id: string;
  readonly client_secret: string;
}

async function newClient(): Promise<Client> {
  return expectStatus(await operator.post("/api/v1/clients", { name: "Backend", scopes: [SCOPE] }), 201).body;
}

async function tokenOf({ client_id, client_secret }: Client): Promise<string> {
  return fetchAccessToken(platform, { clientId: client_id, clientSecret: client_secret, scope: SCOPE });
}

async function askForToken({ client_id, client_secret }: Client): Promise<Answer> {
  return platform.anonymous.send("POST", "/oauth/token", {
    body: `grant_type=client_credentials&scope=${SCOPE}`,
    headers: {
      authorization: `Basic ${Buffer.from(`${client_id}:${client_secret}`).toString("base64")}`,
      "content-type": "application/x-www-form-urlencoded",
    },
  });
}

describe("a client", () => {
  test("that is suspended is out at its next request, whatever token it holds, until it is resumed", async () => {
    const client = await newClient();
    const caller = platform.as(await tokenOf(client));
    expectStatus(await caller.get("/api/v1/content"), 200);
    const suspended = expectStatus(await operator.post(`/api/v1/clients/${client.client_id}/suspend`), 200).body;
    expect(suspended).toMatchObject({ state: "suspended", state_since: expect.any(String) });
    expect(await caller.get("/api/v1/content")).toMatchObject({
      status: 401,
      body: { code: "token_invalid", detail: "the client of this token is suspended" },
    });
    expect(await askForToken(client)).toMatchObject({ status: 401, body: { error: "invalid_client" } });
    expectStatus(await operator.post(`/api/v1/clients/${client.client_id}/suspend`), 200);
    expectStatus(await operator.post(`/api/v1/clients/${client.client_id}/resume`), 200);
    expectStatus(await caller.get("/api/v1/content"), 200);
    expectStatus(await askForToken(client), 200);
  });

  test("needs sessions:write to open sessions for creators; creators:write is not enough", async () => {
    const { creatorId } = await enrolCreator(platform);
    const path = `/api/v1/creators/${creatorId}/sessions`;
    for (const [scope, status] of [
      ["creators:write", 403],
      ["sessions:write", 201],
    ] as const) {
      const client = await operator.post("/api/v1/clients", { name: "Backend", scopes: [scope] });
      const { client_id: clientId, client_secret: clientSecret } = expectStatus(client, 201).body;
      const caller = platform.as(await fetchAccessToken(platform, { clientId, clientSecret, scope }));
      expect((await caller.post(path)).status).toBe(status);
    }
  });

  test("that has ended is out for good", async () => {
    const client = await newClient();
    const caller = platform.as(await tokenOf(client));
    expectStatus(await operator.post(`/api/v1/clients/${client.client_id}/end`), 200);
    expect((await caller.get("/api/v1/content")).status).toBe(401);
    expect((await askForToken(client)).status).toBe(401);
    for (const change of ["resume", "suspend", "secrets", "authentication"])
      expect(await operator.post(`/api/v1/clients/${client.client_id}/${change}`, {})).toMatchObject({
        status: 409,
        body: { code: "conflict" },
      });
    expectStatus(await operator.post(`/api/v1/clients/${client.client_id}/end`), 200);
  });

  test("of a marketplace is suspended like any other", async () => {
    const marketplace = await registerMarketplace(platform);
    const caller = await marketplace.call();
    expectStatus(await caller.get("/api/v1/datasets"), 200);
    expectStatus(await operator.post(`/api/v1/clients/${marketplace.clientId}/suspend`), 200);
    expect((await caller.get("/api/v1/datasets")).status).toBe(401);
  });

  test("gets a new secret while the old one is taken for as long as was said", async () => {
    const client = await newClient();
    const path = `/api/v1/clients/${client.client_id}/secrets`;
    const rotated = expectStatus(await operator.post(path, { overlap_seconds: HOUR }), 201);
    expect(rotated.headers.get("cache-control")).toBe("no-store");
    const renewed: Client = rotated.body;
    expect(renewed.client_secret).not.toBe(client.client_secret);
    for (const either of [client, renewed]) expectStatus(await askForToken(either), 200);
    const shown = await operator.get(`/api/v1/clients/${client.client_id}`);
    expect(shown.body.old_secret_until).toBe(rotated.body.old_secret_until);
    expect(shown.text).not.toContain(renewed.client_secret);
    platform.clock.advance(HOUR + 1);
    expect((await askForToken(client)).status).toBe(401);
    expectStatus(await askForToken(renewed), 200);
    const atOnce: Client = expectStatus(await operator.post(path, { overlap_seconds: 0 }), 201).body;
    expect((await askForToken(renewed)).status).toBe(401);
    expectStatus(await askForToken(atOnce), 200);
  });

  test("may change to a key, and then its secret opens nothing", async () => {
    const client = await newClient();
    const { publicKey } = await generateKeyPair("ES256");
    const changed = await operator.post(`/api/v1/clients/${client.client_id}/authentication`, {
      token_endpoint_auth_method: "private_key_jwt",
      jwks: { keys: [await exportJWK(publicKey)] },
    });
    expect(expectStatus(changed, 200).body).toEqual({
      client_id: client.client_id,
      scope: SCOPE,
      token_endpoint_auth_method: "private_key_jwt",
    });
    expect((await askForToken(client)).status).toBe(401);
    expect((await operator.post(`/api/v1/clients/${client.client_id}/secrets`, {})).status).toBe(409);
    const back: Client = expectStatus(
      await operator.post(`/api/v1/clients/${client.client_id}/authentication`, {}),
      200,
    ).body;
    expectStatus(await askForToken(back), 200);
  });

  test("is listed with all others, without a secret", async () => {
    const client = await newClient();
    const marketplace = await registerMarketplace(platform);
    const listed = await operator.get("/api/v1/clients?limit=1000");
    const ids = listed.body.clients.map((entry: { client_id: string }) => entry.client_id);
    expect(ids).toContain(client.client_id);
    expect(ids).toContain(marketplace.clientId);
    expect(listed.text).not.toContain(client.client_secret);
    expect(await operator.get("/api/v1/clients/client_nobody")).toMatchObject({ status: 404 });
    expect(await operator.post("/api/v1/clients/client_nobody/suspend")).toMatchObject({ status: 404 });
  });

  const EC = { kty: "EC", crv: "P-256", x: "A".repeat(43), y: "A".repeat(43) };
  test.each<[what: string, members: object]>([
    [
      "a private key",
      { token_endpoint_auth_method: "private_key_jwt", jwks: { keys: [{ ...EC, d: "A".repeat(43) }] } },
    ],
    ["a point that is on no curve", { token_endpoint_auth_method: "private_key_jwt", jwks: { keys: [EC] } }],
    ["a symmetric key", { token_endpoint_auth_method: "private_key_jwt", jwks: { keys: [{ kty: "oct", k: "AAAA" }] } }],
    ["no key", { token_endpoint_auth_method: "private_key_jwt" }],
    ["an empty key set", { token_endpoint_auth_method: "private_key_jwt", jwks: { keys: [] } }],
    [
      "nine keys",
      { token_endpoint_auth_method: "private_key_jwt", jwks: { keys: Array.from({ length: 9 }, () => EC) } },
    ],
    ["keys beside a secret", { jwks: { keys: [EC] } }],
    ["a key set on this machine", { token_endpoint_auth_method: "private_key_jwt", jwks_uri: "http://127.0.0.1/jwks" }],
    [
      "a key set in a private network",
      { token_endpoint_auth_method: "private_key_jwt", jwks_uri: "https://10.0.0.1/jwks" },
    ],
    [
      "a certificate where none arrives",
      { token_endpoint_auth_method: "tls_client_auth", tls_client_auth_san_dns: "x" },
    ],
    ["a method nobody knows", { token_endpoint_auth_method: "client_secret_post" }],
    ["no authentication", { token_endpoint_auth_method: "none" }],
  ])("is not registered with %s", async (_what, members) => {
    const answer = await operator.post("/api/v1/clients", { name: "Wrong", scopes: [SCOPE], ...members });
    expect(answer.status).toBe(422);
    expect(["input_invalid", "url_forbidden"]).toContain(answer.body.code);
  });
});

describe("a session", () => {
  test("of an operator is opened, listed and ended; the last one that lasts stays", async () => {
    const opened = expectStatus(await operator.post("/api/v1/sessions", {}), 201).body;
    const second = platform.as(opened.operator_token);
    const listed = await second.get("/api/v1/sessions?kind=operator");
    expect(listed.body.sessions.map((entry: { session_id: string }) => entry.session_id)).toContain(opened.session_id);
    expect(listed.text).not.toContain(opened.operator_token);
    expectStatus(await operator.post(`/api/v1/sessions/${opened.session_id}/end`), 200);
    expect((await second.get("/api/v1/sessions")).status).toBe(401);
    const [own] = (await operator.get("/api/v1/sessions?kind=operator")).body.sessions;
    expect(await operator.post(`/api/v1/sessions/${own.session_id}/end`)).toMatchObject({ status: 409 });
    expectStatus(await operator.get("/api/v1/sessions"), 200);
    const short = expectStatus(await operator.post("/api/v1/sessions", { hours: 1 }), 201).body;
    platform.clock.advance(HOUR + 1);
    expect((await platform.as(short.operator_token).get("/api/v1/sessions")).status).toBe(401);
  });

  test("of a creator is theirs to see and to end, and the operator's", async () => {
    const [ana, bram] = [await enrolCreator(platform), await enrolCreator(platform)];
    const mine = (await ana.caller.get("/api/v1/sessions")).body.sessions;
    expect(mine).toMatchObject([{ kind: "creator", creator_id: ana.creatorId }]);
    expect((await ana.caller.get(`/api/v1/sessions?creator_id=${bram.creatorId}`)).status).toBe(403);
    expect((await ana.caller.get("/api/v1/sessions?kind=operator")).status).toBe(403);
    expect((await bram.caller.post(`/api/v1/sessions/${mine[0].session_id}/end`)).status).toBe(404);
    expect((await bram.caller.post(`/api/v1/creators/${ana.creatorId}/sessions/end`)).status).toBe(403);
    expectStatus(await ana.caller.post(`/api/v1/sessions/${mine[0].session_id}/end`), 200);
    expect((await ana.caller.get("/api/v1/sessions")).status).toBe(401);
    const ended = await operator.post(`/api/v1/creators/${bram.creatorId}/sessions/end`);
    expect(expectStatus(ended, 200).body).toEqual({ ended: 1 });
    expect((await bram.caller.get("/api/v1/content")).status).toBe(401);
    expect((await operator.post(`/api/v1/sessions/sess_${"0".repeat(32)}/end`)).status).toBe(404);
    expect((await operator.post(`/api/v1/sessions/${uniqueId("x")}/end`)).status).toBe(400);
  });
});
