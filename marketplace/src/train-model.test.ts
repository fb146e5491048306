import {
  readModelList,
  readUsageReceipt,
  verifyModelList,
  verifyCountersignature,
  verifyUsageReceipt,
  type JsonObject,
  readKeySet,
  parseJsonObject,
  thumbprint,
  parsePublicJwk,
  accept,
} from "@licet/protocol";
import { ANA, BRAM, revoke, withdraw } from "@licet/sdk/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { wordCounter } from "./measure-item.ts";
import { NOW, ORIGIN, PLATFORM_TOKEN, type Answered, type Stage, setStage } from "./testing/started-marketplace.ts";

let stage: Stage;

beforeEach(async () => {
  stage = await setStage();
  await stage.connect();
  await stage.register();
});
afterEach(() => stage.end());

const DATASET = "/api/v1/datasets/ds_sample";

function train(): Promise<Answered> {
  return stage.call("POST", `${DATASET}/training-runs`, { body: { model_id: "model-1" } });
}

function verifyAgain(): Promise<Answered> {
  return stage.call("POST", `${DATASET}/verifications`);
}

async function receipts(): Promise<{ valid_for_future_training: boolean }[]> {
  const { body } = await stage.call("GET", "/api/v1/usage-receipts?dataset_id=ds_sample", { token: PLATFORM_TOKEN });
  return Array.isArray(body["receipts"]) ? body["receipts"] : [];
}

describe("a training run", () => {
  it("uses every work, and posts a receipt for what its license counts", async () => {
    const trained = await train();
    expect(trained).toMatchObject({ status: 201, body: { state: "completed", items: 3, model_id: "model-1" } });
    expect(trained.body["usage"]).toEqual([
      { unit: "tokens", count: 8, receipt_id: expect.any(String), receipt_state: "posted" },
    ]);
    expect(stage.platform.receipts.size).toBe(1);
    expect(await stage.call("GET", DATASET)).toMatchObject({
      body: { model: { model_id: "model-1", model_fingerprint: trained.body["model_fingerprint"] } },
    });
    const again = await train();
    expect(again.body["model_fingerprint"]).toBe(trained.body["model_fingerprint"]);
    expect(again.body["receipt_id"]).not.toBe(trained.body["receipt_id"]);
  });

  it("puts its model on the public list, once and signed", async () => {
    const readList = async () => (await stage.call("GET", "/.well-known/models.json")).body;
    expect(await readList()).toMatchObject({ type: "model-list", iss: "mkt_1", models: [] });
    const trained = await train();
    await train();
    const list: JsonObject = JSON.parse(JSON.stringify(await readList()));
    expect(list).toMatchObject({
      models: [{ model_id: "model-1", fingerprint: trained.body["model_fingerprint"] }],
      checked_at: "2026-01-18T12:05:00Z",
    });
    const connection = JSON.parse(JSON.stringify((await stage.call("GET", "/api/v1/connection")).body));
    const jwk = parsePublicJwk(connection.receipt_key.jwk);
    const read = readModelList(list);
    if (!jwk.ok || !read.ok) throw new Error("expected a key and a list");
    const key = {
      kid: thumbprint(jwk.value),
      alg: "EdDSA" as const,
      jwk: jwk.value,
      not_before: "2026-01-01T00:00:00Z",
      not_after: "2027-01-01T00:00:00Z",
    };
    expect(await verifyModelList(list, read.value, { marketplaceId: "mkt_1", key, now: NOW })).toEqual(accept(true));
  });

  it("leaves receipts that anybody can verify", async () => {
    await train();
    const connection = await stage.call("GET", "/api/v1/connection");
    const receiptKey = JSON.parse(JSON.stringify(connection.body["receipt_key"]));
    const jwk = parsePublicJwk(receiptKey.jwk);
    if (!jwk.ok) throw new Error(jwk.refusal.detail);
    const [kept] = await receipts();
    const { valid_for_future_training: valid, ...document } = JSON.parse(JSON.stringify(kept ?? {}));
    expect(valid).toBe(true);
    const receipt = readUsageReceipt(document);
    if (!receipt.ok) throw new Error(receipt.refusal.detail);
    expect(receipt.value).toMatchObject({
      iss: "mkt_1",
      aud: ORIGIN,
      dataset_version: 1,
      tokens_used: 8,
      licensed_at: "2026-01-18T12:05:00Z",
    });
    const registered = {
      kid: thumbprint(jwk.value),
      alg: "EdDSA" as const,
      jwk: jwk.value,
      not_before: "2026-01-01T00:00:00Z",
      not_after: "2027-01-01T00:00:00Z",
    };
    expect(await verifyUsageReceipt(document, receipt.value, registered, NOW)).toEqual(accept(true));
    const keys = readKeySet(await platformKeys());
    if (!keys.ok) throw new Error(keys.refusal.detail);
    expect(await verifyCountersignature(document, keys.value)).toEqual(accept(true));
  });

  it("keeps receipts that the platform cannot take, and sends them later", async () => {
    stage.platform.answers.set("/api/v1/usage-receipts", () => new Response(null, { status: 502 }));
    expect((await train()).body["usage"]).toMatchObject([{ receipt_state: "waiting" }]);
    stage.platform.answers.delete("/api/v1/usage-receipts");
    await stage.restart();
    await expect.poll(() => stage.platform.receipts.size).toBe(1);
  });

  it("fails when a work is not the one that was licensed, and names it", async () => {
    stage.platform.answers.set("/works/river", () => new Response("another river"));
    const failed = await train();
    expect(failed).toMatchObject({
      status: 502,
      body: { code: "content_mismatch", errors: [{ at: "content_river", code: "content_mismatch" }] },
    });
    expect(await stage.call("GET", `${DATASET}/training-runs`)).toMatchObject({
      body: { training_runs: [{ state: "failed" }] },
    });
    expect(await receipts()).toEqual([]);
  });

  it("fails when a work cannot be had", async () => {
    stage.platform.answers.set("/works/river", () => new Response(null, { status: 404 }));
    expect(await train()).toMatchObject({
      status: 503,
      body: { code: "unavailable", errors: [{ at: "content_river", code: "unavailable" }] },
    });
  });

  it("takes the name a model has in a registry of models", async () => {
    const body = { model_id: "meta-llama/Llama-3.1-8B" };
    expect(await stage.call("POST", `${DATASET}/training-runs`, { body })).toMatchObject({ status: 201, body });
    for (const model_id of ["", "x".repeat(257), "modèle"])
      expect((await stage.call("POST", `${DATASET}/training-runs`, { body: { model_id } })).status).toBe(422);
  });

  it("is refused for an unknown dataset and a bad model id", async () => {
    expect(await stage.call("POST", "/api/v1/datasets/ds_other/training-runs")).toMatchObject({ status: 404 });
    expect(await stage.call("POST", `${DATASET}/training-runs`, { body: { model_id: "no spaces" } })).toMatchObject({
      status: 422,
      body: { errors: [{ at: "model_id" }] },
    });
  });
});

