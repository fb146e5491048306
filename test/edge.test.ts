import { readEdgeConfig } from "@licet/edge";
import { type NodeEdge, startNodeEdge } from "@licet/edge/node";
import { once } from "node:events";
import { type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  giveConsent,
  offerDataset,
  publishDataset,
  registerMarketplace,
  registerWork,
  uniqueId,
} from "./fixtures/actors.ts";
import { licenseDataset } from "./fixtures/licenses.ts";
import { startPlatform } from "./fixtures/platform.ts";

const SITE = "https://works.example";
const CRAWLER = { "user-agent": "GPTBot/1.2" };
const PERSON = { "user-agent": "Mozilla/5.0 Firefox/130.0" };
const PATIENCE = { timeout: 30_000, interval: 50 };

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
    const creator = await enrolCreator(platform);
    const work = await registerWork(platform, creator.creatorId, { canonical_url: `${SITE}${path}` });
    const consent = await giveConsent(creator);
    const { dataset_id } = await publishDataset(platform, [work]);
    const marketplace = await registerMarketplace(platform);
    await offerDataset(platform, String(dataset_id), marketplace);
    const { token } = await licenseDataset(platform, String(dataset_id), marketplace, { jkt: null });
    const licensed = (): Promise<Response> => ask(path, { ...CRAWLER, authorization: `License ${token}` });
    const answer = async (): Promise<unknown> => {
      const response = await licensed();
      return [response.status, await response.text()];
    };
    await expect.poll(answer, PATIENCE).toEqual([200, `the page at ${path}`]);
    expect((await ask(path, CRAWLER)).status).toBe(402);
    expectStatus(await creator.caller.post(`/api/v1/consents/${consent.jti}/revoke`, {}), 200);
    const refused = await licensed();
    expect([refused.status, (await refused.json()).code]).toEqual([403, "consent_revoked"]);
    expect((await ask(path, PERSON)).status).toBe(200);
    const events = async () => platform.server.ctx.db.selectFrom("edge_event").selectAll().execute();
    await expect.poll(async () => (await events()).length, PATIENCE).toBeGreaterThan(2);
  });
});
