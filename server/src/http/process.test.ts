import { generatePrivateJwk, publicJwkOf, signCompactJws, signJwsInput, signerOf } from "@licet/protocol";
import { startServer } from "@licet/server";
import { once } from "node:events";
import { type Socket, connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, inject, test } from "vitest";
import { expectStatus, fetchAccessToken } from "../../../test/fixtures/actors.ts";
import { createCaller } from "../../../test/fixtures/caller.ts";
import { fileOf, startChild } from "../../../test/fixtures/child-process.ts";
import { configFor, createTestDatabase } from "../../../test/fixtures/databases.ts";

const MAIN = fileOf("server/src/main.ts");

interface Ready {
  readonly ready: true;
  readonly origin: string;
  readonly operator_token: string;
}

describe("the server as a process", () => {
  test("writes structured logs without a token, secret, proof or signature, and stops with 0", async () => {
    const database = await createTestDatabase(inject("templateFolder"));
    const storage: Record<string, string> =
      database.databaseUrl === undefined ? {} : { DATABASE_URL: database.databaseUrl };
    const child = await startChild<Ready>(MAIN, {
      LICET_PORT: "0",
      LICET_DATA_DIR: database.dataFolder,
      LICET_LOG_LEVEL: "trace",
      ...storage,
    });
    const log: string[] = [];
    child.process.stderr?.on("data", (chunk: Buffer) => log.push(chunk.toString("utf8")));
    const secrets = await useEverything(child.ready);
    await child.stop();
    expect(child.process.exitCode).toBe(0);

    const lines = log.join("").trimEnd().split("\n");
    for (const secret of secrets) expect(lines.filter((line) => line.includes(secret))).toEqual([]);
    const requests = lines.map((line) => JSON.parse(line)).filter((line) => line.msg === "request");
    expect(requests.length).toBeGreaterThan(8);
    for (const line of requests)
      expect(line).toMatchObject({
        request_id: expect.stringMatching(/^req_/),
        method: expect.any(String),
        path: expect.any(String),
        status: expect.any(Number),
        caller: expect.any(String),
        duration_ms: expect.any(Number),
      });
    await database.drop();
  });
});

/** Sends every kind of secret through the front door, in good and bad requests, and answers them all. */
async function useEverything({ origin, operator_token }: Ready): Promise<readonly string[]> {
  const operator = createCaller(origin, operator_token);
  expectStatus(await operator.post("/api/v1/creators", { creator_id: "ana" }), 201);
  const { creator_token } = expectStatus(await operator.post("/api/v1/creators/ana/sessions"), 201).body;
  const ana = createCaller(origin, creator_token);
  const jwk = await generatePrivateJwk("EdDSA");
  const signer = await signerOf(jwk);
  const { challenge } = (await ana.post("/api/v1/creators/ana/key-challenges")).body;
  const claims = { iss: `${origin}/creators/ana`, aud: origin, nonce: challenge, iat: Math.floor(Date.now() / 1_000) };
  const proof = await signCompactJws("key-proof+jwt", claims, signer);
  expect((await ana.post("/api/v1/creators/ana/keys", { jwk, proof })).status).toBe(400);
  expectStatus(await ana.post("/api/v1/creators/ana/keys", { jwk: publicJwkOf(jwk), proof }), 201);
  const { signing_input } = expectStatus(
    await ana.post("/api/v1/consents/drafts", { subject: "creator:ana", scope: ["training"] }),
    201,
  ).body;
  const token = await signJwsInput(signing_input, signer);
  expect((await ana.post("/api/v1/consents", { token: `${token}=` })).status).toBe(400);
  expectStatus(await ana.post("/api/v1/consents", { token }), 201);
  const platformToken = "platform-token-of-the-marketplace";
  const urls = { base_url: "https://marketplace.example", webhook_url: "https://marketplace.example/hook" };
  const marketplace = expectStatus(
    await operator.post("/api/v1/marketplaces", { name: "M", ...urls, platform_token: platformToken }),
    201,
  ).body;
  const accessToken = await fetchAccessToken(
    { anonymous: createCaller(origin) },
    { clientId: marketplace.client_id, clientSecret: marketplace.client_secret, scope: "datasets:read" },
  );
  await createCaller(origin, accessToken).get("/api/v1/datasets");
  const misplaced = ["in-a-query-0123456789", "licet_cr_wrong-0123456789"];
  await createCaller(origin).get(`/api/v1/datasets?access_token=${misplaced[0]}`);
  await createCaller(origin, misplaced[1]).get("/api/v1/datasets");
  await createCaller(origin, `${accessToken}x`).get("/api/v1/datasets");
  return [
    operator_token,
    creator_token,
    jwk.d,
    challenge,
    proof,
    token,
    token.slice(token.lastIndexOf(".") + 1),
    platformToken,
    marketplace.client_secret,
    marketplace.webhook_secret,
    accessToken,
    ...misplaced,
  ];
}

describe("a stop", () => {
  /** A connection that has said half of a request when the server begins to stop. */
  async function beginRequest(
    origin: string,
    head: string,
  ): Promise<{ readonly socket: Socket; readonly answer: Promise<string> }> {
    const socket = connect(Number(new URL(origin).port), "127.0.0.1");
    const chunks: string[] = [];
    socket.on("data", (chunk) => chunks.push(chunk.toString()));
    socket.on("error", (error) => chunks.push(String(error)));
    const answer = once(socket, "close").then(() => chunks.join(""));
    await once(socket, "connect");
    socket.write(head);
    await sleep(50);
    return { socket, answer };
  }

  async function startAlone(drainSeconds: number) {
    const database = await createTestDatabase(inject("templateFolder"));
    const server = await startServer({ config: configFor(database, { drainSeconds }) });
    return { server, database, operatorToken: server.bootstrapToken ?? "" };
  }

  test("lets an open request end, answers that it is not ready, and takes no new connection", async () => {
    const { server, database, operatorToken } = await startAlone(10);
    const body = JSON.stringify({ creator_id: "the-last-one" });
    const writing = await beginRequest(
      server.origin,
      `POST /api/v1/creators HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${operatorToken}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, 5)}`,
    );
    const asking = await beginRequest(server.origin, "GET /readyz HTTP/1.1\r\nHost: x\r\n");
    const stopped = server.stop();
    await sleep(50);
    await expect(fetch(`${server.origin}/healthz`)).rejects.toThrow("fetch failed");
    asking.socket.write("\r\n");
    expect(await asking.answer).toMatch(/^HTTP\/1\.1 503[\s\S]*the server is stopping/);
    writing.socket.write(body.slice(5));
    expect(await writing.answer).toMatch(/^HTTP\/1\.1 201[\s\S]*the-last-one/);
    await stopped;
    await database.drop();
  });

  test("cuts what is still open after the allowed time", async () => {
    const { server, database } = await startAlone(1);
    const hanging = await beginRequest(server.origin, "GET /healthz HTTP/1.1\r\n");
    const startedMs = performance.now();
    await server.stop();
    expect(performance.now() - startedMs).toBeGreaterThan(900);
    expect(performance.now() - startedMs).toBeLessThan(8_000);
    expect(await hanging.answer).not.toContain("200");
    await database.drop();
  });
});
