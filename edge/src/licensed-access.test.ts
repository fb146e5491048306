import { STATUS, cacheTags, parseJsonObject, sha256Hex } from "@licet/protocol";
import { describe, expect, test } from "vitest";
import { PLACES, WORK_URL } from "./testing/test-platform.ts";
import { IN_WORKERD } from "./testing/test-edge.ts";
import { GPTBOT, PAGE, PERSON, openWorld, outcomeOf } from "./testing/world.ts";

describe("a crawler", () => {
  test("gets 402 without a license, the file with one, and 403 once the consent was taken back; a person gets the page all along", async () => {
    const { platform, ask, bearing } = await openWorld();
    const license = await bearing();
    expect(outcomeOf(await ask([GPTBOT]))).toEqual({ status: 402, code: "license_required" });
    expect((await ask([GPTBOT, license])).text).toBe(PAGE);
    expect((await ask([PERSON])).text).toBe(PAGE);
    await platform.publishList({ [PLACES.consent]: STATUS.revoked }, { seq: 2 });
    expect(outcomeOf(await ask([GPTBOT, license]))).toEqual({ status: 403, code: "consent_revoked" });
    expect(outcomeOf(await ask([GPTBOT]))).toEqual({ status: 403, code: "consent_revoked" });
    expect((await ask([PERSON])).text).toBe(PAGE);
  });

  test.each([
    ["the work is withdrawn", PLACES.item, STATUS.revoked, { status: 403, code: "consent_revoked" }],
    ["the work is suspended", PLACES.item, STATUS.suspended, { status: 403, code: "consent_revoked" }],
    ["the consent is suspended", PLACES.consent, STATUS.suspended, { status: 403, code: "consent_revoked" }],
    ["the dataset is withdrawn", PLACES.dataset, STATUS.revoked, { status: 403, code: "consent_revoked" }],
    [
      "the license is revoked",
      PLACES.license,
      STATUS.revoked,
      { status: 401, code: "license_invalid", cause: "license_revoked" },
    ],
    ["something else is revoked", 99, STATUS.revoked, { status: 200 }],
  ] as const)("is answered by each bit: %s", async (_name, place, status, expected) => {
    const { platform, ask, bearing } = await openWorld();
    await platform.publishList({ [place]: status });
    expect(outcomeOf(await ask([await bearing()]))).toEqual(expected);
  });

  test("is told the price, where a license is had, and what to do next", async () => {
    const { platform, ask } = await openWorld({
      LICET_EDGE_CRAWLER_PRICE: "USD 0.01",
      LICET_EDGE_LICENSE_URL: "https://works.example/license.xml",
    });
    const { status, headers, text } = await ask([GPTBOT]);
    expect([status, headers.get("crawler-price"), headers.get("crawler-error")]).toEqual([
      402,
      "USD 0.01",
      "MissingCrawlerPrice",
    ]);
    expect(headers.get("link")).toBe('<https://works.example/license.xml>; rel="license"; type="application/rsl+xml"');
    expect([headers.get("content-type"), headers.get("cache-control")]).toEqual([
      "application/problem+json",
      "no-store",
    ]);
    expect(JSON.parse(text)).toMatchObject({
      type: `${platform.origin}/problems/license_required`,
      title: "AI use of this work needs a license",
      status: 402,
      next: expect.stringContaining("Authorization: License"),
      license: "https://works.example/license.xml",
    });
  });

  test("is told by WWW-Authenticate: License what is wrong with what it has", async () => {
    const { ask, bearing } = await openWorld();
    const other = await ask([await bearing({ dataset_id: "ds_9" })]);
    expect(other.headers.get("www-authenticate")).toMatch(/^License error="insufficient_scope", error_description="/);
    const expired = await ask([await bearing({ iat: 1_780_000_000, exp: 1_780_000_900 })]);
    expect(expired.headers.get("www-authenticate")).toMatch(/^License error="invalid_token", error_description="/);
  });

  test("that is only observed is let through whatever fails", async () => {
    const { ask, platform, bearing } = await openWorld({ LICET_EDGE_ROUTES: "/=observe" });
    await platform.stand.shut();
    for (const lines of [[GPTBOT], [await bearing()], [["authorization", "License nonsense"] as const]])
      expect(outcomeOf(await ask(lines))).toEqual({ status: 200 });
  });

  test("of a search engine that the operator exempts is a person", async () => {
    const { ask } = await openWorld({ LICET_EDGE_EXEMPT: "OAI-SearchBot, https://search.example" });
    expect(outcomeOf(await ask([["user-agent", "OAI-SearchBot/1.0"]]))).toEqual({ status: 200 });
    expect(outcomeOf(await ask([["user-agent", "OAI-SearchBot/1.0 GPTBot/1.0"]]))).toMatchObject({ status: 402 });
  });

  test.each([
    ["gptbot", 402],
    ["ClaudeBot/1.0", 402],
    ["Mozilla/5.0 AppleWebKit/537.36 (compatible; meta-externalagent/1.1)", 402],
    ["Mozilla/5.0 (compatible; Kangaroo Bot)", 402],
    ["notGPTBot", 200],
    ["GPTBots of the world", 200],
    ["devinci/1.0", 200],
    ["Googlebot/2.1", 200],
    ["", 200],
  ])("is known by the product token of its User-Agent alone: %s", async (userAgent, status) => {
    const { ask } = await openWorld();
    expect((await ask([["user-agent", userAgent]])).status).toBe(status);
  });

  test("may not use a license for another use than the one it is known for", async () => {
    const { ask, bearing } = await openWorld();
    const refused = { status: 403, code: "license_scope_insufficient" };
    expect(outcomeOf(await ask([["user-agent", "ChatGPT-User/1.0"], await bearing()]))).toEqual(refused);
    expect(outcomeOf(await ask([["user-agent", "Diffbot/1.0"], await bearing()]))).toEqual({ status: 200 });
  });
});

describe("a person", () => {
  test("is never touched: whatever the platform does, and whatever the browser sends", async () => {
    const { platform, ask } = await openWorld({ LICET_EDGE_ORIGIN_TIMEOUT_MS: "200" });
    await platform.publishList({ [PLACES.item]: STATUS.revoked });
    await platform.stand.shut();
    for (const lines of [
      [PERSON],
      [PERSON, ["authorization", "Basic YW5hOnNlY3JldA=="]],
      [PERSON, ["authorization", "Bearer license"]],
      [PERSON, ["signature-input", 'sig=("@method");created=1;keyid="x"'], ["signature", "sig=:AA==:"]],
      [PERSON, ["signature-input", "((("]],
      [PERSON, ["dpop", "a.b.c"]],
    ] as const)
      expect([await ask(lines), lines]).toMatchObject([{ status: 200, text: PAGE }, lines]);
  });

  test("sees the site's own answer with the policy in every convention's words", async () => {
    const { ask } = await openWorld({ LICET_EDGE_LICENSE_URL: "https://works.example/license.xml" });
    const { headers } = await ask([PERSON]);
    expect(Object.fromEntries(headers)).toMatchObject({
      "content-type": "text/html",
      "cache-control": "max-age=60",
      "content-usage": "train-ai=n, ai-use=n",
      "content-signal": "ai-train=no, ai-input=no",
      "tdm-reservation": "1",
      link: '<https://works.example/license.xml>; rel="license"; type="application/rsl+xml"',
    });
  });

  test("of another policy sees that one, and the site's own links beside ours", async () => {
    const world = await openWorld({ LICET_EDGE_AI_TRAIN: "yes", LICET_EDGE_SEARCH: "yes" });
    const { platform, ask, site } = world;
    await platform.publish({ "*": { status: 404 } });
    await site.answer({ "/": { body: PAGE, headers: { link: "</style.css>; rel=preload", "tdm-reservation": "1" } } });
    // The first may come before it is known that this is no work.
    const said = async () => {
      const { headers } = await ask([PERSON], "/");
      return [headers.get("content-usage"), headers.get("tdm-reservation")];
    };
    await expect.poll(said, { timeout: 10_000 }).toEqual(["train-ai=y, ai-use=n, search=y", "0"]);
    const { headers } = await ask([PERSON], "/");
    expect(headers.get("link")).toMatch(/^<\/style\.css>; rel=preload, <.*>; rel="license"/);
  });
});

describe("what is said of a work that the platform knows", () => {
  const OPEN = { LICET_EDGE_AI_TRAIN: "yes", LICET_EDGE_SEARCH: "yes", LICET_EDGE_TTL_SECONDS: "1" };

  test("opens no more than a consent that stands does, and nothing where it cannot be told", async () => {
    const { ask, platform } = await openWorld(OPEN);
    const said = async () => (await ask([PERSON])).headers.get("content-usage");
    const reserved = "train-ai=n, ai-use=n";
    const until = async (expected: string): Promise<void> => {
      await expect.poll(said, { timeout: 15_000, interval: 200 }).toBe(expected);
    };
    await until(reserved);
    const grants = [platform.grant({ scope: ["training", "fine_tuning", "commercial"] })];
    await platform.publishContent({ grants }, { seq: 2 });
    await until("train-ai=y, ai-use=n");
    await platform.publishList({ [PLACES.consent]: STATUS.revoked }, { seq: 2 });
    await until(reserved);
    await platform.publishList({}, { seq: 3 });
    await until("train-ai=y, ai-use=n");
    await platform.publish({ "/status-lists/1": { status: 500 } });
    await platform.publishContent({ grants: [] }, { seq: 3 });
    await until(reserved);
  });

  test("keeps no page of a person waiting for a platform that does not answer", async () => {
    const { ask, platform } = await openWorld({ ...OPEN, LICET_EDGE_ORIGIN_TIMEOUT_MS: "20000" });
    for (const path of ["*", "/.well-known/keys.json"])
      await platform.publish({ [path]: { delayMs: 8_000, body: "late" } });
    const first = await Promise.race([ask([PERSON]), new Promise((resolve) => setTimeout(resolve, 5_000, "late"))]);
    expect(first).toMatchObject({ status: 200, text: PAGE });
  });
});

describe("a licensed request", () => {
  test("has the tags by which a cache in front forgets the work, beside the site's own", async () => {
    const { ask, site, bearing } = await openWorld();
    await site.answer({ "*": { body: PAGE, headers: { "cache-tag": "own" } } });
    const tags = (await ask([await bearing()])).headers.get("cache-tag")?.split(/,\s*/);
    expect(tags).toEqual(["own", cacheTags.contents, cacheTags.content("c_1")]);
    expect((await ask([PERSON])).headers.get("cache-tag")).toBe("own");
  });

  test("is told of the license of its host unless the operator says where one is had", async () => {
    const { ask, platform } = await openWorld();
    const link = `<${platform.origin}/rights/works.example/license.xml>; rel="license"; type="application/rsl+xml"`;
    expect((await ask([GPTBOT])).headers.get("link")).toBe(link);
    expect((await ask([PERSON])).headers.get("link")).toBe(link);
  });

  test("reaches the site without the license, and its answer is for no shared cache", async () => {
    const { ask, site, bearing } = await openWorld();
    const { headers } = await ask([await bearing(), ["x-own", "kept"]]);
    expect(headers.get("cache-control")).toBe("private");
    const [request] = await site.requests();
    const names = request?.headers.map(([name]) => name) ?? [];
    expect([names.includes("authorization"), names.includes("x-own")]).toEqual([false, true]);
  });

  test("says nothing to the site of other addresses and of other senders", async () => {
    const { ask, site } = await openWorld();
    const names = ["x-original-url", "x-rewrite-url", "x_original_url", "x-forwarded-host", "forwarded"];
    await ask([PERSON, ...names.map((name) => [name, "/songs/2"] as const)]);
    const [request] = await site.requests();
    expect(request?.headers.filter(([, value]) => value === "/songs/2")).toEqual([]);
  });

  test.runIf(IN_WORKERD)("opens no WebSocket that a Worker could not end", async () => {
    const { ask, site, bearing } = await openWorld();
    await ask([await bearing(), ["upgrade", "websocket"]]);
    const [request] = await site.requests();
    expect(request?.headers.filter(([name]) => name === "upgrade")).toEqual([]);
  });

  test("is refused where only the time of the consent is over", async () => {
    const { platform, ask, bearing } = await openWorld();
    await platform.publishContent({ grants: [platform.grant({ expires_at: "2026-01-01T00:00:00Z" })] });
    expect(outcomeOf(await ask([await bearing()]))).toEqual({ status: 403, code: "consent_revoked" });
  });

  test("is for works of its dataset, from its version on", async () => {
    const { platform, ask, bearing } = await openWorld();
    const refused = { status: 403, code: "license_not_for_work" };
    expect(outcomeOf(await ask([await bearing()], "/songs/2"))).toEqual(refused);
    expect(outcomeOf(await ask([await bearing({ dataset_version: 4 })]))).toEqual(refused);
    expect(outcomeOf(await ask([await bearing({ dataset_id: "ds_2" })]))).toEqual(refused);
    await platform.publishContent({ modality: "image" }, { seq: 2 });
    expect(outcomeOf(await ask([await bearing()]))).toEqual({ status: 403, code: "license_scope_insufficient" });
  });
});

describe("a route", () => {
  test("that is observed lets everybody through and tells what it would have refused", async () => {
    const { ask, platform, edge } = await openWorld({
      LICET_EDGE_ROUTES: "/=enforce /songs/=observe",
      LICET_EDGE_CLIENT_ID: "edge_1",
      LICET_EDGE_CLIENT_SECRET: "secret",
    });
    const taken = { status: 202, body: '{"accepted":1,"refused":[]}' };
    await platform.publish({
      "/oauth/token": { body: '{"access_token":"at","token_type":"Bearer","expires_in":300}' },
      "/api/v1/edge-events": taken,
    });
    expect((await ask([GPTBOT])).text).toBe(PAGE);
    expect((await ask([PERSON])).text).toBe(PAGE);
    expect((await ask([GPTBOT], "/other")).status).toBe(402);
    await edge.settle();
    const sent = async () =>
      (await platform.stand.requests())
        .filter(({ url }) => url === "/api/v1/edge-events")
        .flatMap(({ body }) => body.trim().split("\n"))
        .map((line) => parseJsonObject(line))
        .flatMap((line) => (line.ok ? [line.value] : []));
    await expect.poll(sent, { timeout: 20_000 }).toMatchObject([
      {
        url_sha256: sha256Hex(WORK_URL),
        content_id: "c_1",
        agent: { kind: "token", name: "GPTBot" },
        decision: "refuse",
        code: "license_required",
        mode: "observe",
      },
      { decision: "refuse", code: "license_required", mode: "enforce" },
    ]);
    const [first] = (await platform.stand.requests()).filter(({ url }) => url === "/api/v1/edge-events");
    expect(Object.fromEntries(first?.headers ?? [])).toMatchObject({
      authorization: "Bearer at",
      "content-type": "application/x-ndjson",
      "idempotency-key": expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
  });

  test("that is off is the site's alone, and one for machines asks everybody for a license", async () => {
    const { ask, bearing } = await openWorld({ LICET_EDGE_ROUTES: "/about=off /songs/=enforce+machines" });
    const off = await ask([GPTBOT, ["authorization", "License nonsense"]], "/about");
    expect([off.status, off.headers.get("content-usage")]).toEqual([200, null]);
    expect(outcomeOf(await ask([PERSON]))).toEqual({ status: 402, code: "license_required" });
    expect(outcomeOf(await ask([PERSON, await bearing()]))).toEqual({ status: 200 });
  });

  test("tells of a licensed request whose it was", async () => {
    const { ask, platform, edge, bearing } = await openWorld({
      LICET_EDGE_CLIENT_ID: "edge_1",
      LICET_EDGE_CLIENT_SECRET: "secret",
    });
    await platform.publish({
      "/oauth/token": { body: '{"access_token":"at","token_type":"Bearer","expires_in":300}' },
      "/api/v1/edge-events": { status: 503 },
    });
    await ask([await bearing()]);
    await edge.settle();
    const batches = async () => (await platform.stand.requests()).filter(({ url }) => url === "/api/v1/edge-events");
    await expect.poll(async () => (await batches()).length, { timeout: 20_000 }).toBeGreaterThan(0);
    const [first] = await batches();
    expect(JSON.parse(first?.body ?? "")).toMatchObject({
      dataset_id: "ds_1",
      license_id: "lic_1",
      marketplace: "mkt_1",
      agent: { kind: "license", name: "mkt_1" },
      decision: "pass",
    });
    await platform.publish({ "/api/v1/edge-events": { status: 202 } });
    // On Workers a request brings the next sending with it; on Node a timer does.
    if (IN_WORKERD) await ask([GPTBOT]);
    await edge.settle();
    await expect.poll(async () => (await batches()).length, { timeout: 20_000 }).toBeGreaterThan(1);
    const [, again] = await batches();
    const keyOf = (request: typeof first) => request?.headers.find(([name]) => name === "idempotency-key")?.[1];
    expect([again?.body, keyOf(again)]).toEqual([first?.body, keyOf(first)]);
  });
});
