import { once } from "node:events";
import { type Socket, connect } from "node:net";
import { describe, expect, test } from "vitest";
import { expectStatus, fetchAccessToken } from "../../../test/fixtures/actors.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { rawRequest } from "../../../test/fixtures/raw-request.ts";

/* What no client library would send, byte for byte. */
const MAX_CONNECTIONS_PER_ADDRESS = 24;
const platform = await startPlatform({
  connectionLimits: {
    maxConnections: 1_000,
    maxConnectionsPerAddress: MAX_CONNECTIONS_PER_ADDRESS,
    headersSeconds: 1,
    requestSeconds: 2,
  },
});
const port = Number(new URL(platform.origin).port);
const HOST = "Host: x\r\n";
const AUTH = `Authorization: Bearer ${platform.operatorToken}\r\n`;
const POST = `POST /api/v1/creators HTTP/1.1\r\n${HOST}${AUTH}Content-Type: application/json\r\n`;

interface Wire {
  readonly socket: Socket;
  /** All that came back until the connection was closed. */
  readonly answer: Promise<string>;
}

function open(): Wire {
  const socket = connect(port, "127.0.0.1");
  const chunks: string[] = [];
  socket.on("data", (chunk) => chunks.push(chunk.toString("latin1")));
  socket.on("error", () => undefined);
  return { socket, answer: new Promise((resolve) => socket.on("close", () => resolve(chunks.join("")))) };
}

/** Sends these bytes and answers with what came back until the server closed the connection. */
async function say(bytes: string): Promise<string> {
  const { socket, answer } = open();
  socket.write(bytes, "latin1");
  return answer;
}

