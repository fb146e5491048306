import { type JsonObject, parseJsonObject, verifyCountersignature, verifyKeySet } from "@licet/protocol";
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  giveConsent,
  publishDataset,
  registerMarketplace,
  registerWork,
} from "./fixtures/actors.ts";
import { type Answer, createCaller } from "./fixtures/caller.ts";
import { checkPlatform } from "./fixtures/check-platform.ts";
import { fileOf, startChild } from "./fixtures/child-process.ts";
import { setPolicy } from "./fixtures/licenses.ts";
import { startPlatform } from "./fixtures/platform.ts";
import { sha256Hex } from "@licet/protocol";

/** The works, at real URLs: any path answers its own name, so that its hash is known. */
const site = createServer((request, response) => response.end(request.url)).listen(0, "127.0.0.1");
await once(site, "listening");
const siteOrigin = originOf(site.address());

const token = randomBytes(24).toString("base64url");
const platformToken = randomBytes(24).toString("base64url");
const folder = await mkdtemp(join(tmpdir(), "licet-marketplace-"));
let marketplaceProcess = await startMarketplace();
const marketplaceOrigin = marketplaceProcess.ready.origin;
const marketplace = createCaller(marketplaceOrigin, token);
const platform = await startPlatform({ allowedHosts: [new URL(marketplaceOrigin).host] });

afterAll(async () => {
  await marketplaceProcess.stop();
  site.close();
  await rm(folder, { recursive: true, force: true });
});

describe("the loop, between separate processes", () => {
  test(
    "a creator signs, a dataset is published, the marketplace verifies and trains, the creator takes it back, everyone stops",
    { timeout: 120_000 },
    async () => {
      const [ana, bram] = [await enrolCreator(platform), await enrolCreator(platform, { alg: "ES256" })];
      const works = [await work(ana.creatorId), await work(ana.creatorId), await work(bram.creatorId)];
      const consent = await giveConsent(ana);
      await giveConsent(bram);
      const dataset = await publishDataset(platform, works);
      expectStatus(await setPolicy(platform, dataset.dataset_id), 200);
      await connect();
      await register(dataset.dataset_id);
      expect(await trainingOf(dataset.dataset_id)).toBe("allowed");

      const run = expectStatus(
        await marketplace.post(`/api/v1/datasets/${dataset.dataset_id}/training-runs`, { model_id: "model-a" }),
        201,
      );
      expect(run.body).toMatchObject({ state: "completed", items: 3 });
      const receipts = await platform.operator.get(`/api/v1/usage-receipts?dataset_id=${dataset.dataset_id}`);
      expect(receipts.body.receipts).toHaveLength(1);
      expect(receipts.body.receipts[0]).toMatchObject({ valid_for_future_training: true, model_id: "model-a" });
      const { licenses } = (await platform.operator.get(`/api/v1/licenses?dataset_id=${dataset.dataset_id}`)).body;
      expect(licenses).toMatchObject([
        { license_id: receipts.body.receipts[0].license_id, marketplace_id: marketplaceId, state: "active" },
      ]);
      expect(await isCountersigned(receipts)).toBe(true);

      const revoked = await ana.caller.post(`/api/v1/datasets/${dataset.dataset_id}/consent/revoke`, {
        consent_jwt_id: consent.jti,
        reason: "creator_requested_revocation",
      });
      expect(revoked).toMatchObject({
        status: 200,
        body: { revoked: true, datasets: [{ dataset_id: dataset.dataset_id, status: "partially_revoked" }] },
      });
      await eventually(async () => expect(await trainingOf(dataset.dataset_id)).toBe("stopped"));
      expect(await marketplace.post(`/api/v1/datasets/${dataset.dataset_id}/training-runs`, {})).toMatchObject({
        status: 409,
      });
      await eventually(async () => {
        const { body } = await platform.operator.get(`/api/v1/revocations/${revoked.body.revocation_id}`);
        expect(body).toMatchObject({ done: true, aggregate: consent.jti });
        expect(body.legs.map(({ leg, done }: Readonly<Record<string, unknown>>) => [leg, done])).toEqual([
          ["committed", 1],
          ["webhook", 1],
          ["acknowledgement", 1],
        ]);
      });
      const after = await platform.operator.get(`/api/v1/usage-receipts?dataset_id=${dataset.dataset_id}`);
      expect(after.body.receipts[0]).toMatchObject({ valid_for_future_training: false });
      const own = await marketplace.get(`/api/v1/usage-receipts?dataset_id=${dataset.dataset_id}`);
      expect(own.body.receipts[0]).toMatchObject({ valid_for_future_training: false });

      await marketplaceProcess.kill();
      marketplaceProcess = await startMarketplace(Number(new URL(marketplaceOrigin).port));
      expect(await trainingOf(dataset.dataset_id)).toBe("stopped");

      expectStatus(await marketplace.post(`/api/v1/datasets/${dataset.dataset_id}/verifications`), 200);
      expect(await trainingOf(dataset.dataset_id)).toBe("allowed");
      const rest = expectStatus(
        await marketplace.post(`/api/v1/datasets/${dataset.dataset_id}/training-runs`, { model_id: "model-b" }),
        201,
      );
      expect(rest.body).toMatchObject({ items: 1 });
      await checkPlatform({ ...platform, now: () => Math.floor(platform.clock.nowMs() / 1_000) });
    },
  );
});

