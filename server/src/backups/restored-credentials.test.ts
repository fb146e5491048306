import { verifyWebhook } from "@licet/protocol";
import type { RestoreReport } from "@licet/server";
import { beforeAll, describe, expect, test } from "vitest";
import {
  type RegisteredMarketplace,
  expectStatus,
  fetchAccessToken,
  registerMarketplace,
} from "../../../test/fixtures/actors.ts";
import { type Site, createSites, journalOf } from "../../../test/fixtures/backups.ts";
import type { Answer } from "../../../test/fixtures/caller.ts";
import { checkPlatform } from "../../../test/fixtures/check-platform.ts";
import { startSink } from "../../../test/fixtures/webhook-sink.ts";

const sites = createSites();
const sink = await startSink();
const settings = { allowedHosts: [sink.host] };
const MINUTE = 60;

async function askForToken(
  { platform }: Site,
  { clientId, clientSecret, scope }: RegisteredMarketplace,
): Promise<Answer> {
  return platform.anonymous.send("POST", "/oauth/token", {
    body: new URLSearchParams({ grant_type: "client_credentials", scope }).toString(),
    headers: {
      authorization: `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString("base64")}`,
      "content-type": "application/x-www-form-urlencoded",
    },
  });
}

async function change({ platform }: Site, path: string, body: object = {}): Promise<Answer["body"]> {
  const answer = await platform.operator.post(path, body);
  if (answer.status >= 300) throw new Error(`${path}: ${answer.status} ${answer.text}`);
  return answer.body;
}

interface ListedKey {
  readonly kid: string;
  readonly purpose: string;
  readonly status: string;
}

async function readKeys({ platform }: Site): Promise<readonly ListedKey[]> {
  return expectStatus(await platform.anonymous.get("/.well-known/keys.json"), 200).body.keys;
}

