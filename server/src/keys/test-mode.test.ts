import {
  type JsonObject,
  isJsonObject,
  signerOf,
  generatePrivateJwk,
  parseJsonObject,
  publicJwkOf,
  verifyCountersignature,
  verifyKeySet,
} from "@licet/protocol";
import { ConfigError, startServer } from "@licet/server";
import { createClient, fetchKeySet, verifyDataset } from "../../../test/fixtures/sdk.ts";
import { decodeJwt } from "jose";
import { describe, expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  giveConsent,
  offerDataset,
  publishDataset,
  registerMarketplace,
  registerWork,
} from "../../../test/fixtures/actors.ts";
import { readLines } from "../../../test/fixtures/datasets.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { postReceipt } from "../../../test/fixtures/receipts.ts";
import { startSink } from "../../../test/fixtures/webhook-sink.ts";

const sink = await startSink();
const platform = await startPlatform({ mode: "test", allowedHosts: [sink.host] });
const ana = await enrolCreator(platform);
const works = [await registerWork(platform, ana.creatorId), await registerWork(platform, ana.creatorId)];
const consent = await giveConsent(ana);
const dataset = await publishDataset(platform, works);
const marketplace = await registerMarketplace(platform, { webhook_url: sink.url("/webhook") });
await offerDataset(platform, dataset.dataset_id, marketplace);
const { dataset_id } = dataset;

function now(): number {
  return Math.floor(platform.clock.nowMs() / 1_000);
}

/** Whoever shows a part of something signed shows the whole with it: every object that carries signatures. */
function untested(value: unknown, at: string): readonly string[] {
  if (Array.isArray(value)) return value.flatMap((entry, index) => untested(entry, `${at}[${index}]`));
  if (typeof value !== "object" || value === null) return [];
  const isSigned = "signatures" in value || "countersignature" in value;
  const own = isSigned && !("test" in value && value.test === true) ? [at] : [];
  return [...own, ...Object.entries(value).flatMap(([member, inner]) => untested(inner, `${at}.${member}`))];
}

async function keyDocument(): Promise<JsonObject> {
  const jwk = await generatePrivateJwk("ES256");
  expect(publicJwkOf(jwk).kty).toBe("EC");
  return expectStatus(await ana.caller.post(`/api/v1/creators/${ana.creatorId}/keys/${ana.kid}/retire`), 200).body;
}

describe("a server in test mode", () => {
  test("says test: true in everything that it signs", async () => {
    const caller = await marketplace.call();
    const version = `/datasets/${dataset_id}/versions/1`;
    const { lines } = await readLines(caller, `${version}/consents`);
    const paths = [
      "/.well-known/keys.json",
      "/.well-known/consent-revocations.json",
      `/.well-known/dataset-status/${dataset_id}`,
      `/datasets/${dataset_id}/manifest.json`,
      `${version}/manifest.json`,
      "/terms/paid_training/1.0",
    ];
    const documents = await Promise.all(
      paths.map(async (path) => [path, expectStatus(await platform.anonymous.get(path), 200).body] as const),
    );
    expect(documents.filter(([, body]) => body.test !== true).map(([path]) => path)).toEqual([]);
    const provenance = expectStatus(await caller.get(`/api/v1/datasets/${dataset_id}/provenance`), 200).body;
    const accepted = expectStatus(await ana.caller.get(`/api/v1/consents/${consent.jti}`), 200).body;
    const receipt = expectStatus(await postReceipt(platform, marketplace, dataset, { test: true }), 201).body;
    expect(receipt.countersignature).toMatchObject({ test: true });
    const shown = { provenance, accepted, lines, receipt };
    expect(untested(JSON.parse(JSON.stringify(shown)), "shown")).toEqual([]);
    for (const token of [consent.token, (await platform.anonymous.get("/status-lists/1")).text])
      expect(decodeJwt(token)).toMatchObject({ test: true });
    expect(await keyDocument()).toMatchObject({ type: "creator-key", test: true });
  });

  test("says so in its webhooks", async () => {
    const given = consent.jti;
    expectStatus(await platform.operator.post(`/api/v1/consents/${given}/revoke`, {}), 200);
    const [received] = await sink.waitFor("/webhook", 1);
    const body = parseJsonObject(Buffer.from(received?.body ?? ""));
    expect(body.ok && isJsonObject(body.value) && body.value["test"]).toBe(true);
  });

  test("is refused by live readers, and accepted by those who allow it", async () => {
    const document = expectStatus(await platform.anonymous.get("/.well-known/keys.json"), 200).body;
    const refusal = { ok: false, refusal: { code: "test_document" } };
    expect(await verifyKeySet(document, platform.origin, now())).toMatchObject(refusal);
    expect(await fetchKeySet({ origin: platform.origin, now })).toMatchObject(refusal);
    const keys = await fetchKeySet({ origin: platform.origin, now, allowTest: true });
    if (!keys.ok) throw new Error(keys.refusal.detail);
    const [receipt] = expectStatus(await platform.operator.get("/api/v1/usage-receipts"), 200).body.receipts;
    const { valid_for_future_training: _derived, acceptance: _made, ...signed } = receipt;
    expect(await verifyCountersignature(signed, keys.value)).toMatchObject({ ok: true });
    expect(await verifyCountersignature(signed, { ...keys.value, allowsTest: false })).toMatchObject(refusal);
  });

  test("publishes datasets that the sdk verifies whole when it is told to", async () => {
    const bram = await enrolCreator(platform);
    const work = await registerWork(platform, bram.creatorId);
    await giveConsent(bram);
    const published = await publishDataset(platform, [work]);
    await offerDataset(platform, published.dataset_id, marketplace);
    const { clientId, clientSecret, scope } = marketplace;
    const client = createClient({ origin: platform.origin, clientId, clientSecret, scope });
    const url = `${platform.origin}/datasets/${published.dataset_id}/manifest.json`;
    const allowed = await verifyDataset(url, { client, now, allowTest: true });
    expect(allowed.checks.filter((check) => check.outcome !== "passed")).toEqual([]);
    const refused = await verifyDataset(url, { client, now });
    expect(refused.checks.find((check) => check.id === "key_set")).toMatchObject({ code: "test_document" });
  });

  test("takes receipts of marketplaces in test mode only", async () => {
    expect(await postReceipt(platform, marketplace, dataset)).toMatchObject({
      status: 422,
      body: { code: "receipt_invalid" },
    });
  });

  test("says its mode when asked whether it is ready", async () => {
    expect(expectStatus(await platform.anonymous.get("/readyz"), 200).body).toMatchObject({ mode: "test" });
  });
});

test("a live server refuses receipts that say test: true, and a database keeps its mode", async () => {
  const live = await startPlatform();
  const creator = await enrolCreator(live);
  const work = await registerWork(live, creator.creatorId);
  await giveConsent(creator);
  const published = await publishDataset(live, [work]);
  const other = await registerMarketplace(live);
  await offerDataset(live, published.dataset_id, other);
  expect(await postReceipt(live, other, published, { test: true })).toMatchObject({
    status: 422,
    body: { code: "test_document" },
  });
  const { config } = live.server.ctx;
  await live.server.stop();
  const opened = startServer({ config: { ...config, port: 0, mode: "test" } });
  await expect(opened).rejects.toThrow(ConfigError);
  await expect(opened).rejects.toThrow("LICET_MODE: expected live");
});

test("a signer in test mode marks what it signs by itself", async () => {
  const jwk = await generatePrivateJwk("EdDSA");
  expect((await signerOf(jwk, { test: true })).test).toBe(true);
  expect((await signerOf(jwk)).test).toBeUndefined();
});
