import { REFUSALS } from "@licet/protocol";
import { AUTHORIZATION, startServer } from "@licet/server";
import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, inject, test } from "vitest";
import { uniqueId } from "../../../test/fixtures/actors.ts";
import { createCaller } from "../../../test/fixtures/caller.ts";
import { fileOf } from "../../../test/fixtures/child-process.ts";
import { configFor, createTestDatabase } from "../../../test/fixtures/databases.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { type RawAnswer, rawRequest } from "../../../test/fixtures/raw-request.ts";

const platform = await startPlatform();
const JSON_TYPE = { "content-type": "application/json" };
const CREATORS = "/api/v1/creators";

/** Words that stand where another route has an id. */
const READ_AS_IDS = ["GET /api/v1/content/bulk", "GET /api/v1/consents/drafts"];

/** As the operator, with the target exactly as written. */
async function raw(
  target: string,
  init: { readonly method?: string; readonly headers?: Readonly<Record<string, string>>; readonly body?: string } = {},
): Promise<RawAnswer> {
  return rawRequest(platform.origin, target, {
    ...init,
    headers: { authorization: `Bearer ${platform.operatorToken}`, ...init.headers },
  });
}

describe("an answer", () => {
  test("that refuses is a problem (RFC 9457) with a page, a request id and no way into a cache", async () => {
    const answer = await platform.operator.get(`${CREATORS}/nobody`);
    expect(answer.body).toEqual({
      type: `${platform.origin}/problems/not_found`,
      title: "There is no such thing here",
      status: 404,
      code: "not_found",
      detail: "there is no creator nobody",
      request_id: expect.stringMatching(/^req_[0-9A-Z]{26}$/),
    });
    expect(
      Object.fromEntries(
        ["content-type", "cache-control", "x-request-id"].map((name) => [name, answer.headers.get(name)]),
      ),
    ).toEqual({
      "content-type": "application/problem+json",
      "cache-control": "no-store",
      "x-request-id": answer.body.request_id,
    });
  });

  test("that succeeds names its request too, each another", async () => {
    const ids = await Promise.all(
      [1, 2, 3].map(async () => (await platform.operator.get(CREATORS)).headers.get("x-request-id")),
    );
    expect(new Set(ids).size).toBe(3);
    expect(ids).not.toContain(null);
  });

  test("lists every member that is wrong", async () => {
    const { body } = await platform.operator.post("/api/v1/content", {
      creator_id: "..",
      canonical_url: "x",
      sha256: "y",
      mime_type: "z",
      created_at: "now",
      extra: 1,
    });
    expect(body.errors.map((offence: { at: string }) => offence.at).sort()).toEqual([
      "body",
      "body.canonical_url",
      "body.created_at",
      "body.creator_id",
      "body.mime_type",
      "body.mime_type",
      "body.sha256",
    ]);
    expect(body.detail).toMatch(/and 2 more$/);
  });

  test("builds its links from the origin, whatever Host says", async () => {
    const { text } = await raw(`${CREATORS}/nobody`, {
      headers: { host: "evil.example", "x-forwarded-host": "evil.example" },
    });
    expect(text).not.toContain("evil.example");
  });
});