/** The client of this marketplace leaked its secret after the backup; so did the secrets of endpoints. */
describe("after a restore, nothing that was taken away since the backup is back:", () => {
  let site: Site;
  let back: Site;
  let leaked: RegisteredMarketplace;
  let calm: RegisteredMarketplace;
  let endpoints: { readonly rotated: string; readonly moved: string; readonly deleted: string; readonly off: string };
  let path: string;
  let report: RestoreReport;
  let oldToken: string;
  let keysBefore: readonly ListedKey[];
  let keysAfter: readonly ListedKey[];

  async function addEndpoint(name: string): Promise<string> {
    const { endpoint_id } = await change(site, "/api/v1/webhook-endpoints", {
      marketplace_id: leaked.marketplaceId,
      url: sink.url(`/${name}`),
    });
    return endpoint_id;
  }

  beforeAll(async () => {
    site = await sites.open(await sites.createDatabase(), { settings });
    leaked = await registerMarketplace(site.platform, { webhook_url: sink.url("/rotated") });
    calm = await registerMarketplace(site.platform, { webhook_url: sink.url("/calm") });
    oldToken = await fetchAccessToken(site.platform, calm);
    endpoints = {
      rotated: leaked.endpointId,
      moved: await addEndpoint("moved"),
      deleted: await addEndpoint("deleted"),
      off: await addEndpoint("off"),
    };
    keysBefore = await readKeys(site);
    path = await site.backUp();
    const client = `/api/v1/clients/${leaked.clientId}`;
    await change(site, `${client}/suspend`);
    await change(site, `${client}/secrets`, { overlap_seconds: 0 });
    await change(site, `${client}/resume`);
    await change(site, `/api/v1/webhook-endpoints/${endpoints.rotated}/secret-rotations`, { overlap_seconds: 0 });
    const moved = await site.platform.operator.send("PATCH", `/api/v1/webhook-endpoints/${endpoints.moved}`, {
      body: JSON.stringify({ url: sink.url("/elsewhere") }),
      headers: { "content-type": "application/json" },
    });
    expectStatus(moved, 200);
    expectStatus(
      await site.platform.operator.send("DELETE", `/api/v1/webhook-endpoints/${endpoints.deleted}`, {}),
      204,
    );
    await change(site, `/api/v1/webhook-endpoints/${endpoints.off}/disable`);
    await change(site, "/api/v1/keys/rotations", { purposes: ["document", "receipt", "oauth"] });
    site.clock.advance(2 * MINUTE);
    keysAfter = await readKeys(site);
    await site.stop();
    const database = await sites.createDatabase();
    report = await sites.restore(site, { path, journals: [journalOf(site.database)], database });
    back = await sites.open(database, { ...site, origin: site.platform.origin, settings });
  });

  test("neither silently nor in part: what lost its credentials is named", () => {
    expect(report.lost_credentials).toEqual({
      count: 3,
      named: [leaked.clientId, endpoints.rotated, endpoints.moved].toSorted(),
    });
  });

  test("a client's old secret, even once the operator lets the client in again, until it has a new one", async () => {
    const client = `/api/v1/clients/${leaked.clientId}`;
    expect((await back.platform.operator.get(client)).body.state).toBe("suspended");
    expect(await askForToken(back, leaked)).toMatchObject({ status: 401, body: { error: "invalid_client" } });
    await change(back, `${client}/resume`);
    expect(await askForToken(back, leaked)).toMatchObject({ status: 401, body: { error: "invalid_client" } });
    const { client_secret } = await change(back, `${client}/secrets`);
    expectStatus(await askForToken(back, { ...leaked, clientSecret: client_secret }), 200);
    expect((await askForToken(back, leaked)).status).toBe(401);
    expectStatus(await askForToken(back, calm), 200);
  });

  test("an OAuth key, and the tokens that it signed", async () => {
    expect(await back.platform.as(oldToken).get("/api/v1/datasets")).toMatchObject({ status: 401 });
  });

  test("an endpoint's old secret: nothing is sent to it before it is enabled, and nothing is signed with that", async () => {
    const endpoint = `/api/v1/webhook-endpoints/${endpoints.rotated}`;
    expect((await back.platform.operator.get(endpoint)).body).toMatchObject({
      state: "disabled",
      disabled_reason: "restored",
    });
    await change(back, `${endpoint}/enable`);
    const { secret } = await change(back, `${endpoint}/secret-rotations`, { overlap_seconds: 0 });
    const before = sink.received("/rotated").length;
    await change(back, `${endpoint}/test`);
    const [message] = (await sink.waitFor("/rotated", before + 1)).slice(before);
    const verify = (by: string) =>
      verifyWebhook((name) => message?.headers[name], message?.body ?? "", {
        secrets: [by],
        now: Math.floor(back.clock.nowMs() / 1_000),
        allowTest: true,
      }).ok;
    expect([verify(leaked.webhookSecret), verify(secret)]).toEqual([false, true]);
  });

  test("an URL that was left, an endpoint that was deleted, one that was switched off", async () => {
    const read = async (id: string) => back.platform.operator.get(`/api/v1/webhook-endpoints/${id}`);
    expect((await read(endpoints.moved)).body).toMatchObject({ state: "disabled", disabled_reason: "restored" });
    expect((await read(endpoints.deleted)).status).toBe(404);
    expect((await read(endpoints.off)).body).toMatchObject({ state: "disabled", disabled_reason: "operator" });
    expect((await read(calm.endpointId)).body).toMatchObject({ state: "enabled" });
  });

  test("a key of the platform that was handed over: another signs, and the lost ones stay listed for what they signed", async () => {
    const known = new Map((await readKeys(back)).map((key) => [key.kid, key.status]));
    const statusesOf = (keys: readonly ListedKey[], purpose: string) =>
      keys.filter((key) => key.purpose === purpose).map((key) => known.get(key.kid));
    for (const purpose of ["document", "receipt"]) {
      expect(statusesOf(keysBefore, purpose)).toEqual(["retired"]);
      expect(statusesOf(keysAfter, purpose)).toEqual(["retired", "retired"]);
      const active = (await readKeys(back)).filter((key) => key.purpose === purpose && key.status === "active");
      expect(active.map((key) => keysAfter.some(({ kid }) => kid === key.kid))).toEqual([false]);
    }
    expect(statusesOf(keysBefore, "consent")).toEqual(["active"]);
    await checkPlatform({ hasCrashed: true, ...back.platform, now: () => Math.floor(back.clock.nowMs() / 1_000) });
  });

  test("and a restore of the same backup with both journals, or of a newer one, changes nothing about that", async () => {
    const newer = await back.backUp();
    await back.stop();
    for (const backup of [path, newer]) {
      const database = await sites.createDatabase();
      const journals = [journalOf(site.database), journalOf(back.database)];
      await sites.restore(site, { path: backup, journals, database });
      const last = await sites.open(database, { ...site, origin: site.platform.origin, settings });
      expect((await askForToken(last, leaked)).status).toBe(401);
      const { body } = await last.platform.operator.get(`/api/v1/webhook-endpoints/${endpoints.deleted}`);
      expect(body.code).toBe("not_found");
      const active = (await readKeys(last)).filter((key) => key.status === "active");
      expect(active.map(({ purpose }) => purpose).toSorted()).toEqual([
        "consent",
        "document",
        "license",
        "receipt",
        "webhook",
      ]);
      for (const key of keysAfter.filter(({ purpose }) => purpose === "document" || purpose === "receipt"))
        expect(active.map(({ kid }) => kid)).not.toContain(key.kid);
      await last.stop();
    }
  });
});
