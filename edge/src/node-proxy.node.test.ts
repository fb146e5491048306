import { once } from "node:events";
import { createServer } from "node:http";
import { type Socket, connect } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { listen, openEdge, openSite, sendRaw } from "./testing/raw-requests.ts";
import { GPTBOT, PERSON, openWorld, outcomeOf } from "./testing/world.ts";

const HOST = "host: works.example\r\n";
const CLOSE = "connection: close\r\n";
const UPGRADE = "connection: upgrade\r\nupgrade: websocket\r\n";
const CRAWLER = `${GPTBOT.join(": ")}\r\n`;

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
        ["connection", "close"],
        ["keep-alive", "timeout=5"],
        ["te", "trailers"],
      ],
    });
    expect([answered.status, answered.text, answered.headers.get("x-site")]).toEqual([201, "made", "1"]);
    const [request] = await world.site.requests();
    expect([request?.method, request?.url, request?.body]).toEqual(["PUT", "/form", "x=1"]);
    const headers = request?.headers ?? [];
    expect(headers.filter(([name]) => name === "x-twice").map(([, value]) => value)).toEqual(["a", "b"]);
    const named = Object.fromEntries(headers);
    expect(named).toMatchObject({
      host: "works.example",
      "content-length": "3",
      "x-forwarded-for": "127.0.0.1",
      "x-forwarded-proto": "https",
      "x-forwarded-host": "works.example",
    });
    expect([named["keep-alive"], named["te"]]).toEqual([undefined, undefined]);
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
    const { origin } = await openEdge({ upstream: await listen(site) });
    await expect(fetch(origin).then((response) => response.text())).rejects.toThrow(TypeError);
  });

  test("lets go of the site when the reader leaves", async () => {
    let hasLeft = false;
    const site = createServer((_request, response) => {
      response.on("close", () => (hasLeft = true));
      response.write("on and on");
    });
    const { origin } = await openEdge({ upstream: await listen(site) });
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
    ["a fragment in the target", "GET /about#/../songs/1 HTTP/1.1\r\nhost: works.example\r\n"],
    ["a backslash in the target", "GET /about\\..\\songs/1 HTTP/1.1\r\nhost: works.example\r\n"],
    ["a control byte in the target", "GET /songs/1\x01 HTTP/1.1\r\nhost: works.example\r\n"],
    ["a byte beyond ASCII in the target", "GET /s\xf6ngs/1 HTTP/1.1\r\nhost: works.example\r\n"],
    ["a path in Host", "GET /1 HTTP/1.1\r\nhost: works.example/songs\r\n"],
    ["a user in Host", "GET /songs/1 HTTP/1.1\r\nhost: other@works.example\r\n"],
    ["a fragment in Host", "GET /songs/1 HTTP/1.1\r\nhost: works.example#\r\n"],
    ["an empty Host", "GET /songs/1 HTTP/1.1\r\nhost:\r\n"],
    ["another coding than chunked", "POST / HTTP/1.1\r\nhost: works.example\r\ntransfer-encoding: gzip, chunked\r\n"],
    [
      "a length beside chunks",
      "POST / HTTP/1.1\r\nhost: works.example\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n",
    ],
    ["two lengths", "POST / HTTP/1.1\r\nhost: works.example\r\ncontent-length: 3\r\ncontent-length: 3\r\n"],
    [
      "h2c",
      "GET /songs/1 HTTP/1.1\r\nhost: works.example\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n",
    ],
    ["an upgrade by POST", `POST /songs/1 HTTP/1.1\r\nhost: works.example\r\n${UPGRADE}`],
    ["an upgrade with a body", `GET /songs/1 HTTP/1.1\r\nhost: works.example\r\ncontent-length: 4\r\n${UPGRADE}`],
    ["an upgrade to two protocols", `GET / HTTP/1.1\r\nhost: works.example\r\nupgrade: h2c\r\n${UPGRADE}`],
  ])("refuses %s", async (_name, head) => {
    const text = await sendRaw((await openEdge()).origin, `${head}connection: close\r\n\r\n`);
    expect(text).toMatch(/^HTTP\/1\.1 400 /);
  });

  test("does not take another Host, or another spelling of it, for another site", async () => {
    const { origin } = await openEdge();
    for (const host of ["other.example", "WORKS.example:443", "works.example."]) {
      const head = `GET /songs/1 HTTP/1.1\r\nhost: ${host}\r\n${GPTBOT.join(": ")}\r\nconnection: close\r\n\r\n`;
      expect(await sendRaw(origin, head)).toMatch(/^HTTP\/1\.1 402 /);
    }
  });
});

