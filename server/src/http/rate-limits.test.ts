import { describe, expect, test } from "vitest";
import { enrolCreator, expectStatus, giveConsent } from "../../../test/fixtures/actors.ts";
import { startFurtherServer, startPlatform } from "../../../test/fixtures/platform.ts";
import { engine } from "../../../test/fixtures/settings.ts";
import { addressKey } from "./address-key.ts";
import type { RouteName } from "./authorization.ts";
import { bucketOf, createRateLimits } from "./rate-limits.ts";
import { DEFAULT_RATE_LIMITS, parseRateLimits } from "./rate-limit-policy.ts";

/** Windows so long that none ends while a test runs. */
const rateLimits = {
  ...DEFAULT_RATE_LIMITS,
  anonymous: { quota: 25, windowSeconds: 3_600 },
  reading: { quota: 5, windowSeconds: 3_600 },
  writing: { quota: 12, windowSeconds: 3_600 },
  bulk: null,
  tokens: { quota: 6, windowSeconds: 3_600 },
};
const platform = await startPlatform({ rateLimits });

describe("a caller that asks too often", () => {
  test("is told how much is left, then to wait, and by how long", async () => {
    const { caller } = await enrolCreator(platform);
    for (const left of [4, 3, 2, 1, 0]) {
      const answer = expectStatus(await caller.get("/api/v1/content"), 200);
      expect(answer.headers.get("ratelimit-policy")).toBe('"reading";q=5;w=3600');
      expect(answer.headers.get("ratelimit")).toMatch(new RegExp(`^"reading";r=${left};t=(3600|35\\d\\d)$`));
    }
    const refused = await caller.get("/api/v1/content");
    expect(refused).toMatchObject({ status: 429, body: { code: "rate_limited" } });
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(3_000);
    expect(refused.headers.get("ratelimit")).toMatch(/^"reading";r=0;t=3\d\d\d$/);
  });

  test("can still write, and revokes whatever else it did", async () => {
    const creator = await enrolCreator(platform);
    const { jti } = await giveConsent(creator);
    const { caller } = creator;
    for (let calls = 0; calls < 6; calls += 1) await caller.get("/api/v1/content");
    for (let calls = 0; calls < 13; calls += 1) await caller.post("/api/v1/consents", { token: "nonsense" });
    expect((await caller.get("/api/v1/content")).status).toBe(429);
    expect((await caller.post("/api/v1/consents", { token: "nonsense" })).status).toBe(429);
    const revoked = expectStatus(await caller.post(`/api/v1/consents/${jti}/revoke`), 200);
    expect(revoked.headers.get("ratelimit-policy")).toBe('"revoking";q=60000;w=60');
  });

  test("takes nothing from another one", async () => {
    const [loud, quiet] = [await enrolCreator(platform), await enrolCreator(platform)];
    for (let calls = 0; calls < 6; calls += 1) await loud.caller.get("/api/v1/content");
    expect((await loud.caller.get("/api/v1/content")).status).toBe(429);
    expectStatus(await quiet.caller.get("/api/v1/content"), 200);
  });

  test("and says nobody who it is, is counted by its address, as is who guesses tokens", async () => {
    const statuses: number[] = [];
    for (let calls = 0; calls < 10; calls += 1) {
      statuses.push((await platform.as("guess").get("/api/v1/content")).status);
      statuses.push((await platform.anonymous.get("/problems/not_found")).status);
      statuses.push((await platform.anonymous.get("/nothing/here")).status);
    }
    expect(statuses.slice(0, 3)).toEqual([401, 200, 404]);
    expect(statuses.slice(-3)).toEqual([429, 429, 429]);
    expectStatus(await platform.anonymous.get("/healthz"), 200);
    expectStatus(await platform.anonymous.get("/.well-known/keys.json"), 200);
    expectStatus(await platform.operator.get("/api/v1/datasets"), 200);
  });
});

