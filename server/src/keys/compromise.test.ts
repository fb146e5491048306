import {
  type JsonObject,
  type KeySet,
  formatInstant,
  parseInstant,
  signDocument,
  verifyConsentAcceptance,
  verifyCountersignature,
  verifyDocument,
  verifyKeySet,
  verifyStatusList,
} from "@licet/protocol";
import { startServer } from "@licet/server";
import { describe, expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  giveConsent,
  publishDataset,
  registerWork,
} from "../../../test/fixtures/actors.ts";
import { checkPlatform } from "../../../test/fixtures/check-platform.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";

const platform = await startPlatform();
const { ctx } = platform.server;
const ana = await enrolCreator(platform);
const [work, second, third] = [
  await registerWork(platform, ana.creatorId),
  await registerWork(platform, ana.creatorId),
  await registerWork(platform, ana.creatorId),
];

function now(): number {
  return Math.floor(platform.clock.nowMs() / 1_000);
}

async function read(path: string): Promise<JsonObject> {
  return expectStatus(await platform.anonymous.get(path), 200).body;
}

async function readKeys(): Promise<KeySet> {
  const keys = await verifyKeySet(await read("/.well-known/keys.json"), platform.origin, now());
  if (!keys.ok) throw new Error(keys.refusal.detail);
  return keys.value;
}

async function revoke(kid: string, since?: number): Promise<JsonObject> {
  const body = since === undefined ? {} : { compromised_since: formatInstant(since) };
  return expectStatus(await platform.operator.post(`/api/v1/keys/${kid}/revoke`, body), 200).body;
}

async function countRevocations(): Promise<number> {
  return (await ctx.db.selectFrom("event").select("id").where("type", "=", "key.revoked").execute()).length;
}

async function draftForPlatform(): Promise<string> {
  const body = {
    creator_id: ana.creatorId,
    subject: `creator:${ana.creatorId}`,
    scope: ["training", "commercial"],
    signer: "platform",
    evidence: { ticket: "4711" },
  };
  return expectStatus(await platform.operator.post("/api/v1/consents/drafts", body), 201).body.jti;
}

async function signByPlatform(): Promise<string> {
  const jti = await draftForPlatform();
  expectStatus(await platform.operator.post(`/api/v1/consents/drafts/${jti}/platform-signature`), 201);
  return jti;
}

describe("a document key that somebody else had", () => {
  test("is replaced at once, and whatever readers trust is signed again before anybody sees the revocation", async () => {
    const before = await giveConsent(ana);
    const early = await publishDataset(platform, [work]);
    platform.clock.advance(100);
    const since = now();
    platform.clock.advance(20);
    const after = await giveConsent(ana, { subject: `content:${work}` });
    const late = await publishDataset(platform, [second]);
    const stolen = ctx.signingKeys.signerFor("document");
    const forged = await signDocument(
      "terms",
      platform.origin,
      { license: "paid_training:1.0", language: "en", text: "Everything is free." },
      stolen,
    );

    const answer = await revoke(stolen.kid, since);
    expect(answer).toMatchObject({ key: { kid: stolen.kid, status: "revoked" }, acceptances_signed_again: 1 });
    const keys = await readKeys();
    expect(keys.keys.find((key) => key.kid === stolen.kid)).toMatchObject({
      status: "revoked",
      compromised_since: formatInstant(since),
    });
    expect(ctx.signingKeys.signerFor("document").kid).toBe(answer["successor"]);

    for (const { dataset_id } of [early, late]) {
      const status = await read(`/.well-known/dataset-status/${dataset_id}`);
      expect(await verifyDocument(status, { type: "dataset-status", keys, madeAt: now() })).toMatchObject({ ok: true });
      const manifest = await read(`/datasets/${dataset_id}/versions/1/manifest.json`);
      const madeAt = parseInstant(String(manifest["published_at"])) ?? 0;
      expect(await verifyDocument(manifest, { type: "manifest", keys, madeAt })).toMatchObject({ ok: true });
    }
    const { text } = await platform.anonymous.get("/status-lists/1");
    const uri = `${platform.origin}/status-lists/1`;
    expect(await verifyStatusList(text, { uri, keys, now: now() })).toMatchObject({ ok: true });
    for (const { jti, token } of [before, after]) {
      const { acceptance } = expectStatus(await ana.caller.get(`/api/v1/consents/${jti}`), 200).body;
      expect(await verifyConsentAcceptance(acceptance, token, jti, keys)).toMatchObject({ ok: true });
    }
    expect(await verifyDocument(forged, { type: "terms", keys, madeAt: now() })).toMatchObject({
      ok: false,
      refusal: { code: "key_not_in_force" },
    });
    await checkPlatform({ ...platform, now });
  });

  test("leaves what it signed before as it was, byte by byte", async () => {
    const { dataset_id } = await publishDataset(platform, [third]);
    const path = `/datasets/${dataset_id}/versions/1/manifest.json`;
    const { text } = await platform.anonymous.get(path);
    platform.clock.advance(5);
    await revoke(ctx.signingKeys.signerFor("document").kid);
    expect((await platform.anonymous.get(path)).text).toBe(text);
    const manifest = await read(path);
    const madeAt = parseInstant(String(manifest["published_at"])) ?? 0;
    expect(await verifyDocument(manifest, { type: "manifest", keys: await readKeys(), madeAt })).toMatchObject({
      ok: true,
    });
  });

  test("that was to be replaced anyway hands over to the key that was waiting", async () => {
    const { rotated } = expectStatus(
      await platform.operator.post("/api/v1/keys/rotations", { purposes: ["document"] }),
      201,
    ).body;
    const current = ctx.signingKeys.signerFor("document").kid;
    expect(current).not.toBe(rotated[0].kid);
    expect(await revoke(current)).toMatchObject({ successor: rotated[0].kid });
    expect(ctx.signingKeys.signerFor("document").kid).toBe(rotated[0].kid);
  });

  test("is revoked again with the same answer, not from a time to come; an earlier time is taken", async () => {
    const { kid } = ctx.signingKeys.signerFor("document");
    const late = { compromised_since: formatInstant(now() + 600) };
    expect(await platform.operator.post(`/api/v1/keys/${kid}/revoke`, late)).toMatchObject({
      status: 422,
      body: { code: "input_invalid" },
    });
    const since = now();
    const first = await revoke(kid, since);
    const before = await countRevocations();
    const again = await revoke(kid);
    expect(again).toEqual({ ...first, documents_signed_again: 0, acceptances_signed_again: 0 });
    expect(await revoke(kid, since)).toEqual(again);
    expect(await countRevocations()).toBe(before);
    expect(await revoke(kid, since - 60)).toMatchObject({ key: { compromised_since: formatInstant(since - 60) } });
    expect((await platform.operator.post(`/api/v1/keys/${"A".repeat(43)}/revoke`, {})).status).toBe(404);
  });

  test("and a load of revocations do not harm one another", async () => {
    const load = Array.from({ length: 6 }, async () => {
      const given = await giveConsent(ana, { subject: `content:${await registerWork(platform, ana.creatorId)}` });
      expectStatus(await ana.caller.post(`/api/v1/consents/${given.jti}/revoke`, {}), 200);
    });
    await Promise.all([...load, revoke(ctx.signingKeys.signerFor("document").kid)]);
    const keys = await readKeys();
    const { text } = await platform.anonymous.get("/status-lists/1");
    const uri = `${platform.origin}/status-lists/1`;
    expect(await verifyStatusList(text, { uri, keys, now: now() })).toMatchObject({ ok: true });
    await checkPlatform({ ...platform, now });
  });
});