describe("a body is refused", () => {
  test.each<[what: string, body: string]>([
    ["with a member twice", '{"creator_id":"a","creator_id":"b"}'],
    ["with a member twice in another spelling", '{"creator_id":"a","creator\\u005fid":"b"}'],
    ["with a member twice further inside", '{"creator_id":"a","x":{"y":1,"y":2}}'],
    ["with a fraction", '{"creator_id":"a","x":1.5}'],
    ["with an exponent", '{"creator_id":"a","x":1e3}'],
    ["with a number beyond 2^53", '{"creator_id":"a","x":9007199254740993}'],
    ["with half of a character", '{"creator_id":"\\ud800"}'],
    ["33 levels deep", `{"creator_id":${"[".repeat(33)}${"]".repeat(33)}}`],
    ["that is a list", '["a"]'],
    ["that is text", '"a"'],
    ["that is null", "null"],
    ["that is cut short", '{"creator_id":"a"'],
    ["with something behind it", '{"creator_id":"a"}{}'],
    ["that is a form", "creator_id=a"],
    ["that is empty", ""],
    ["with a comment", '{"creator_id":"a"/* */}'],
  ])("%s", async (_what, body) => {
    expect(await platform.operator.send("POST", CREATORS, { body, headers: JSON_TYPE })).toMatchObject({
      status: 400,
      body: { code: "body_malformed" },
    });
    expect((await platform.operator.get(CREATORS)).body.creators).toEqual([]);
  });

  test.each([
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/jsonx",
    "application/json5",
    "text/json",
  ])("of type %s", async (type) => {
    const answer = await platform.operator.send("POST", CREATORS, {
      body: '{"creator_id":"a"}',
      headers: { "content-type": type },
    });
    expect(answer).toMatchObject({ status: 415, body: { code: "media_type_wrong" } });
  });

  test("without a type", async () => {
    expect(await raw(CREATORS, { method: "POST", body: '{"creator_id":"a"}' })).toMatchObject({ status: 415 });
  });

  test("with a member that no rule knows, even one that JavaScript knows", async () => {
    for (const extra of ['"admin":true', '"__proto__":{"admin":true}', '"constructor":{}']) {
      const answer = await platform.operator.send("POST", CREATORS, {
        body: `{"creator_id":"a",${extra}}`,
        headers: JSON_TYPE,
      });
      expect([400, 422]).toContain(answer.status);
    }
    expect((await platform.operator.get(CREATORS)).body.creators).toEqual([]);
  });

  test("over the limit, told or not how long it will be", async () => {
    const body = JSON.stringify({ creator_id: "a".repeat(1_048_576) });
    expect(await platform.operator.send("POST", CREATORS, { body, headers: JSON_TYPE })).toMatchObject({
      status: 413,
      body: { code: "body_too_large" },
    });
    const chunked = await raw(CREATORS, {
      method: "POST",
      body,
      headers: { ...JSON_TYPE, "transfer-encoding": "chunked" },
    });
    expect([chunked.status, JSON.parse(chunked.text).code]).toEqual([413, "body_too_large"]);
  });

  test("over the limit, and the connection it came by is closed, so that no later request is lost with it", async () => {
    const answer = await platform.operator.post(CREATORS, { creator_id: "a".repeat(4_000_000) });
    expect([answer.status, answer.headers.get("connection")]).toEqual([413, "close"]);
    for (let round = 0; round < 15; round += 1) {
      expect((await platform.operator.get(CREATORS)).status).toBe(200);
      await sleep(50);
    }
  });

  test("unread, when the caller may not call", async () => {
    const answer = await platform.anonymous.send("POST", CREATORS, { body: "{", headers: JSON_TYPE });
    expect(answer).toMatchObject({ status: 401, body: { code: "unauthenticated" } });
  });
});

test.each([
  "application/json",
  "Application/JSON; Charset=UTF-8",
  "application/json;charset=utf-8",
  "application/vnd.api+json",
])("a body of type %s is read", async (type) => {
  const creator_id = uniqueId("user:");
  const answer = await platform.operator.send("POST", CREATORS, {
    body: JSON.stringify({ creator_id }),
    headers: { "content-type": type },
  });
  expect(answer).toMatchObject({ status: 201, body: { creator_id } });
});