function statusesOf(answer: string): readonly number[] {
  return [...answer.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((match) => Number(match[1]));
}

async function expectAlive(): Promise<void> {
  expectStatus(await platform.anonymous.get("/healthz"), 200);
}

const BODY = '{"creator_id":"smuggled"}';
const CHUNKED = `${BODY.length.toString(16)}\r\n${BODY}\r\n0\r\n\r\n`;

describe("a request that two readers could cut in two ways", () => {
  test.each<[what: string, bytes: string]>([
    [
      "Content-Length beside Transfer-Encoding",
      `${POST}Content-Length: ${BODY.length}\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNKED}`,
    ],
    [
      "Transfer-Encoding before Content-Length",
      `${POST}Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n${CHUNKED}`,
    ],
    ["two unlike Content-Lengths", `${POST}Content-Length: 0\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`],
    [
      "two like Content-Lengths",
      `${POST}Content-Length: ${BODY.length}\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`,
    ],
    ["a list of Content-Lengths", `${POST}Content-Length: ${BODY.length}, ${BODY.length}\r\n\r\n${BODY}`],
    ["a negative Content-Length", `${POST}Content-Length: -1\r\n\r\n${BODY}`],
    ["a signed Content-Length", `${POST}Content-Length: +${BODY.length}\r\n\r\n${BODY}`],
    ["a hexadecimal Content-Length", `${POST}Content-Length: 0x19\r\n\r\n${BODY}`],
    ["a Content-Length beyond 2^64", `${POST}Content-Length: 99999999999999999999999\r\n\r\n${BODY}`],
    ["Transfer-Encoding twice", `${POST}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNKED}`],
    ["chunked that is not the last encoding", `${POST}Transfer-Encoding: chunked, identity\r\n\r\n${CHUNKED}`],
    ["an encoding nobody knows", `${POST}Transfer-Encoding: xchunked\r\n\r\n${CHUNKED}`],
    ["a space before the colon", `${POST}Transfer-Encoding : chunked\r\n\r\n${CHUNKED}`],
    ["a folded header", `${POST}X-A: b\r\n c: d\r\nContent-Length: 0\r\n\r\n`],
    ["a folded Transfer-Encoding", `${POST}Transfer-Encoding:\r\n chunked\r\nContent-Length: 0\r\n\r\n${CHUNKED}`],
    ["bare line feeds", POST.replaceAll("\r\n", "\n") + `Content-Length: ${BODY.length}\n\n${BODY}`],
    ["bare carriage returns", `${POST}X-A: b\rContent-Length: 0\r\n\r\n${BODY}`],
    ["a chunk size that is no number", `${POST}Transfer-Encoding: chunked\r\n\r\nzz\r\n${BODY}\r\n0\r\n\r\n`],
    ["a negative chunk size", `${POST}Transfer-Encoding: chunked\r\n\r\n-19\r\n${BODY}\r\n0\r\n\r\n`],
    ["a chunk size beyond 2^64", `${POST}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n${BODY}\r\n0\r\n\r\n`],
    ["a chunk longer than its size", `${POST}Transfer-Encoding: chunked\r\n\r\n1\r\n${BODY}\r\n0\r\n\r\n`],
    [
      "chunk extensions without end",
      `${POST}Transfer-Encoding: chunked\r\n\r\n1;${"a".repeat(40_000)}\r\n{\r\n0\r\n\r\n`,
    ],
    ["NUL in a header", `${POST}X-A: b\0c\r\nContent-Length: 0\r\n\r\n`],
    ["NUL in the target", `GET /healthz\0 HTTP/1.1\r\n${HOST}\r\n`],
    ["a header without a name", `${POST}: x\r\nContent-Length: 0\r\n\r\n`],
    ["no Host", "GET /healthz HTTP/1.1\r\n\r\n"],
    ["two Hosts", `GET /healthz HTTP/1.1\r\n${HOST}Host: y\r\n\r\n`],
    ["two Authorizations", `GET /api/v1/creators HTTP/1.1\r\n${HOST}Authorization: Bearer x\r\n${AUTH}\r\n`],
    ["HTTP/2 without asking", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
    ["HTTP/9.9", `GET /healthz HTTP/9.9\r\n${HOST}\r\n`],
    ["TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
  ])("by %s is refused, and its connection closed", async (_what, bytes) => {
    const answer = await say(bytes);
    expect(statusesOf(answer).length).toBeLessThanOrEqual(1);
    for (const status of statusesOf(answer)) expect([400, 404, 408, 413, 431, 501, 505]).toContain(status);
    expect((await platform.operator.get("/api/v1/creators")).body.creators).toEqual([]);
  });

  test("tells in the product's own words what is wrong", async () => {
    const answer = await say(`GET /healthz HTTP/1.1\r\n${HOST}Host: y\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 400 [\s\S]*application\/problem\+json[\s\S]*"code":"request_malformed"/);
    const unreadable = await say("GET /healthz HTTP/1.1\r\nA b: c\r\n\r\n");
    expect(unreadable).toMatch(/^HTTP\/1\.1 400 [\s\S]*application\/problem\+json[\s\S]*"code":"request_malformed"/);
    expect(unreadable).toContain(`${platform.origin}/problems/request_malformed`);
  });

  test("hides no second request from us: what follows an honest one is read for itself", async () => {
    const second = `GET /nothing HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`;
    expect(statusesOf(await say(`GET /healthz HTTP/1.1\r\n${HOST}\r\n${second}`))).toEqual([200, 404]);
    const withBody = `GET /healthz HTTP/1.1\r\n${HOST}Content-Length: ${second.length}\r\nConnection: close\r\n\r\n${second}`;
    expect(statusesOf(await say(withBody))).toEqual([200]);
  });
});

describe("headers without measure", () => {
  test("are refused: a million of them, one that never ends, and 101 short ones", async () => {
    const { socket, answer } = open();
    socket.write(`GET /healthz HTTP/1.1\r\n${HOST}`);
    const line = "a: b\r\n".repeat(10_000);
    for (let sent = 0; sent < 100 && socket.writable; sent += 1)
      if (!socket.write(line)) await Promise.race([once(socket, "drain").catch(() => undefined), answer]);
    expect(await answer).toMatch(/^(HTTP\/1\.1 431|$)/);
    expect(await say(`GET /healthz HTTP/1.1\r\n${HOST}X: ${"a".repeat(100_000)}\r\n\r\n`)).toMatch(
      /^(HTTP\/1\.1 431|$)/,
    );
    const many = Array.from({ length: 101 }, (_, index) => `x${index}: 1\r\n`).join("");
    expect(await say(`GET /healthz HTTP/1.1\r\n${HOST}${many}\r\n`)).toMatch(/^HTTP\/1\.1 431[\s\S]*headers_too_large/);
    await expectAlive();
  });
});

describe("a sender that takes its time", () => {
  test("is cut off while it dribbles headers, and while it dribbles a body", async () => {
    const dribbling = [
      `GET /healthz HTTP/1.1\r\n${HOST}X-Slow: `,
      `${POST}Content-Length: 1000\r\n\r\n{`,
      `${POST}Transfer-Encoding: chunked\r\n\r\n5\r\n{`,
      "",
    ].map((beginning) => {
      const wire = open();
      wire.socket.write(beginning);
      const drip = setInterval(() => wire.socket.writable && wire.socket.write("a"), 200);
      return wire.answer.finally(() => clearInterval(drip));
    });
    for (const answer of await Promise.all(dribbling)) expect(answer).toMatch(/^(HTTP\/1\.1 4\d\d |$)/);
    await expectAlive();
  });
});

test("one address has only so many connections, and gets more when it closes some", async () => {
  const wires = Array.from({ length: MAX_CONNECTIONS_PER_ADDRESS * 2 }, open);
  const ends = wires.map(async ({ answer }) => answer);
  await Promise.race(ends);
  for (const { socket } of wires) socket.destroy();
  await Promise.all(ends);
  await expectAlive();
});

describe("a path", () => {
  const KEYS = "/.well-known/keys.json";
  test.each([
    "/%2e%2e/.well-known/keys.json",
    "/./.well-known/keys.json",
    "/x/../.well-known/keys.json",
    "/x/%2E./.well-known/keys.json",
    "//.well-known/keys.json",
    "/.well-known//keys.json",
    "/.well-known/keys.json/",
    "/.well-known/KEYS.json",
    "/.Well-Known/keys.json",
    "/.well-known/keys%2ejson",
    "/.well-known%2fkeys.json",
    "/.well-known/keys.json%00",
    "/.well-known/keys.json;a=b",
    "/.well-known\\keys.json",
    "/.well-known/%6beys.json",
    "/api/v1/%63reators",
    "/api/v1/x/../creators",
    "/api/v1//creators",
    "/api/v1\\creators",
    "/api/v1/creators%2f",
    "/API/v1/creators",
    "/oauth/%74oken",
    "/oauth/../api/v1/creators",
    "/oauth//token",
    "/OAuth/token",
    "/oauth/nope",
    "/oauth/auth?client_id=x&response_type=code",
    "/oauth/me",
    "/oauth",
  ])("%s leads nowhere", async (target) => {
    for (const method of ["GET", "POST"]) {
      const { status, text, headers } = await rawRequest(platform.origin, target, {
        method,
        headers: { authorization: `Bearer ${platform.operatorToken}` },
      });
      expect({ status, type: headers["content-type"] }).toEqual({ status: 404, type: "application/problem+json" });
      expect(JSON.parse(text)).toMatchObject({ code: "not_found" });
    }
  });

  test("in absolute form is read as if it were ours, whatever host it names", async () => {
    for (const authority of [platform.origin, "http://elsewhere.example", "https://user@elsewhere.example:1"]) {
      expect((await rawRequest(platform.origin, authority + KEYS)).status).toBe(200);
      expect((await rawRequest(platform.origin, `${authority}/x/..${KEYS}`)).status).toBe(404);
    }
    for (const target of ["ftp://elsewhere.example/healthz", "healthz", "*"]) {
      const answer = await say(`OPTIONS ${target} HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`);
      expect(statusesOf(answer)).toEqual([400]);
    }
    expect(statusesOf(await say(`CONNECT elsewhere.example:443 HTTP/1.1\r\n${HOST}\r\n`))).toEqual([]);
  });
});

describe("a content type that lies", () => {
  test.each<[type: string, body: string, status: number]>([
    ["application/json", "grant_type=client_credentials", 400],
    ["text/plain", "grant_type=client_credentials", 400],
    ["application/x-www-form-urlencoded", '{"grant_type":"client_credentials"}', 400],
    ["multipart/form-data; boundary=x", "--x--", 400],
  ])("%s at the token endpoint", async (type, body, status) => {
    const client = await platform.operator.post("/api/v1/clients", { name: "B", scopes: ["content:read"] });
    const { client_id, client_secret } = expectStatus(client, 201).body;
    const authorization = `Basic ${Buffer.from(`${client_id}:${client_secret}`).toString("base64")}`;
    const headers = { authorization, "content-type": type };
    const answer = await platform.anonymous.send("POST", "/oauth/token", { body, headers });
    expect(answer.status).toBe(status);
    expect(answer.body.access_token).toBeUndefined();
  });

  test("an encoding of the body is not undone, and what is no JSON is no JSON", async () => {
    const headers = { "content-type": "application/json", "content-encoding": "gzip" };
    const answer = await platform.operator.send("POST", "/api/v1/creators", { body: "\u001f\u008b", headers });
    expect([400, 415]).toContain(answer.status);
  });
});

describe("an answer that never reaches the router", () => {
  test("has a request id like any other", async () => {
    for (const path of ["/.well-known/keys.json", "/status-lists/999999", "/oauth/jwks", "/oauth/nope"]) {
      const answer = await platform.anonymous.get(path);
      expect(answer.headers.get("x-request-id")).toMatch(/^req_[0-9A-Z]{26}$/);
      if (answer.status >= 400) expect(answer.body.request_id).toBe(answer.headers.get("x-request-id"));
    }
    const token = { clientId: "nobody", clientSecret: "x", scope: "content:read" };
    await expect(fetchAccessToken(platform, token)).rejects.toThrow(/expected 200, got 401/);
  });
});
