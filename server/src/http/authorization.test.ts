import { AUTHORIZATION, type Rule } from "@licet/server";
import { describe, expect, test } from "vitest";
import { enrolCreator, expectStatus, fetchAccessToken, registerMarketplace } from "../../../test/fixtures/actors.ts";
import type { Answer, Caller } from "../../../test/fixtures/caller.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { MARKETPLACE_SCOPES, PLATFORM_SCOPES } from "./scopes.ts";

/*
 * Every route of the table, with every kind of caller. What the table does not allow gets exactly
 * 401 or 403; what it allows gets past the door, whatever the operation then says.
 */
const platform = await startPlatform();
const creator = await enrolCreator(platform);
const marketplace = await registerMarketplace(platform);
const backend = expectStatus(
  await platform.operator.post("/api/v1/clients", { name: "Backend", scopes: PLATFORM_SCOPES }),
  201,
).body;

const clients = {
  platform: { clientId: backend.client_id, clientSecret: backend.client_secret, scopes: PLATFORM_SCOPES },
  marketplace: { clientId: marketplace.clientId, clientSecret: marketplace.clientSecret, scopes: MARKETPLACE_SCOPES },
} as const;

const routes = Object.entries<Rule>(AUTHORIZATION).map(([name, rule]) => ({ name, rule }));
const tokens = new Map<string, Promise<string>>();

/** A caller of a client's with exactly these scopes. */
async function clientWith(kind: keyof typeof clients, scopes: readonly string[]): Promise<Caller> {
  const scope = scopes.join(" ");
  const token = tokens.get(`${kind} ${scope}`) ?? fetchAccessToken(platform, { ...clients[kind], scope });
  tokens.set(`${kind} ${scope}`, token);
  return platform.as(await token);
}

const VALUES: Readonly<Record<string, string>> = {
  id: "nothing-by-this-name",
  jti: `ctok_${"A".repeat(22)}`,
  version: "1",
  name: "nothing",
  code: "not_found",
  kid: "A".repeat(43),
  period: "2026-11",
  fingerprint: "0".repeat(64),
  offer_id: "nothing-either",
};

async function call(caller: Caller, name: string, headers: Record<string, string> = {}): Promise<Answer> {
  const [method = "", template = ""] = name.split(" ");
  const path = template.replaceAll(/\{(\w+)\}/g, (_match, parameter: string) => VALUES[parameter] ?? "");
  const body = method === "POST" ? { body: "{}" } : {};
  return caller.send(method, path, { ...body, headers: { "content-type": "application/json", ...headers } });
}

function expectShut(answer: Answer, status: 401 | 403, code: string): void {
  expect({ status: answer.status, code: answer.body?.code, type: answer.headers.get("content-type") }).toEqual({
    status,
    code,
    type: "application/problem+json",
  });
}

function expectOpen(answer: Answer): void {
  expect(answer.status).not.toBe(401);
  expect(answer.body?.code).not.toBe("forbidden");
  expect(answer.status).toBeLessThan(500);
}

describe.each(routes)("$name", ({ name, rule }) => {
  test(`is ${rule.anyone === true ? "open" : "shut"} to strangers`, async () => {
    const answer = await call(platform.anonymous, name);
    if (rule.anyone === true) return expectOpen(answer);
    expectShut(answer, 401, "unauthenticated");
    expect(answer.headers.get("www-authenticate")).toMatch(
      /^Bearer resource_metadata="[^"]+\/\.well-known\/oauth-protected-resource", DPoP algs="/,
    );
  });

  test("refuses credentials that do not hold, whoever else may come in", async () => {
    for (const authorization of [
      "Bearer garbage",
      "Bearer a.b.c",
      "Bearer",
      "Basic b3BlcmF0b3I6",
      `Token ${platform.operatorToken}`,
      `Bearer ${platform.operatorToken}x`,
    ]) {
      expectShut(await call(platform.anonymous, name, { authorization }), 401, "token_invalid");
    }
  });

  test(`${isOpen(rule, "operator") ? "is open" : "is shut"} to the operator`, async () => {
    const answer = await call(platform.operator, name);
    return isOpen(rule, "operator") ? expectOpen(answer) : expectShut(answer, 403, "forbidden");
  });

  test(`${isOpen(rule, "creator") ? "is open" : "is shut"} to creators`, async () => {
    const answer = await call(creator.caller, name);
    return isOpen(rule, "creator") ? expectOpen(answer) : expectShut(answer, 403, "forbidden");
  });

  test.each(["platform", "marketplace"] as const)("is for a %s's client as the table says", async (kind) => {
    const needed = rule[kind];
    const all: readonly string[] = clients[kind].scopes;
    const others = await call(
      await clientWith(
        kind,
        all.filter((scope) => scope !== needed),
      ),
      name,
    );
    if (rule.anyone === true) return expectOpen(others);
    expectShut(others, 403, "forbidden");
    const exactly = await call(await clientWith(kind, needed === undefined ? [] : [needed]), name);
    return needed === undefined ? expectShut(exactly, 403, "forbidden") : expectOpen(exactly);
  });
});