describe("where a request ends", () => {
  const smuggled = "GET /smuggled HTTP/1.1\r\nhost: works.example\r\n\r\n";

  test.each(["GET", "HEAD", "DELETE", "OPTIONS", "POST"])(
    "is what the edge read, whatever Connection names: a body of %s is no second request",
    async (method) => {
      const { origin: upstream, got } = await openSite();
      const { origin } = await openEdge({ upstream });
      for (const names of ["content-length", "transfer-encoding", "host, content-length, x-forwarded-for"])
        for (const framed of [
          `content-length: ${smuggled.length}\r\n\r\n${smuggled}`,
          `transfer-encoding: chunked\r\n\r\n${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`,
        ]) {
          const text = await sendRaw(
            origin,
            `${method} /page HTTP/1.1\r\n${HOST}connection: close, ${names}\r\n${framed}`,
          );
          expect(text).toMatch(/^HTTP\/1\.1 200 /);
        }
      expect(got.map(({ line }) => line)).toEqual(Array.from({ length: 6 }, () => `${method} /page`));
      expect(got.map(({ body }) => body)).toEqual(Array.from({ length: 6 }, () => smuggled));
      expect(new Set(got.map(({ headers }) => headers["host"]))).toEqual(new Set(["works.example"]));
    },
  );

  test("leaves what else Connection names, and drops what is for one connection", async () => {
    const { origin: upstream, got } = await openSite();
    const { origin } = await openEdge({ upstream });
    const lines = `${HOST}connection: close, cookie, authorization\r\ncookie: a=b\r\nauthorization: Basic YTpi\r\ntrailer: x\r\n`;
    await sendRaw(origin, `GET /page HTTP/1.1\r\n${lines}\r\n`);
    expect(got[0]?.headers).toMatchObject({ cookie: "a=b", authorization: "Basic YTpi" });
    expect(got[0]?.headers["trailer"]).toBeUndefined();
  });
});

describe("what the site is asked for", () => {
  test.each([
    ["/songs/2/%2e%2E/1?a=%2e%2e&b", "/songs/1?a=%2e%2e&b"],
    ["/./a//b/../c", "/a//c"],
    ["/a?", "/a"],
  ])("is the address that was judged: %s", async (target, path) => {
    const { origin: upstream, got } = await openSite();
    const { origin } = await openEdge({ upstream });
    await sendRaw(origin, `GET ${target} HTTP/1.1\r\n${HOST}${CLOSE}\r\n`);
    expect(got.map(({ line }) => line)).toEqual([`GET ${path}`]);
  });

  test("is at the host that was judged, and at no address that a header names", async () => {
    const { origin: upstream, got } = await openSite();
    const { origin } = await openEdge({ upstream });
    const others = ["X-Original-URL", "x-rewrite-url", "X_Original_URL"]
      .map((name) => `${name}: /songs/1\r\n`)
      .join("");
    await sendRaw(origin, `GET /a HTTP/1.1\r\nhost: other.example\r\n${others}${CLOSE}\r\n`);
    const { host, ...headers } = got[0]?.headers ?? {};
    expect([host, Object.values(headers).includes("/songs/1")]).toEqual(["works.example", false]);
  });

  test("of several sites is at the one that Host names, and at none that is not listed", async () => {
    const { origin: upstream, got } = await openSite();
    const site = ["https://works.example", "https://b.example:8443", "http://[::1]:8080"];
    const { origin } = await openEdge({ upstream, site });
    const ask = (host: string): Promise<string> => sendRaw(origin, `GET /a HTTP/1.1\r\nhost: ${host}\r\n${CLOSE}\r\n`);
    for (const host of ["WORKS.example.:443", "b.EXAMPLE:8443", "[::1]:8080"])
      expect(await ask(host)).toMatch(/^HTTP\/1\.1 200 /);
    expect(got.map(({ headers }) => headers["host"])).toEqual(["works.example", "b.example:8443", "[::1]:8080"]);
    for (const host of ["other.example", "b.example", "works.example.other.example", "[::2]:8080"])
      expect(await ask(host)).toMatch(/^HTTP\/1\.1 400 /);
  });
});

describe("who sent a request", () => {
  const claims =
    "x-forwarded-for: 192.0.2.1\r\nx-forwarded-proto: ftp\r\nx-forwarded-host: evil.example\r\nforwarded: for=192.0.2.1\r\nx-forwarded-port: 1\r\nX_Forwarded_Host: evil.example\r\n";
  const ask = (origin: string): Promise<string> => sendRaw(origin, `GET /a HTTP/1.1\r\n${HOST}${claims}${CLOSE}\r\n`);

  test("is what the edge sees, not what the sender says", async () => {
    const { origin: upstream, got } = await openSite();
    await ask((await openEdge({ upstream, trustedProxies: ["192.0.2.0/24", "::1"] })).origin);
    expect(got[0]?.headers).toMatchObject({
      "x-forwarded-for": "127.0.0.1",
      "x-forwarded-proto": "https",
      "x-forwarded-host": "works.example",
    });
    expect(Object.keys(got[0]?.headers ?? {}).filter((name) => /forwarded.(host|port)|^forwarded$/.test(name))).toEqual(
      ["x-forwarded-host"],
    );
  });

  test("is what a trusted proxy says", async () => {
    const { origin: upstream, got } = await openSite();
    await ask((await openEdge({ upstream, trustedProxies: ["127.0.0.0/8"] })).origin);
    expect(got[0]?.headers).toMatchObject({
      "x-forwarded-for": "192.0.2.1, 127.0.0.1",
      "x-forwarded-proto": "ftp",
      "x-forwarded-host": "evil.example",
      forwarded: "for=192.0.2.1",
    });
  });
});