describe("a path", () => {
  test.each([
    [`${CREATORS}/a%2Fb`, 400],
    [`${CREATORS}/..%2F..%2Fetc`, 400],
    [`${CREATORS}/a..b`, 400],
    [`${CREATORS}/a%00`, 400],
    [`${CREATORS}/%E0%A4%A`, 400],
    [`${CREATORS}/${"a".repeat(129)}`, 400],
    [`${CREATORS}/a%20b`, 400],
    ["/api/v1/datasets/a%5Cb", 400],
    ["/api/v1/consents/ctok_x", 400],
    ["/datasets/x/versions/0/items", 400],
    ["/datasets/x/versions/-1/items", 400],
    ["/datasets/x/versions/1e3/items", 400],
    ["/datasets/x/versions/9999999999/items", 400],
    [`${CREATORS}/..`, 404],
    [`${CREATORS}/%2e%2e/%2e%2e/healthz`, 404],
    [`/${CREATORS}`, 404],
    [`${CREATORS}/`, 404],
    ["/API/V1/CREATORS", 404],
    ["/api/v1/creators;a=b", 404],
    ["/api/v1", 404],
    ["/", 404],
    ["/.git/config", 404],
    ["/api/v1/../../etc/passwd", 404],
  ])("%s is answered %i", async (target, status) => {
    const answer = await raw(target);
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.text)).toMatchObject({ code: status === 400 ? "identifier_invalid" : "not_found" });
  });

  test("that takes other methods says which", async () => {
    const paths = Map.groupBy(Object.keys(AUTHORIZATION), (name) =>
      (name.split(" ")[1] ?? "").replaceAll(/\{\w+\}/g, "x"),
    );
    for (const [path, names] of paths) {
      const methods = names.map((name) => name.split(" ")[0] ?? "");
      for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
        if (methods.includes(method)) continue;
        if (READ_AS_IDS.includes(`${method} ${path}`)) continue;
        const answer = await platform.operator.send(method, path);
        expect({ method, path, status: answer.status, code: answer.body?.code }).toEqual({
          method,
          path,
          status: 405,
          code: "method_not_allowed",
        });
        for (const allowed of methods) expect(answer.headers.get("allow")?.split(", ")).toContain(allowed);
      }
    }
  });

  test("answers HEAD as it answers GET, without the body", async () => {
    expect(await raw("/healthz", { method: "HEAD" })).toMatchObject({ status: 200, text: "" });
    expect(await rawRequest(platform.origin, CREATORS, { method: "HEAD" })).toMatchObject({ status: 401, text: "" });
  });

  test("of 5 000 characters is not read, and headers of 20 000 neither", async () => {
    expect(await raw(`/${"a".repeat(5_000)}`)).toMatchObject({ status: 422 });
    expect(await raw("/healthz", { headers: { cookie: "a".repeat(20_000) } })).toMatchObject({ status: 431 });
    expect((await raw("/healthz", { headers: { authorization: `Bearer ${"a".repeat(9_000)}` } })).status).toBe(401);
  });

  test("in absolute form goes through the same door", async () => {
    expect((await rawRequest(platform.origin, `${platform.origin}${CREATORS}`)).status).toBe(401);
    expect((await rawRequest(platform.origin, `http://elsewhere.example${CREATORS}`)).status).toBe(401);
  });
});

test("the OpenAPI document is the one that is committed; after a change of a schema, run npm run openapi", async () => {
  const committed: unknown = JSON.parse(await readFile(fileOf("server/openapi.json"), "utf8"));
  expect((await platform.anonymous.get("/openapi.json")).body).toEqual(committed);
});

test("a request that is no HTTP is answered and closed", async () => {
  const answer = await new Promise<string>((resolve, reject) => {
    const socket = connect(Number(new URL(platform.origin).port), "127.0.0.1", () => socket.write("HELLO\r\n\r\n"));
    const chunks: string[] = [];
    socket.on("data", (chunk) => chunks.push(chunk.toString()));
    socket.on("close", () => resolve(chunks.join("")));
    socket.on("error", reject);
  });
  expect(answer).toMatch(/^HTTP\/1\.1 400/);
});

describe("the page of a problem", () => {
  test.each(Object.entries(REFUSALS))("%s tells what to do", async (code, { status, title, fix }) => {
    const page = await platform.anonymous.get(`/problems/${code}`);
    expect(page.headers.get("content-type")).toContain("text/html");
    expect(page.text).toContain(`<code>${code}</code>`);
    expect((await platform.anonymous.get(`/problems/${code}`, { accept: "application/json" })).body).toEqual({
      code,
      status,
      title,
      fix,
    });
  });

  test.each(["nothing", "constructor", "__proto__", "toString", "%3Cscript%3E"])("%s does not exist", async (code) => {
    const answer = await platform.anonymous.get(`/problems/${code}`);
    expect(answer).toMatchObject({ status: 404, body: { code: "not_found" } });
  });
});

describe("health and readiness", () => {
  test("are told to anybody", async () => {
    expect(await platform.anonymous.get("/healthz")).toMatchObject({ status: 200, body: { status: "ok" } });
    expect(await platform.anonymous.get("/readyz")).toMatchObject({ status: 200, body: { status: "ok" } });
  });

  test("part when the database is gone: alive, not ready; and a failure tells a stranger nothing", async () => {
    const database = await createTestDatabase(inject("templateFolder"));
    const server = await startServer({ config: configFor(database) });
    const caller = createCaller(server.origin);
    await server.ctx.db.destroy();
    expect((await caller.get("/healthz")).status).toBe(200);
    const readiness = await caller.get("/readyz");
    expect(readiness).toMatchObject({ status: 503, body: { code: "unavailable" } });
    expect(readiness.headers.get("retry-after")).toBe("5");
    const failure = await createCaller(server.origin, "licet_op_x").get(CREATORS);
    expect(failure).toMatchObject({
      status: 500,
      body: {
        code: "internal",
        detail: "the server failed; the log has more under this request_id",
        request_id: expect.any(String),
      },
    });
    await server.stop().catch(() => undefined);
    await database.drop();
  });
});