describe("a key for consents that somebody else had", () => {
  test("takes the consents with it that the platform signed since then, and nothing else", async () => {
    const early = await signByPlatform();
    platform.clock.advance(10);
    const since = now();
    platform.clock.advance(10);
    const late = await signByPlatform();
    const open = await draftForPlatform();
    const own = await giveConsent(ana);
    const answer = await revoke(ctx.signingKeys.signerFor("consent").kid, since);
    expect(answer).toMatchObject({ revoked_jtis: [late], documents_signed_again: 0 });
    const stateOf = async (jti: string) =>
      expectStatus(await platform.operator.get(`/api/v1/consents/${jti}`), 200).body;
    expect(await stateOf(late)).toMatchObject({ state: "revoked", reason: "signing_key_compromised" });
    expect([(await stateOf(early)).state, (await stateOf(own.jti)).state]).toEqual(["active", "active"]);
    expect(await platform.operator.post(`/api/v1/consents/drafts/${open}/platform-signature`)).toMatchObject({
      status: 401,
      body: { code: "key_not_in_force" },
    });
    await signByPlatform();
    await checkPlatform({ ...platform, now });
  });
});

test("a key for receipts is replaced, and the answer names the receipts that are in doubt", async () => {
  const { kid } = ctx.signingKeys.signerFor("receipt");
  expect(await revoke(kid, now() - 60)).toMatchObject({ receipt_ids: [], successor: expect.any(String) });
  expect(ctx.signingKeys.signerFor("receipt").kid).not.toBe(kid);
  expect(await verifyCountersignature({}, await readKeys())).toMatchObject({ ok: false });
});

test.runIf(platform.database.databaseUrl !== undefined)(
  "of two servers, one never commits what is signed with a key that the other revoked",
  async () => {
    const { config } = platform.server.ctx;
    const second = await startServer({ config: { ...config, port: 0 }, clock: platform.clock });
    const stolen = second.ctx.signingKeys.signerFor("document").kid;
    await revoke(stolen);
    // By the database, whatever the memory of the second server says by now.
    const signer = await second.ctx.db
      .transaction()
      .execute((trx) => second.ctx.signingKeys.signerIn(trx, "document", now()));
    expect(signer.kid).not.toBe(stolen);
    await expect.poll(() => second.ctx.signingKeys.signerFor("document").kid, { timeout: 20_000 }).toBe(signer.kid);
    await second.stop();
  },
);
