import {
  type PrivateJwk,
  type Signer,
  formatInstant,
  generatePrivateJwk,
  keyEntry,
  publicJwkOf,
  signDocument,
  signWebhook,
  signWebhookByKey,
  signerOf,
} from "@licet/protocol";
import { beforeEach, expect, test } from "vitest";
import { expectStatus, uniqueId } from "../../../test/fixtures/actors.ts";
import type { Answer } from "../../../test/fixtures/caller.ts";
import { checkPlatform } from "../../../test/fixtures/check-platform.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { CONSENT_UPDATED, type Upstream, registerUpstream } from "../../../test/fixtures/upstreams.ts";
import { startSink } from "../../../test/fixtures/webhook-sink.ts";
import { saveKeySet } from "./store.ts";

/** An upstream that is nothing but its key set, so that a test holds its private keys. */
const sink = await startSink();
const platform = await startPlatform({ allowedHosts: [sink.host] });
const { clock } = platform;
const KEYS = "/.well-known/keys.json";
const now = () => Math.floor(clock.nowMs() / 1_000);

interface Key {
  readonly purpose: "document" | "webhook";
  readonly status: "active" | "retired" | "revoked";
  readonly jwk: PrivateJwk;
  readonly signer: Signer;
}

let upstream: Upstream;
let documentKey: Key;
let webhookKey: Key;
let seq = 0;

async function newKey(purpose: Key["purpose"]): Promise<Key> {
  const jwk = await generatePrivateJwk("EdDSA");
  return { purpose, status: "active", jwk, signer: await signerOf(jwk) };
}

async function publish(keys: readonly Key[], number = (seq += 1)): Promise<void> {
  const entries = keys.map(({ purpose, status, jwk, signer }) =>
    keyEntry({
      kid: signer.kid,
      alg: "EdDSA",
      purpose,
      status,
      jwk: publicJwkOf(jwk),
      not_before: formatInstant(now() - 1_000),
      not_after: formatInstant(now() + 100_000),
      ...(status === "revoked" ? { revoked_at: formatInstant(now()) } : {}),
    }),
  );
  const content = { seq: number, keys: entries };
  const body = JSON.stringify(await signDocument("key-set", `http://${sink.host}`, content, documentKey.signer));
  sink.reply(KEYS, () => ({ status: 200, body, headers: { "content-type": "application/json" } }));
}

async function send(signer: Signer, endpointId = upstream.endpointId): Promise<Answer> {
  const id = uniqueId("evt_");
  const body = JSON.stringify({ event_id: id, endpoint_id: endpointId, dataset_id: "ds_1", change: "revoked" });
  const message = { id, timestamp: now(), body };
  const signed = signWebhook(message, upstream.secret);
  const v1a = await signWebhookByKey(message, signer);
  const headers = { ...signed, "webhook-signature": `${signed["webhook-signature"]} ${v1a}` };
  return platform.anonymous.post(CONSENT_UPDATED, body, headers);
}

beforeEach(async () => {
  documentKey = await newKey("document");
  webhookKey = await newKey("webhook");
  await publish([documentKey, webhookKey]);
  upstream = await registerUpstream(platform, { origin: `http://${sink.host}`, key_signed: true });
});

test("a message by the upstream's webhook key is taken, and its key set is read once a minute", async () => {
  const reads = sink.received(KEYS).length;
  for (let count = 0; count < 3; count += 1) expectStatus(await send(webhookKey.signer), 200);
  expect(sink.received(KEYS)).toHaveLength(reads + 1);
  clock.advance(60);
  expectStatus(await send(webhookKey.signer), 200);
  expect(sink.received(KEYS)).toHaveLength(reads + 2);
});

test("a retired key may have signed what is on its way; a revoked one is refused a minute later at the latest", async () => {
  const successor = await newKey("webhook");
  expectStatus(await send(webhookKey.signer), 200);
  await publish([documentKey, { ...webhookKey, status: "retired" }, successor]);
  clock.advance(60);
  expectStatus(await send(webhookKey.signer), 200);
  await publish([documentKey, { ...webhookKey, status: "revoked" }, successor]);
  clock.advance(60);
  expect(await send(webhookKey.signer)).toMatchObject({ status: 401, body: { code: "webhook_signature_invalid" } });
  expectStatus(await send(successor.signer), 200);
});

test("a key of another purpose, or of nobody, signs nothing", async () => {
  for (const signer of [documentKey.signer, (await newKey("webhook")).signer])
    expect(await send(signer)).toMatchObject({ status: 401, body: { code: "webhook_signature_invalid" } });
});

test("an older key set does not bring a revoked key back", async () => {
  await publish([documentKey, { ...webhookKey, status: "revoked" }]);
  const newest = seq;
  expect((await send(webhookKey.signer)).status).toBe(401);
  clock.advance(60);
  await publish([documentKey, webhookKey], newest - 1);
  expect(await send(webhookKey.signer)).toMatchObject({ status: 502, body: { code: "document_rolled_back" } });
});

test("an older key set does not take the place of a newer one that somebody kept meanwhile", async () => {
  const [newer, older] = [seq + 1, seq];
  const { db } = platform.server.ctx;
  const save = (key_set_seq: number) =>
    saveKeySet(db, upstream.upstreamId, { key_set: `${key_set_seq}`, key_set_seq, key_set_read_at: now() });
  expect([await save(newer), await save(older), await save(newer)]).toEqual([true, false, true]);
  const kept = await db
    .selectFrom("upstream")
    .select("key_set_seq")
    .where("upstream_id", "=", upstream.upstreamId)
    .execute();
  expect(kept).toEqual([{ key_set_seq: newer }]);
});

test("a key set that somebody else signed, or that is away, is not believed", async () => {
  const stranger = await newKey("document");
  const own = documentKey;
  documentKey = stranger;
  await publish([own, webhookKey]);
  expect(await send(webhookKey.signer)).toMatchObject({ status: 401, body: { code: "signature_missing" } });
  sink.reply(KEYS, () => ({ status: 503 }));
  expect(await send(webhookKey.signer)).toMatchObject({ status: 502, body: { code: "source_unavailable" } });
});

test("a key set that is away for a while keeps nobody from taking back", async () => {
  expectStatus(await send(webhookKey.signer), 200);
  clock.advance(60);
  sink.reply(KEYS, () => ({ status: 503 }));
  expectStatus(await send(webhookKey.signer), 200);
});

test("and the platform keeps its promises after all of it", async () => {
  await checkPlatform({ ...platform, now: () => Math.floor(platform.clock.nowMs() / 1_000) });
});
