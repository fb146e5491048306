import {
  type JsonObject,
  type KeySet,
  parseInstant,
  verifyConsentAcceptance,
  verifyDocument,
  verifyKeySet,
  verifyStatusList,
} from "@licet/protocol";
import { describe, expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  fetchAccessToken,
  giveConsent,
  publishDataset,
  registerMarketplace,
  registerWork,
} from "../../../test/fixtures/actors.ts";
import { checkPlatform } from "../../../test/fixtures/check-platform.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { retireKeys } from "./rotate-keys.ts";

const platform = await startPlatform();
const { ctx } = platform.server;
const ana = await enrolCreator(platform);
const work = await registerWork(platform, ana.creatorId);
const consent = await giveConsent(ana);
const { dataset_id } = await publishDataset(platform, [work]);

const STATUS_DOCUMENTS = [
  ["/.well-known/consent-revocations.json", "consent-revocations"],
  [`/.well-known/dataset-status/${dataset_id}`, "dataset-status"],
  [`/datasets/${dataset_id}/manifest.json`, "current-manifest"],
] as const;
const TTL_SECONDS = 15;

function now(): number {
  return Math.floor(platform.clock.nowMs() / 1_000);
}

async function read(path: string): Promise<JsonObject> {
  return expectStatus(await platform.anonymous.get(path), 200).body;
}

async function readKeys(at = now()): Promise<KeySet> {
  const keys = await verifyKeySet(await read("/.well-known/keys.json"), platform.origin, at);
  if (!keys.ok) throw new Error(keys.refusal.detail);
  return keys.value;
}

interface Rotated {
  readonly purpose: string;
  readonly kid: string;
  readonly signs_from: string;
  readonly replaces: readonly string[];
  readonly retires_at: string;
}

async function rotate(body: JsonObject = {}): Promise<readonly Rotated[]> {
  return expectStatus(await platform.operator.post("/api/v1/keys/rotations", body), 201).body.rotated;
}

/** A reader that keeps the key set for as long as it may, and whose clock may be wrong. */
function createReader(aheadSeconds: number) {
  let held: { readonly keys: KeySet; readonly at: number } | undefined;
  return async (): Promise<readonly string[]> => {
    const at = now() + aheadSeconds;
    if (held === undefined || at - held.at >= TTL_SECONDS) held = { keys: await readKeys(at), at };
    const { keys } = held;
    const refusals: string[] = [];
    for (const [path, type] of STATUS_DOCUMENTS) {
      const verified = await verifyDocument(await read(path), { type, keys, madeAt: now() + aheadSeconds });
      if (!verified.ok) refusals.push(`${path}: ${verified.refusal.detail}`);
    }
    const uri = `${platform.origin}/status-lists/1`;
    const token = expectStatus(await platform.anonymous.get("/status-lists/1"), 200).text;
    const list = await verifyStatusList(token, { uri, keys, now: now() + Math.max(0, aheadSeconds) });
    if (!list.ok) refusals.push(`${uri}: ${list.refusal.detail}`);
    return refusals;
  };
}

/** Who signed a document, by what it says. */
async function signerOfDocument(path: string): Promise<unknown> {
  const { body } = expectStatus(await platform.anonymous.get(path), 200);
  return body.signatures[0].key_id;
}

test("the OAuth server's key is handed over, too, and tokens of the old one hold for their time", async () => {
  const marketplace = await registerMarketplace(platform);
  const early = await marketplace.call();
  const [rotated] = await rotate({ purposes: ["oauth"] });
  expect(rotated).toMatchObject({ purpose: "oauth", replaces: [expect.any(String)] });
  await expect
    .poll(
      async () => {
        const token = await fetchAccessToken(platform, marketplace);
        return JSON.parse(Buffer.from(token.split(".")[0] ?? "", "base64url").toString("utf8")).kid;
      },
      { timeout: 20_000 },
    )
    .toBe(rotated?.kid);
  expectStatus(await early.get("/api/v1/datasets"), 200);
  expectStatus(await (await marketplace.call()).get("/api/v1/datasets"), 200);
});