describe("a connection to the site", () => {
  /** A site that answers the first request of a connection, and breaks the connection at the second. */
  async function openBreakingSite() {
    const lines: string[] = [];
    const asked = new WeakSet<Socket>();
    const server = createServer((request, response) => {
      lines.push(`${request.method} ${request.url}`);
      if (asked.has(request.socket)) request.socket.destroy();
      else response.end("the site");
      asked.add(request.socket);
    });
    return { origin: await listen(server), lines };
  }

  test.each([
    ["GET", 200, 3],
    ["HEAD", 200, 3],
    ["POST", 502, 2],
    ["DELETE", 502, 2],
    ["PUT", 502, 2],
  ])("that breaks is tried again for what changes nothing alone: %s", async (method, status, times) => {
    const { origin: upstream, lines } = await openBreakingSite();
    const { origin } = await openEdge({ upstream });
    await sendRaw(origin, `GET /first HTTP/1.1\r\n${HOST}${CLOSE}\r\n`);
    const text = await sendRaw(origin, `${method} /second HTTP/1.1\r\n${HOST}${CLOSE}\r\n`);
    expect([text.slice(9, 12), lines.length]).toEqual([String(status), times]);
  });

  test("is not one client's alone: others are served while its requests wait for their turn", async () => {
    let isOpen = false;
    const held: (() => void)[] = [];
    const server = createServer((request, response) => {
      if (request.url === "/slow" && !isOpen) held.push(() => response.end("slow"));
      else response.end("the site");
    });
    const upstream = await listen(server);
    const { origin } = await openEdge({ upstream, clientConnections: 2, trustedProxies: ["127.0.0.1"] });
    const ask = (client: string, path: string): Promise<string> =>
      sendRaw(origin, `GET ${path} HTTP/1.1\r\n${HOST}x-forwarded-for: ${client}\r\n${CLOSE}\r\n`);
    const greedy = Array.from({ length: 6 }, () => ask("192.0.2.1", "/slow"));
    await expect.poll(() => held.length).toBe(2);
    expect(await ask("192.0.2.2", "/page")).toMatch(/^HTTP\/1\.1 200 /);
    expect(held.length).toBe(2);
    isOpen = true;
    for (const release of held) release();
    for (const text of await Promise.all(greedy)) expect(text).toMatch(/^HTTP\/1\.1 200 /);
  });
});

describe("a WebSocket", () => {
  async function openEchoSite() {
    const site = createServer((_request, response) => response.end("the site"));
    site.on("upgrade", (_request, socket) => {
      socket.write("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n");
      socket.on("error", () => socket.destroy());
      socket.pipe(socket);
    });
    return listen(site);
  }
  const head = `GET /songs/1 HTTP/1.1\r\n${HOST}${UPGRADE}`;

  test("is handed on to people, and not to a crawler without a license", async () => {
    const { origin } = await openEdge({ upstream: await openEchoSite() });
    expect(await sendRaw(origin, `${head}\r\n`, "hello")).toMatch(/^HTTP\/1\.1 101 .*hello$/s);
    expect(await sendRaw(origin, `${head}${CRAWLER}\r\n`)).toMatch(/^HTTP\/1\.1 402 .*license_required/s);
  });

  test("of a license ends after the first clock, and a person's does not", async () => {
    const settings = { LICET_EDGE_TTL_SECONDS: "0.5" };
    const { origin, platform } = await openEdge({ upstream: await openEchoSite(), settings });
    const { hostname, port } = new URL(origin);
    const person = connect(Number(port), hostname);
    onTestFinished(() => void person.destroy());
    let heard = "";
    person.on("data", (chunk: Buffer) => (heard += chunk.toString("utf8")));
    person.write(`${head}\r\n`);
    await expect.poll(() => heard).toMatch(/^HTTP\/1\.1 101 /);
    const license = `authorization: License ${await platform.license()}\r\n`;
    expect(await sendRaw(origin, `${head}${CRAWLER}${license}\r\n`)).toMatch(/^HTTP\/1\.1 101 /);
    person.write("still here");
    await expect.poll(() => heard).toMatch(/still here$/);
  });

  test("does not keep the edge from ending", async () => {
    const { origin, close } = await openEdge({ upstream: await openEchoSite() });
    const { hostname, port } = new URL(origin);
    const person = connect(Number(port), hostname);
    onTestFinished(() => void person.destroy());
    person.write(`${head}\r\n`);
    await once(person, "data");
    await Promise.all([once(person, "close"), close()]);
  });
});
