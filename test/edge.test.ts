import { readEdgeConfig } from "@licet/edge";
import { type NodeEdge, startNodeEdge } from "@licet/edge/node";
import { once } from "node:events";
import { type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { expectStatus, uniqueId } from "./fixtures/actors.ts";
import { CRAWLER, PATIENCE, PERSON, SITE, licensedWork } from "./fixtures/licensed-works.ts";
import { startPlatform } from "./fixtures/platform.ts";

const platform = await startPlatform();
let site: Server;
let edge: NodeEdge;

beforeAll(async () => {
  site = createServer((request, response) => response.end(`the page at ${request.url}`));
  site.listen(0, "127.0.0.1");
  await once(site, "listening");
  const { body: client } = expectStatus(
    await platform.operator.post("/api/v1/clients", { name: "Edge", scopes: ["edge:report"] }),
    201,
  );
  edge = await startNodeEdge({
    config: readEdgeConfig({
      LICET_ORIGIN: platform.origin,
      LICET_EDGE_TTL_SECONDS: "0",
      LICET_EDGE_CLIENT_ID: client.client_id,
      LICET_EDGE_CLIENT_SECRET: client.client_secret,
    }),
    upstream: `http://127.0.0.1:${(site.address() as AddressInfo).port}`,
    site: SITE,
    host: "127.0.0.1",
    port: 0,
    nowMs: platform.clock.nowMs,
    log: (entry) => process.stderr.write(`${JSON.stringify(entry)}\n`),
  });
});

afterAll(async () => {
  await edge.close();
  site.close();
});

function ask(path: string, headers: Record<string, string>): Promise<Response> {
  return fetch(`${edge.origin}${path}`, { headers });
}

describe("an edge in front of a site, with the platform behind it", () => {
  test("lets a licensed crawler have a work until the consent is taken back, and people always", async () => {
    const path = `/${uniqueId("song-")}`;
    const { training, revoke } = await licensedWork(platform, path);
    const licensed = (): Promise<Response> => ask(path, training);
    const answer = async (): Promise<unknown> => {
      const response = await licensed();
      return [response.status, await response.text()];
    };
    await expect.poll(answer, PATIENCE).toEqual([200, `the page at ${path}`]);
    expect((await ask(path, CRAWLER)).status).toBe(402);
    await revoke();
    const refused = await licensed();
    expect([refused.status, (await refused.json()).code]).toEqual([403, "consent_revoked"]);
    expect((await ask(path, PERSON)).status).toBe(200);
    const events = async () => platform.server.ctx.db.selectFrom("edge_event").selectAll().execute();
    await expect.poll(async () => (await events()).length, PATIENCE).toBeGreaterThan(2);
  });
});
