import {
  type RefreshedDocument,
  STATUS,
  canonicalize,
  contentStatusPath,
  formatInstant,
  signEdgeRefresh,
} from "@licet/protocol";
import { once } from "node:events";
import { type Server, createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { readEdgeConfig } from "./config.ts";
import { startNodeEdge } from "./node.ts";
import { openStand } from "./testing/stage.ts";
import { PLACES, WORK_URL, now, openPlatform } from "./testing/test-platform.ts";
import { GPTBOT, PERSON, type World, openWorld, outcomeOf } from "./testing/world.ts";

const REFRESH = "/.well-known/licet-refresh";
const LIST = "/status-lists/1";
const JSON_TYPE = ["content-type", "application/json"] as const;

interface RefreshOptions {
  readonly seq?: number;
  readonly age?: number;
  readonly documents?: readonly RefreshedDocument[];
  readonly key?: "platform_document" | "platform_license" | "stranger";
  readonly iss?: string;
}

async function refreshOf({ platform }: World, options: RefreshOptions = {}): Promise<string> {
  const { seq = 1, age = 0, key = "platform_document", iss = platform.origin } = options;
  const { documents = [{ path: LIST, seq: 2 }] } = options;
  const content = { seq, issued_at: formatInstant(now() - age), documents };
  return canonicalize(await signEdgeRefresh(iss, content, await platform.signer(key)));
}

function push({ edge }: World, body: string, headers: readonly (readonly [string, string])[] = [JSON_TYPE]) {
  return edge.ask({ method: "POST", target: REFRESH, headers, body });
}

describe("a refresh by push", () => {
  test("makes the edge refuse at once what it would have let pass for fifteen seconds", async () => {
    const world = await openWorld({ LICET_EDGE_TTL_SECONDS: "15" });
    const { platform, ask, bearing } = world;
    const license = await bearing();
    expect(outcomeOf(await ask([license]))).toEqual({ status: 200 });
    await platform.publishList({ [PLACES.consent]: STATUS.revoked }, { seq: 2 });
    expect(outcomeOf(await ask([license]))).toEqual({ status: 200 });
    const pushed = await push(world, await refreshOf(world));
    expect([pushed.status, JSON.parse(pushed.text)]).toEqual([200, { seq: 1, refreshed: 1, known: false }]);
    expect(outcomeOf(await ask([license]))).toEqual({ status: 403, code: "consent_revoked" });
  });

  test("brings a content status and what else is new, and passes over what an edge does not read", async () => {
    const world = await openWorld({ LICET_EDGE_TTL_SECONDS: "15" });
    const license = await world.bearing();
    await world.ask([license]);
    await world.platform.publishContent({ grants: [] }, { seq: 2 });
    const documents = [
      { path: contentStatusPath(WORK_URL), seq: 2 },
      { path: "/datasets/ds_1/manifest.json", seq: 9 },
    ];
    const pushed = await push(world, await refreshOf(world, { documents }));
    expect(JSON.parse(pushed.text)).toEqual({ seq: 1, refreshed: 2, known: false });
    await world.platform.stand.shut();
    expect(outcomeOf(await world.ask([license]))).toEqual({ status: 403, code: "license_not_for_work" });
  });

  test("is known again when it comes twice, and fetches nothing then", async () => {
    const world = await openWorld();
    const refresh = await refreshOf(world, { documents: [{ path: LIST, seq: 1 }] });
    await push(world, refresh);
    const asked = (await world.platform.stand.requests()).length;
    expect(JSON.parse((await push(world, refresh)).text)).toEqual({ seq: 1, refreshed: 0, known: true });
    const lists = (await world.platform.stand.requests()).slice(asked).filter(({ url }) => url === LIST);
    expect(lists).toEqual([]);
  });

  test("in another order than it was sent is followed all the same", async () => {
    const world = await openWorld();
    await world.platform.publishList({}, { seq: 2 });
    expect((await push(world, await refreshOf(world, { seq: 9 }))).status).toBe(200);
    const documents = [{ path: LIST, seq: 1 }];
    expect(JSON.parse((await push(world, await refreshOf(world, { seq: 8, documents }))).text)).toMatchObject({
      known: false,
    });
  });

  test.each([
    ["signed by a stranger", { key: "stranger" }, 401, "signature_missing"],
    ["signed with a key for licenses", { key: "platform_license" }, 401, "key_purpose_wrong"],
    ["older than five minutes", { age: 301 }, 503, "document_expired"],
    ["from the future", { age: -120 }, 503, "document_expired"],
    ["of another platform", { iss: "https://platform.example" }, 502, "document_invalid"],
    ["of a path that leads elsewhere", { documents: [{ path: "//other.example/x", seq: 1 }] }, 502, "document_invalid"],
    ["of no document", { documents: [] }, 502, "document_invalid"],
  ] as const)("%s is refused, and changes nothing", async (_name, options, status, code) => {
    const world = await openWorld({ LICET_EDGE_TTL_SECONDS: "15" });
    const license = await world.bearing();
    await world.ask([license]);
    await world.platform.publishList({ [PLACES.consent]: STATUS.revoked }, { seq: 2 });
    expect(outcomeOf(await push(world, await refreshOf(world, options)))).toEqual({ status, code });
    expect(outcomeOf(await world.ask([license]))).toEqual({ status: 200 });
  });

  test("that was altered, is no JSON, too long, or comes by another method is refused", async () => {
    const world = await openWorld();
    const refresh = await refreshOf(world);
    expect(outcomeOf(await push(world, refresh.replace('"seq":1', '"seq":2')))).toEqual({
      status: 401,
      code: "signature_invalid",
    });
    expect(outcomeOf(await push(world, "refresh!"))).toEqual({ status: 400, code: "json_malformed" });
    expect(outcomeOf(await push(world, "x".repeat(300_000)))).toEqual({ status: 413, code: "body_too_large" });
    expect(outcomeOf(await push(world, refresh, []))).toEqual({ status: 415, code: "media_type_wrong" });
    const got = await world.edge.ask({ target: REFRESH });
    expect([got.status, got.headers.get("allow")]).toEqual([405, "POST"]);
  });

  test("of a document that cannot be fetched lets nobody through by the old copy, and may be sent again", async () => {
    const world = await openWorld({ LICET_EDGE_TTL_SECONDS: "15" });
    const license = await world.bearing();
    await world.ask([license]);
    await world.platform.publish({ [LIST]: { status: 500 } });
    const refresh = await refreshOf(world);
    expect(outcomeOf(await push(world, refresh))).toMatchObject({ status: 503, code: "unavailable" });
    expect(outcomeOf(await world.ask([license]))).toEqual({ status: 503, code: "facts_unavailable" });
    await world.platform.publishList({ [PLACES.consent]: STATUS.revoked }, { seq: 2 });
    expect((await push(world, refresh)).status).toBe(200);
    expect(outcomeOf(await world.ask([license]))).toEqual({ status: 403, code: "consent_revoked" });
  });
});

describe("a refresh that says which seq a document must have", () => {
  const demanded = (seq: number) => ({ documents: [{ path: LIST, seq }] });

  test("is followed once it is there, and lets nobody through by a lower one before or after", async () => {
    const world = await openWorld({ LICET_EDGE_TTL_SECONDS: "15" });
    const license = await world.bearing();
    await world.ask([license]);
    const refresh = await refreshOf(world, demanded(3));
    const refused = await push(world, refresh);
    expect(outcomeOf(refused)).toEqual({ status: 503, code: "unavailable", cause: "unavailable" });
    expect(JSON.parse(refused.text)).toMatchObject({ errors: [{ at: LIST }] });
    expect(outcomeOf(await world.ask([license]))).toEqual({ status: 503, code: "facts_unavailable" });
    await world.platform.publishList({}, { seq: 2 });
    expect((await push(world, refresh)).status).toBe(503);
    expect(outcomeOf(await world.ask([license]))).toEqual({ status: 503, code: "facts_unavailable" });
    await world.platform.publishList({ [PLACES.consent]: STATUS.revoked }, { seq: 3 });
    expect((await push(world, refresh)).status).toBe(200);
    expect(outcomeOf(await world.ask([license]))).toEqual({ status: 403, code: "consent_revoked" });
  });

  test("is not followed by the word that there is none, unless none is demanded", async () => {
    const world = await openWorld();
    await world.platform.publish({ [LIST]: { status: 404 } });
    expect((await push(world, await refreshOf(world, demanded(1)))).status).toBe(503);
    expect((await push(world, await refreshOf(world, { seq: 2, ...demanded(0) }))).status).toBe(200);
  });
});

describe("the proxy on Node", () => {
  test("hands on method, body, headers and answer as they are, without what is for one connection", async () => {
    const world = await openWorld();
    await world.site.answer({
      "/form": { status: 201, headers: { "x-site": "1", "set-cookie": "a=b" }, body: "made" },
    });
    const answered = await world.edge.ask({
      method: "PUT",
      target: "/form",
      body: "x=1",
      headers: [
        PERSON,
        ["x-twice", "a"],
        ["x-twice", "b"],
        ["connection", "close, x-hop"],
        ["x-hop", "1"],
        ["x-forwarded-for", "192.0.2.1"],
      ],
    });
    expect([answered.status, answered.text, answered.headers.get("x-site")]).toEqual([201, "made", "1"]);
    const [request] = await world.site.requests();
    expect([request?.method, request?.url, request?.body]).toEqual(["PUT", "/form", "x=1"]);
    const headers = request?.headers ?? [];
    expect(headers.filter(([name]) => name === "x-twice").map(([, value]) => value)).toEqual(["a", "b"]);
    const named = Object.fromEntries(headers);
    expect([named["x-hop"], named["host"], named["x-forwarded-proto"]]).toEqual([undefined, "works.example", "https"]);
    expect(named["x-forwarded-for"]).toMatch(/^192\.0\.2\.1, (::ffff:)?127\.0\.0\.1$/);
  });

  test("says 502 while the site is away", async () => {
    const world = await openWorld();
    await world.site.shut();
    expect(outcomeOf(await world.ask([PERSON]))).toEqual({ status: 502, code: "source_unavailable" });
  });

  test("cuts the reader off where the site breaks off, before its answer or in the middle of it", async () => {
    const world = await openWorld();
    await world.site.answer({ "/broken": { hangsUp: true } });
    expect((await world.ask([PERSON], "/broken")).status).toBe(502);
    const site = createServer((_request, response) => {
      response.writeHead(200, { "content-length": "100" }).write("half", () => response.destroy());
    });
    const origin = await openEdge(await listen(site));
    await expect(fetch(origin).then((response) => response.text())).rejects.toThrow(TypeError);
  });

  test("lets go of the site when the reader leaves", async () => {
    let hasLeft = false;
    const site = createServer((_request, response) => {
      response.on("close", () => (hasLeft = true));
      response.write("on and on");
    });
    const origin = await openEdge(await listen(site));
    const leaving = new AbortController();
    const response = await fetch(origin, { signal: leaving.signal });
    expect(response.status).toBe(200);
    leaving.abort();
    await expect.poll(() => hasLeft, { timeout: 10_000 }).toBe(true);
  });

  test.each([
    ["two Host headers", "GET /songs/1 HTTP/1.1\r\nhost: works.example\r\nhost: other.example\r\n"],
    ["no Host header", "GET /songs/1 HTTP/1.0\r\n"],
    ["a whole URL as target", "GET http://other.example/songs/1 HTTP/1.1\r\nhost: works.example\r\n"],
    ["an authority as target", "GET works.example HTTP/1.1\r\nhost: works.example\r\n"],
  ])("refuses %s", async (_name, head) => {
    const text = await sendRaw(await openEdge(), `${head}connection: close\r\n\r\n`);
    expect(text).toMatch(/^HTTP\/1\.1 400 /);
  });

  test("does not take another Host, or another spelling of it, for another site", async () => {
    const origin = await openEdge();
    for (const host of ["other.example", "WORKS.example:443", "works.example."]) {
      const head = `GET /songs/1 HTTP/1.1\r\nhost: ${host}\r\n${GPTBOT.join(": ")}\r\nconnection: close\r\n\r\n`;
      expect(await sendRaw(origin, head)).toMatch(/^HTTP\/1\.1 402 /);
    }
  });

  test("hands on a connection that becomes another protocol, to people", async () => {
    const site = createServer();
    site.on("upgrade", (_request, socket) => {
      socket.write("HTTP/1.1 101 Switching Protocols\r\nupgrade: echo\r\nconnection: upgrade\r\n\r\n");
      socket.pipe(socket);
    });
    const edge = await openEdge(await listen(site));
    const head = "GET /chat HTTP/1.1\r\nhost: works.example\r\nconnection: upgrade\r\nupgrade: echo\r\n";
    expect(await sendRaw(edge, `${head}\r\n`, "hello")).toMatch(/^HTTP\/1\.1 101 .*hello$/s);
    expect(await sendRaw(edge, `${head}${GPTBOT.join(": ")}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 402 /);
  });
});

async function listen(site: Server): Promise<string> {
  site.listen(0, "127.0.0.1");
  await once(site, "listening");
  onTestFinished(() => {
    site.close();
    site.closeAllConnections();
  });
  return `http://127.0.0.1:${(site.address() as AddressInfo).port}`;
}

async function openEdge(upstream?: string): Promise<string> {
  const [platform, site] = await Promise.all([openPlatform(), openStand()]);
  const config = readEdgeConfig({ LICET_ORIGIN: platform.origin });
  const edge = await startNodeEdge({
    config,
    upstream: upstream ?? site.origin,
    site: "https://works.example",
    host: "127.0.0.1",
    port: 0,
    log: () => undefined,
  });
  onTestFinished(edge.close);
  return edge.origin;
}

/** Sends these very bytes; and `then`, once something came, until it has come back. */
async function sendRaw(origin: string, bytes: string, then?: string): Promise<string> {
  const { port, hostname } = new URL(origin);
  const socket = connect({ port: Number(port), host: hostname });
  socket.write(bytes);
  let text = "";
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    if (text === "" && then !== undefined) socket.write(then);
    text += chunk.toString("utf8");
    if (then !== undefined && text.endsWith(then)) break;
  }
  socket.destroy();
  return text;
}