async function startMarketplace(port = 0) {
  const env = {
    MARKETPLACE_PORT: String(port),
    MARKETPLACE_DATA_DIR: folder,
    MARKETPLACE_TOKEN: token,
    MARKETPLACE_PLATFORM_TOKEN: platformToken,
    MARKETPLACE_EXIT_WITH_PARENT: "1",
    MARKETPLACE_ALLOW_HOSTS: new URL(siteOrigin).host,
  };
  return startChild<{ readonly origin: string; readonly receipt_jwk: JsonObject }>(
    fileOf("marketplace/src/main.ts"),
    env,
  );
}

async function work(creatorId: string): Promise<string> {
  const path = `/works/${randomBytes(6).toString("hex")}.txt`;
  return registerWork(platform, creatorId, { canonical_url: siteOrigin + path, sha256: sha256Hex(path) });
}

let marketplaceId = "";

async function connect(): Promise<void> {
  const webhook_url = `${marketplaceOrigin}/webhooks/consent-updated`;
  const registered = await registerMarketplace(platform, {
    base_url: marketplaceOrigin,
    webhook_url,
    platform_token: platformToken,
  });
  ({ marketplaceId } = registered);
  expectStatus(
    await platform.operator.post(`/api/v1/marketplaces/${marketplaceId}/receipt-keys`, {
      jwk: marketplaceProcess.ready.receipt_jwk,
    }),
    201,
  );
  const { clientId: client_id, clientSecret: client_secret, webhookSecret: webhook_secret, scope } = registered;
  const body = JSON.stringify({
    origin: platform.origin,
    marketplace_id: marketplaceId,
    client_id,
    client_secret,
    webhook_secret,
    scope,
  });
  const answer = await marketplace.send("PUT", "/api/v1/connection", {
    body,
    headers: { "content-type": "application/json" },
  });
  if (answer.status >= 300) throw new Error(answer.text);
}

async function register(datasetId: string): Promise<void> {
  expectStatus(
    await platform.operator.post(`/api/v1/datasets/${datasetId}/offers`, { marketplace_id: marketplaceId }),
    201,
  );
  await eventually(async () => {
    const { body } = await platform.operator.get(`/api/v1/datasets/${datasetId}/offers`);
    expect(body.offers[0]).toMatchObject({ state: "registered" });
  });
}

async function trainingOf(datasetId: string): Promise<string> {
  return expectStatus(await marketplace.get(`/api/v1/datasets/${datasetId}`), 200).body.training;
}

async function isCountersigned(receipts: Answer): Promise<boolean> {
  const document = parseJsonObject((await platform.anonymous.get("/.well-known/keys.json")).text);
  const keys = document.ok
    ? await verifyKeySet(document.value, platform.origin, Math.floor(platform.clock.nowMs() / 1_000))
    : document;
  if (!keys.ok) throw new Error(keys.refusal.detail);
  const { valid_for_future_training: _validity, acceptance: _made, ...receipt } = receipts.body.receipts[0];
  return (await verifyCountersignature(receipt, keys.value)).ok;
}

const PATIENCE_MS = 10_000;
const PAUSE_MS = 50;

async function eventually(check: () => Promise<void>): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}

function originOf(address: ReturnType<typeof site.address>): string {
  if (address === null || typeof address === "string") throw new TypeError("expected a port");
  return `http://127.0.0.1:${address.port}`;
}