describe("a rotation", () => {
  test("under a load of revocations leaves no moment in which a document does not verify, for readers that keep the key set for 15 seconds, whose clock is two minutes ahead or a little behind", async () => {
    const before = ctx.signingKeys.signerFor("document").kid;
    const readers = [0, 120, -50].map(createReader);
    const refusals: string[] = [];
    const load = new AbortController();
    const revoking = (async () => {
      while (!load.signal.aborted) {
        const subject = `content:${await registerWork(platform, ana.creatorId)}`;
        const given = await giveConsent(ana, { subject });
        expectStatus(await ana.caller.post(`/api/v1/consents/${given.jti}/revoke`, {}), 200);
      }
    })();
    for (let step = 0; step < 30; step += 1) {
      if (step === 4) await rotate({ purposes: ["document"] });
      if (step === 10) await rotate({ purposes: ["document"], alg: "ES256" });
      for (const reader of readers) refusals.push(...(await reader()));
      platform.clock.advance(7);
    }
    load.abort();
    await revoking;
    expect(refusals).toEqual([]);
    expect(ctx.signingKeys.signerFor("document")).toMatchObject({ alg: "ES256" });
    expect(ctx.signingKeys.signerFor("document").kid).not.toBe(before);
    platform.clock.advance(1_300);
    await retireKeys(ctx);
    for (const reader of [0, 120].map(createReader)) expect(await reader()).toEqual([]);
    const statuses = (await readKeys()).keys.filter((key) => key.purpose === "document").map((key) => key.status);
    expect(statuses.toSorted()).toEqual(["active", "retired", "retired"]);
    await checkPlatform({ ...platform, now });
  });

  test("publishes the new key a minute before it signs, and keeps the old one for 20 more", async () => {
    const path = `/.well-known/dataset-status/${dataset_id}`;
    const old = await signerOfDocument(path);
    const [rotated] = await rotate({ purposes: ["document"] });
    expect(rotated).toMatchObject({ purpose: "document", replaces: [old] });
    const { kid, signs_from, retires_at } = rotated ?? {};
    expect((parseInstant(String(retires_at)) ?? 0) - (parseInstant(String(signs_from)) ?? 0)).toBe(1_200);
    const statusOf = async (name: unknown) => (await readKeys()).keys.find((key) => key.kid === name)?.status;
    expect([await statusOf(old), await statusOf(kid)]).toEqual(["active", "active"]);
    platform.clock.advance(50);
    expect(ctx.signingKeys.signerFor("document").kid).toBe(old);
    platform.clock.advance(15);
    expect(ctx.signingKeys.signerFor("document").kid).toBe(kid);
    await giveConsent(ana, { subject: `content:${await registerWork(platform, ana.creatorId)}` });
    platform.clock.advance(160);
    expect(await signerOfDocument(path)).toBe(kid);
    await retireKeys(ctx);
    expect(await statusOf(old)).toBe("active");
    platform.clock.advance(1_200);
    await retireKeys(ctx);
    expect([await statusOf(old), await statusOf(kid)]).toEqual(["retired", "active"]);
  });

  test("leaves what was signed before as good as it was", async () => {
    const manifest = await read(`/datasets/${dataset_id}/versions/1/manifest.json`);
    const { acceptance } = expectStatus(await ana.caller.get(`/api/v1/consents/${consent.jti}`), 200).body;
    const keys = await readKeys();
    const madeAt = parseInstant(String(manifest["published_at"])) ?? 0;
    expect(await verifyDocument(manifest, { type: "manifest", keys, madeAt })).toMatchObject({ ok: true });
    expect(await verifyConsentAcceptance(acceptance, consent.token, consent.jti, keys)).toMatchObject({ ok: true });
    const [signature] = Array.isArray(manifest["signatures"]) ? manifest["signatures"] : [];
    const key = keys.keys.find((candidate) => candidate.kid === (signature as { key_id: string }).key_id);
    expect(key?.status).toBe("retired");
  });

  test("of all purposes happens at once, and is told in the list", async () => {
    const rotated = await rotate();
    expect(rotated.map(({ purpose }) => purpose).toSorted()).toEqual([
      "consent",
      "document",
      "license",
      "receipt",
      "webhook",
    ]);
    const { keys } = expectStatus(await platform.operator.get("/api/v1/keys"), 200).body;
    for (const { kid, replaces } of rotated) {
      expect(keys).toContainEqual(expect.objectContaining({ kid, signs: false, signs_from: expect.any(String) }));
      const [old] = replaces;
      expect(keys).toContainEqual(expect.objectContaining({ kid: old, signs: true, retires_at: expect.any(String) }));
    }
    expect(JSON.stringify(keys)).not.toContain('"d"');
  });

  test("is refused when too many keys of a purpose are active", async () => {
    for (let more = 0; more < 6; more += 1) await rotate({ purposes: ["receipt"] });
    expect(await platform.operator.post("/api/v1/keys/rotations", { purposes: ["receipt"] })).toMatchObject({
      status: 409,
      body: { code: "conflict" },
    });
    expect(await platform.operator.post("/api/v1/keys/rotations", { purposes: ["everything"] })).toMatchObject({
      status: 422,
      body: { code: "input_invalid" },
    });
  });
});

test("a reader whose clock is two minutes behind fails closed, and finds the signatures right all the same", async () => {
  await rotate({ purposes: ["document"] });
  platform.clock.advance(300);
  const document = await read("/.well-known/keys.json");
  expect(await verifyKeySet(document, platform.origin, now() - 120)).toMatchObject({
    ok: false,
    refusal: { code: "document_expired" },
  });
  const keys = await readKeys();
  const status = await read(`/.well-known/dataset-status/${dataset_id}`);
  expect(await verifyDocument(status, { type: "dataset-status", keys, madeAt: now() - 120 })).toMatchObject({
    ok: true,
  });
});

test("a draft that the platform is to sign is finished under the key it was made for, even after a rotation", async () => {
  const draft = expectStatus(
    await platform.operator.post("/api/v1/consents/drafts", {
      creator_id: ana.creatorId,
      subject: `creator:${ana.creatorId}`,
      scope: ["training"],
      signer: "platform",
      evidence: { ticket: "4711" },
    }),
    201,
  ).body;
  await rotate({ purposes: ["consent"] });
  platform.clock.advance(120);
  expectStatus(await platform.operator.post(`/api/v1/consents/drafts/${draft.jti}/platform-signature`), 201);
});