async function platformKeys(): Promise<JsonObject> {
  const parsed = parseJsonObject(await (await stage.platform.fetch(`${ORIGIN}/.well-known/keys.json`, {})).text());
  if (!parsed.ok) throw new Error(parsed.refusal.detail);
  return parsed.value;
}

describe("a status that cannot be trusted", () => {
  it("keeps training from beginning", async () => {
    stage.platform.answers.set("/.well-known/dataset-status/ds_sample", () => new Response(null, { status: 502 }));
    expect(await train()).toMatchObject({ status: 503, body: { code: "unavailable" } });
  });

  it("stops training when it tells of a revocation whose webhook was lost", async () => {
    revoke(stage.platform.facts, BRAM.jti, NOW);
    expect(await train()).toMatchObject({ status: 409, body: { code: "conflict" } });
    expect(await stage.call("GET", DATASET)).toMatchObject({
      body: { training: "stopped", reason: "something was taken back since the last verification" },
    });
  });

  it("stops training when a version is out that was not verified, until it is", async () => {
    await train();
    const path = "/.well-known/dataset-status/ds_sample";
    stage.platform.edits.set(path, (content) => ({ ...content, current_version: 2 }));
    expect(await train()).toMatchObject({ status: 409, body: { code: "conflict" } });
    expect(await stage.call("GET", DATASET)).toMatchObject({
      body: { training: "stopped", reason: "version 2 is out; verify again" },
    });
    expect((await receipts()).map((receipt) => receipt.valid_for_future_training)).toEqual([false]);
    stage.platform.edits.delete(path);
    expect(await train()).toMatchObject({ status: 409 });
    expect(await verifyAgain()).toMatchObject({ body: { training: "allowed" } });
    expect((await receipts()).map((receipt) => receipt.valid_for_future_training)).toEqual([true]);
  });

  it("is asked for again after 15 seconds, whatever it claims, and after the last work too", async () => {
    const { platform, clock } = stage;
    const path = "/.well-known/dataset-status/ds_sample";
    platform.edits.set(path, (content) => ({ ...content, ttl_seconds: 86_400 }));
    const last = "/works/heron";
    platform.answers.set(last, (request) => {
      clock.now += 15;
      revoke(platform.facts, BRAM.jti, clock.now);
      platform.answers.delete(last);
      return platform.handle(request);
    });
    expect(await train()).toMatchObject({ status: 409, body: { code: "conflict" } });
    expect(await stage.call("GET", `${DATASET}/training-runs`)).toMatchObject({
      body: { training_runs: [{ state: "stopped", model_fingerprint: null }] },
    });
    expect(await receipts()).toEqual([]);
  });

  it("ends a running training once the last one has expired", async () => {
    const { platform, clock } = stage;
    platform.answers.set("/works/essay", (request) => {
      clock.now += 300;
      platform.answers.set("/.well-known/dataset-status/ds_sample", () => new Response(null, { status: 502 }));
      platform.answers.delete("/works/essay");
      return platform.handle(request);
    });
    expect(await train()).toMatchObject({ status: 503 });
    expect(await stage.call("GET", `${DATASET}/training-runs`)).toMatchObject({
      body: { training_runs: [{ state: "failed" }] },
    });
  });
});