function isOpen(rule: Rule, kind: "operator" | "creator"): boolean {
  return rule.anyone === true || rule[kind] !== undefined;
}

describe("the table", () => {
  test("names every route of the OpenAPI document, and no other", async () => {
    const { paths } = (await platform.anonymous.get("/openapi.json")).body;
    const documented = Object.entries<object>(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect([...documented, "GET /openapi.json"].sort()).toEqual(Object.keys(AUTHORIZATION).sort());
  });

  test("says in the OpenAPI document which routes need a token", async () => {
    const { paths } = (await platform.anonymous.get("/openapi.json")).body;
    for (const { name, rule } of routes.filter((route) => route.name !== "GET /openapi.json")) {
      const [method = "", path = ""] = name.split(" ");
      expect(paths[path][method.toLowerCase()].security).toEqual(rule.anyone === true ? [] : [{ bearer: [] }]);
    }
  });

  test("lets strangers change nothing, and marketplaces write licenses, receipts, remediations, acknowledgements, their keys and their webhooks only", () => {
    const writing = routes.filter(({ name }) => !name.startsWith("GET "));
    // Who speaks there is told by a signature, which is looked at before anything is written.
    expect(writing.filter(({ rule }) => rule.anyone === true).map(({ name }) => name)).toEqual([
      "POST /webhooks/stripe",
      "POST /webhooks/consent-updated",
    ]);
    expect(writing.filter(({ rule }) => rule.marketplace !== undefined).map(({ name }) => name)).toEqual([
      "POST /api/v1/revocations/{id}/acknowledgements",
      "POST /api/v1/marketplaces/{id}/receipt-keys",
      "POST /api/v1/marketplaces/{id}/receipt-keys/{kid}/retire",
      "POST /api/v1/marketplaces/{id}/receipt-keys/{kid}/revoke",
      "POST /api/v1/agreements/{name}/{version}/acceptances",
      "POST /api/v1/datasets/{id}/licenses",
      "POST /api/v1/licenses/{id}/tokens",
      "POST /api/v1/licenses/{id}/renew",
      "POST /api/v1/licenses/{id}/revoke",
      "POST /api/v1/usage-receipts",
      "POST /api/v1/remediations/{id}/messages",
      "POST /api/v1/remediations/{id}/offers",
      "POST /api/v1/remediations/{id}/offers/{offer_id}/withdraw",
      "POST /api/v1/webhook-endpoints",
      "PATCH /api/v1/webhook-endpoints/{id}",
      "DELETE /api/v1/webhook-endpoints/{id}",
      "POST /api/v1/webhook-endpoints/{id}/disable",
      "POST /api/v1/webhook-endpoints/{id}/enable",
      "POST /api/v1/webhook-endpoints/{id}/secret-rotations",
      "POST /api/v1/webhook-endpoints/{id}/test",
      "POST /api/v1/webhook-endpoints/{id}/replays",
      "POST /api/v1/webhook-deliveries/{id}/replays",
    ]);
  });

  test("keeps creators' names and works from marketplaces but through a dataset that was offered", () => {
    const readable = routes.filter(({ rule }) => rule.marketplace !== undefined).map(({ name }) => name);
    expect(
      readable.filter((name) => /\/(creators|content|consents)(\/|$)/.test(name) && !name.startsWith("GET /datasets/")),
    ).toEqual([]);
  });
});

test("an expired session opens nothing", async () => {
  const { body } = await platform.operator.post(`/api/v1/creators/${creator.creatorId}/sessions`);
  platform.clock.advance(12 * 3_600 + 1);
  for (const { name } of routes) expectShut(await call(platform.as(body.creator_token), name), 401, "token_invalid");
});

test("an expired access token opens nothing", async () => {
  const token = await fetchAccessToken(platform, { ...clients.platform, scope: PLATFORM_SCOPES.join(" ") });
  for (const { name } of routes) expectShut(await call(platform.as(token), name), 401, "token_invalid");
});