describe("the token endpoint", () => {
  interface Client {
    readonly client_id: string;
    readonly client_secret: string;
  }

  async function startEndpoint() {
    const { operator, anonymous } = await startPlatform({ rateLimits });
    const makeClient = async (): Promise<Client> =>
      expectStatus(await operator.post("/api/v1/clients", { name: "Backend", scopes: ["content:read"] }), 201).body;
    const ask = ({ client_id, client_secret }: Client, scope = "content:read") =>
      anonymous.send("POST", "/oauth/token", {
        body: new URLSearchParams({ grant_type: "client_credentials", scope }).toString(),
        headers: {
          "content-type": "application/x-www-form-urlencoded",
          authorization: `Basic ${Buffer.from(`${client_id}:${client_secret}`).toString("base64")}`,
        },
      });
    return { anonymous, makeClient, ask };
  }

  test("counts each client that has shown who it is by itself, behind one address", async () => {
    const { makeClient, ask } = await startEndpoint();
    const [loud, quiet] = [await makeClient(), await makeClient()];
    for (const left of [5, 4, 3, 2, 1, 0]) {
      const answer = expectStatus(await ask(loud), 200);
      expect(answer.headers.get("ratelimit")).toMatch(new RegExp(`^"tokens";r=${left};t=`));
    }
    const refused = await ask(loud);
    expect(refused).toMatchObject({ status: 429, body: { code: "rate_limited" } });
    expect(refused.body).not.toHaveProperty("access_token");
    expect(refused.headers.get("content-type")).toBe("application/problem+json");
    expect(refused.headers.get("retry-after")).toMatch(/^\d+$/);
    expect(refused.headers.get("ratelimit-policy")).toBe('"tokens";q=6;w=3600');
    expectStatus(await ask(quiet), 200);
  });

  test("counts what fails by address, and nobody who guesses takes a client's tokens from it", async () => {
    const { anonymous, makeClient, ask } = await startEndpoint();
    const client = await makeClient();
    const statuses: number[] = [];
    for (let calls = 0; calls < 25; calls += 1)
      statuses.push((await ask({ ...client, client_secret: "guess" })).status);
    expect(new Set(statuses)).toEqual(new Set([401]));
    const refused = await ask({ ...client, client_secret: "guess" });
    expect(refused).toMatchObject({ status: 429, body: { code: "rate_limited" } });
    expect(refused.headers.get("ratelimit-policy")).toBe('"anonymous";q=25;w=3600');
    expect((await ask(client, "no-such-scope")).status).toBe(429);
    expect((await ask(client)).headers.get("ratelimit")).toMatch(/^"tokens";r=5;t=/);
    expectStatus(await anonymous.get("/oauth/jwks"), 200);
  });

  test("looks at nothing more from an address that goes on for a whole quota after that", async () => {
    const { anonymous, makeClient, ask } = await startEndpoint();
    const client = await makeClient();
    for (let calls = 0; calls < 49; calls += 1) await ask({ ...client, client_secret: "guess" });
    expectStatus(await ask(client), 200);
    expect((await ask({ ...client, client_secret: "guess" })).status).toBe(429);
    const refused = await ask(client);
    expect(refused).toMatchObject({ status: 429, body: { code: "rate_limited" } });
    expect(refused.headers.get("ratelimit-policy")).toBe('"anonymous";q=25;w=3600');
    expect(refused.headers.get("retry-after")).toMatch(/^\d+$/);
    expectStatus(await anonymous.get("/oauth/jwks"), 200);
    expect((await anonymous.post("/webhooks/consent-updated", {})).status).toBe(429);
  });

  test("counts a request that names a client, and shows no more than that, for nobody but its address", async () => {
    const { anonymous, makeClient, ask } = await startEndpoint();
    const client = await makeClient();
    for (let calls = 0; calls < 10; calls += 1) {
      const named = await anonymous.send("POST", "/oauth/token", {
        body: new URLSearchParams({ grant_type: "client_credentials", client_id: client.client_id }).toString(),
        headers: { "content-type": "application/x-www-form-urlencoded", "oauth-client-attestation": "a.b.c" },
      });
      expect([named.status, named.headers.get("ratelimit-policy")]).toEqual([
        expect.toSatisfy((status: number) => status === 400 || status === 401),
        '"anonymous";q=25;w=3600',
      ]);
    }
    expect((await ask(client)).headers.get("ratelimit")).toMatch(/^"tokens";r=5;t=/);
  });
});

test("an upstream's webhook that nobody signed is counted for its address", async () => {
  const { anonymous } = await startPlatform({ rateLimits });
  const answer = expectStatus(await anonymous.post("/webhooks/consent-updated", {}), 400);
  expect(answer.headers.get("ratelimit")).toMatch(/^"anonymous";r=24;t=/);
  for (let calls = 0; calls < 24; calls += 1) await anonymous.post("/webhooks/consent-updated", {});
  expect(await anonymous.post("/webhooks/consent-updated", {})).toMatchObject({
    status: 429,
    body: { code: "rate_limited" },
  });
});