describe("a webhook", () => {
  it("stops a running training before it is answered", async () => {
    const { platform } = stage;
    const hanging = Promise.withResolvers<void>();
    platform.answers.set("/works/river", (request) => {
      hanging.resolve();
      return new Promise((_, reject) => request.signal.addEventListener("abort", () => reject(request.signal.reason)));
    });
    const training = train();
    await hanging.promise;
    revoke(platform.facts, BRAM.jti, NOW);
    expect(await stage.deliver({ change: "revoked", sequence: 1, jti: BRAM.jti })).toMatchObject({
      status: 200,
      body: { received: true, effect: "stopped" },
    });
    expect(await stage.call("GET", `${DATASET}/training-runs`)).toMatchObject({
      body: { training_runs: [{ state: "stopped", model_fingerprint: null }] },
    });
    expect(await training).toMatchObject({
      status: 409,
      body: { code: "conflict", detail: expect.stringContaining(`revoked: ${BRAM.jti}`) },
    });
    expect(await receipts()).toEqual([]);
  });

  it("stops a partially revoked dataset until it is verified again; then the rest goes on", async () => {
    await train();
    revoke(stage.platform.facts, BRAM.jti, NOW);
    await stage.deliver({ change: "revoked", sequence: 1, jti: BRAM.jti });
    expect(await stage.call("GET", DATASET)).toMatchObject({
      body: { training: "stopped", status: "partially_revoked", reason: expect.stringContaining(BRAM.jti) },
    });
    expect((await receipts()).map((receipt) => receipt.valid_for_future_training)).toEqual([false]);
    expect((await train()).status).toBe(409);
    expect(await verifyAgain()).toMatchObject({
      status: 200,
      body: { training: "allowed", reason: null, items: { total: 3, standing: 2, withdrawn: 1 } },
    });
    expect(await train()).toMatchObject({
      status: 201,
      body: { items: 2, usage: [{ unit: "tokens" }] },
    });
    expect((await receipts()).map((receipt) => receipt.valid_for_future_training)).toEqual([false, true]);
  });

  it("stops for one withdrawn work", async () => {
    withdraw(stage.platform.facts, "content_river", NOW);
    await stage.deliver({ change: "withdrawn", sequence: 1, contentId: "content_river" });
    expect((await train()).status).toBe(409);
    await verifyAgain();
    expect(await train()).toMatchObject({
      status: 201,
      body: { items: 2, usage: [{ unit: "tokens" }] },
    });
  });

  it("stops a fully revoked dataset for good, also after a restart", async () => {
    revoke(stage.platform.facts, BRAM.jti, NOW);
    revoke(stage.platform.facts, ANA.jti, NOW);
    await stage.deliver({ change: "revoked", sequence: 2, jti: ANA.jti });
    expect(await verifyAgain()).toMatchObject({
      status: 200,
      body: { training: "stopped", status: "revoked", reason: expect.stringContaining("consent_revoked") },
    });
    await stage.restart();
    expect(await stage.call("GET", DATASET)).toMatchObject({ body: { training: "stopped" } });
    expect((await train()).status).toBe(409);
    expect(await stage.register()).toMatchObject({ status: 200, body: { training: "stopped" } });
  });

  it("does not allow anything by good news alone", async () => {
    await stage.deliver({ change: "suspended", sequence: 1, jti: BRAM.jti });
    for (const [index, change] of (["resumed", "granted", "published"] as const).entries()) {
      expect(await stage.deliver({ change, sequence: 2 + index, jti: BRAM.jti })).toMatchObject({
        status: 200,
        body: { effect: "noted" },
      });
      expect(await stage.call("GET", DATASET)).toMatchObject({ body: { training: "stopped" } });
    }
    expect(await verifyAgain()).toMatchObject({ body: { training: "allowed" } });
  });

  it("has no second effect when it is repeated", async () => {
    await stage.deliver({ change: "suspended", sequence: 1, jti: BRAM.jti });
    await verifyAgain();
    expect(await stage.deliver({ change: "suspended", sequence: 1, jti: BRAM.jti, sentAt: NOW + 5 })).toMatchObject({
      status: 200,
      body: { effect: "repeated" },
    });
    expect(await stage.call("GET", DATASET)).toMatchObject({ body: { training: "allowed" } });
  });

  it("is refused when it contradicts the first one of its id, yet a refusal in it is applied", async () => {
    await stage.deliver({ change: "granted", sequence: 1 });
    expect(await stage.deliver({ change: "revoked", sequence: 1, jti: BRAM.jti })).toMatchObject({
      status: 409,
      body: { code: "conflict" },
    });
    expect(await stage.call("GET", DATASET)).toMatchObject({ body: { training: "stopped" } });
  });

  it("never replaces newer state by a lower sequence, yet a refusal in it is applied", async () => {
    await stage.deliver({ change: "published", sequence: 9 });
    revoke(stage.platform.facts, BRAM.jti, NOW);
    expect(await stage.deliver({ change: "revoked", sequence: 3, jti: BRAM.jti })).toMatchObject({
      body: { effect: "stopped" },
    });
    expect(await stage.call("GET", DATASET)).toMatchObject({ body: { training: "stopped", status: "active" } });
  });

  it("is refused when it is unsigned, altered, old or too long", async () => {
    const { platform } = stage;
    const send = (body: string, headers: Record<string, string>): Promise<Answered> =>
      stage.call("POST", "/webhooks/consent-updated", { token: undefined, body, headers });
    const { body, headers } = platform.webhook({ change: "revoked", sequence: 1, jti: BRAM.jti });
    expect(await send(body, {})).toMatchObject({ status: 401, body: { code: "webhook_unsigned" } });
    expect(await send(body.replace("revoked", "granted"), headers)).toMatchObject({
      status: 401,
      body: { code: "webhook_signature_invalid" },
    });
    const old = platform.webhook({ change: "revoked", sequence: 1, jti: BRAM.jti, sentAt: NOW - 301 });
    expect(await send(old.body, old.headers)).toMatchObject({ status: 401, body: { code: "webhook_too_old" } });
    const tooLong = await send("x".repeat(70_000), headers);
    expect([tooLong.status, tooLong.headers.get("connection")]).toEqual([413, "close"]);
    expect(await stage.call("GET", DATASET)).toMatchObject({ body: { training: "allowed" } });
  });
});