describe("the buckets", () => {
  test.each<[bucket: string | undefined, isAnonymous: boolean, route: RouteName]>([
    ["reading", false, "GET /datasets/{id}/versions/{version}/items"],
    ["writing", false, "POST /api/v1/usage-receipts"],
    ["bulk", false, "POST /api/v1/content/bulk"],
    ["revoking", false, "POST /api/v1/consents/{jti}/revoke"],
    ["revoking", false, "POST /api/v1/datasets/{id}/consent/revoke"],
    ["revoking", false, "POST /api/v1/creators/{id}/revocations"],
    ["tokens", false, "POST /api/v1/creators/{id}/sessions"],
    ["anonymous", true, "POST /api/v1/consents/{jti}/revoke"],
    ["anonymous", true, "POST /webhooks/consent-updated"],
    ["revoking", false, "POST /webhooks/consent-updated"],
    ["anonymous", true, "POST /webhooks/stripe"],
    ["anonymous", true, "GET /openapi.json"],
    [undefined, true, "GET /readyz"],
  ])("%s, for a stranger %s, is for %s", (bucket, isAnonymous, route) => {
    expect(bucketOf(route, isAnonymous)).toBe(bucket);
  });

  const { ctx } = platform.server;

  test.runIf(engine === "postgres")("are one for all servers of a platform", async () => {
    const { token } = await enrolCreator(platform);
    const further = await startFurtherServer(platform, { rateLimits });
    const [here, there] = [platform.as(token), further.as(token)];
    for (const caller of [here, there, here, there, here]) expectStatus(await caller.get("/api/v1/content"), 200);
    for (const caller of [there, here]) expect((await caller.get("/api/v1/content")).status).toBe(429);
  });

  test.runIf(engine === "postgres")("are counted together by limiters of one store", async () => {
    const [left, right] = [createRateLimits(ctx), createRateLimits(ctx)];
    const taken = [];
    for (const limits of [left, right, left, right, left]) taken.push(await limits.take("reading", "somebody"));
    expect(taken.map((after) => after?.remaining)).toEqual([4, 3, 2, 1, 0]);
    expect(await right.take("reading", "somebody")).toMatchObject({ isAllowed: false, remaining: 0 });
    expect(await left.take("reading", "somebody")).toMatchObject({ isAllowed: false, remaining: 0 });
    expect(await left.take("reading", "somebody else")).toMatchObject({ isAllowed: true, remaining: 4 });
  });

  test.runIf(engine === "postgres")("are counted by each server for itself while the store fails", async () => {
    const { server } = await startPlatform({ rateLimits });
    await server.ctx.db.schema.alterTable("rate_limit").renameTo("rate_limit_gone").execute();
    const limits = createRateLimits(server.ctx);
    const taken = [];
    for (let calls = 0; calls < 6; calls += 1) taken.push(await limits.take("reading", "somebody"));
    expect(taken.map((after) => after?.isAllowed)).toEqual([true, true, true, true, true, false]);
  });

  test("that are full again are forgotten", async () => {
    await ctx.db
      .insertInto("rate_limit")
      .values({ key: "reading:of yesterday", points: 3, expire: Date.now() - 86_400_000 })
      .execute();
    await createRateLimits({ ...ctx, config: { ...ctx.config, databaseUrl: "postgres://" } }).sweep();
    const left = await ctx.db
      .selectFrom("rate_limit")
      .select("key")
      .where("key", "=", "reading:of yesterday")
      .execute();
    expect(left).toEqual([]);
  });

  test.each([
    ["192.0.2.7", "192.0.2.7"],
    ["::ffff:192.0.2.7", "192.0.2.7"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2"],
    ["2001:db8:1:2::9", "2001:db8:1:2"],
    ["fe80::1%eth0", "fe80:0:0:0"],
    ["::1", "0:0:0:0"],
    ["", "unknown"],
  ])("count %j as %s", (address, key) => {
    expect(addressKey(address)).toBe(key);
  });
});

describe("LICET_RATE_LIMITS", () => {
  test("changes what it names and leaves the rest", () => {
    expect(parseRateLimits("reading=10/1, bulk=off")).toEqual({
      ok: true,
      value: { ...DEFAULT_RATE_LIMITS, reading: { quota: 10, windowSeconds: 1 }, bulk: null },
    });
  });

  test("off limits nothing", () => {
    const policy = parseRateLimits("off");
    expect(policy.ok && Object.values(policy.value).every((quota) => quota === null)).toBe(true);
  });

  test.each([
    "",
    "reading",
    "reading=10",
    "reading=0/1",
    "reading=1/0",
    "reading=1/99999",
    "all=1/1",
    "reading=1/1,reading=2/1",
    "reading=-1/1",
    "reading=on",
  ])("is not %j", (text) => {
    expect(parseRateLimits(text)).toMatchObject({ ok: false, refusal: { code: "input_invalid" } });
  });
});