describe("a verification", () => {
  it("that fails stops training, and no receipt counts until one succeeds", async () => {
    await train();
    stage.platform.answers.set("/.well-known/keys.json", () => new Response(null, { status: 502 }));
    expect(await verifyAgain()).toMatchObject({
      status: 200,
      body: { training: "stopped", reason: expect.stringContaining("key_set") },
    });
    expect((await receipts()).map((receipt) => receipt.valid_for_future_training)).toEqual([false]);
    stage.platform.answers.delete("/.well-known/keys.json");
    expect(await verifyAgain()).toMatchObject({ status: 200, body: { training: "allowed" } });
    expect((await receipts()).map((receipt) => receipt.valid_for_future_training)).toEqual([true]);
  });

  it("notices what a lost webhook would have told", async () => {
    await train();
    revoke(stage.platform.facts, BRAM.jti, NOW);
    expect(await verifyAgain()).toMatchObject({
      body: { training: "allowed", status: "partially_revoked", items: { standing: 2 } },
    });
    expect((await receipts()).map((receipt) => receipt.valid_for_future_training)).toEqual([false]);
    revoke(stage.platform.facts, ANA.jti, NOW);
    expect(await verifyAgain()).toMatchObject({ body: { training: "stopped", status: "revoked" } });
  });

  it("does not undo a refusal that arrives while it goes on", async () => {
    const { platform } = stage;
    platform.answers.set("/.well-known/consent-revocations.json", async (request) => {
      platform.answers.delete("/.well-known/consent-revocations.json");
      await stage.deliver({ change: "revoked", sequence: 1, jti: BRAM.jti });
      return platform.handle(request);
    });
    expect(await verifyAgain()).toMatchObject({ status: 409 });
    expect(await stage.call("GET", DATASET)).toMatchObject({ body: { training: "stopped" } });
  });

  it("refuses documents older than those of the last one", async () => {
    stage.platform.facts.seq = 5;
    await verifyAgain();
    stage.platform.facts.seq = 4;
    expect(await verifyAgain()).toMatchObject({
      body: { training: "stopped", reason: expect.stringContaining("document_rolled_back") },
    });
  });
});

describe("the count of tokens", () => {
  it("does not depend on how the text is cut", () => {
    const bytes = new TextEncoder().encode("Ça va? «Oui», dit-il: 3,14 — 字字.");
    const whole = wordCounter();
    whole.add(bytes);
    const cut = wordCounter();
    for (const byte of bytes) cut.add(Uint8Array.of(byte));
    expect([whole.count(), cut.count()]).toEqual([17, 17]);
  });
});
