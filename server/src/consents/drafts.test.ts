import { type JsonObject, signJwsInput } from "@licet/protocol";
import { createHash } from "node:crypto";
import { type JWK, compactVerify, createLocalJWKSet, importJWK } from "jose";
import { describe, expect, test } from "vitest";
import { type Creator, enrolCreator, expectStatus, giveConsent, registerWork } from "../../../test/fixtures/actors.ts";
import type { Answer, Caller } from "../../../test/fixtures/caller.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { readStatusBit } from "../../../test/fixtures/status-bit.ts";
import { closeAbandonedDrafts } from "./close-abandoned-drafts.ts";

const platform = await startPlatform();
const ana = await enrolCreator(platform);
const bram = await enrolCreator(platform, { alg: "ES256" });

async function askForDraft(caller: Caller, members: JsonObject = {}): Promise<Answer> {
  return caller.post("/api/v1/consents/drafts", {
    subject: `creator:${ana.creatorId}`,
    scope: ["training"],
    ...members,
  });
}

async function draft(creator: Creator, members: JsonObject = {}): Promise<Answer["body"]> {
  return expectStatus(await askForDraft(creator.caller, { subject: `creator:${creator.creatorId}`, ...members }), 201)
    .body;
}

describe("the words of a draft", () => {
  test("say subject, scope, price, time, marketplaces, prohibitions and terms", async () => {
    const work = await registerWork(platform, ana.creatorId);
    const { text, claims } = await draft(ana, {
      subject: `content:${work}`,
      scope: ["fine_tuning_audio", "commercial"],
      price_floor: "per-minute:0.25",
      audience: ["mkt_good", "mkt_better"],
      prohibitions: ["voice_clone"],
      expires_at: "2030-01-01T00:00:00Z",
    });
    for (const words of [
      work,
      "your sound recordings",
      "0.25 for each minute",
      "mkt_good, mkt_better",
      "clone your voice",
      "2030-01-01T00:00:00Z",
      "paid_training:1.0",
    ]) {
      expect(text).toContain(words);
    }
    expect(text).not.toContain("Nobody may earn money");
    expect(claims).toMatchObject({
      aud: ["mkt_good", "mkt_better"],
      prohibitions: ["voice_clone"],
      exp: 1_893_456_000,
      price_floor: "per-minute:0.25",
    });
  });

  test("say that without commercial nobody may earn money", async () => {
    expect((await draft(ana)).text).toContain("Nobody may earn money");
  });

  test("say whether works to come are meant, and so does the claim", async () => {
    const today = await draft(ana);
    expect(today.text).toContain("Works you add later are not part of it");
    expect(today.claims.future_works).toBeUndefined();
    const always = await draft(ana, { future_works: true });
    expect(always.text).toContain("every work you add while it holds");
    expect(always.claims.future_works).toBe(true);
  });

  test("come with terms in the language that was asked for, and their hash is the claim", async () => {
    const { text, claims } = await draft(ana, { language: "de" });
    expect(text).toContain("Alle Rechte an Ihrem Werk bleiben bei Ihnen");
    expect(claims.terms_sha256).toBe(createHash("sha256").update(text).digest("hex"));
  });
});

describe("a draft", () => {
  test("is signed by the newest key unless another is named", async () => {
    const creator = await enrolCreator(platform);
    const header = JSON.parse(Buffer.from((await draft(creator)).signing_input.split(".")[0], "base64url").toString());
    expect(header).toEqual({ alg: "EdDSA", kid: creator.kid, typ: "consent+jwt" });
    expect(await askForDraft(creator.caller, { subject: `creator:${creator.creatorId}`, kid: bram.kid })).toMatchObject(
      { status: 401, body: { code: "key_unknown" } },
    );
  });

  test("gets a jti and a status index of its own, which is valid while nobody has signed", async () => {
    const [one, two] = [await draft(ana), await draft(ana)];
    expect(one.jti).not.toBe(two.jti);
    expect(one.claims.status).not.toEqual(two.claims.status);
    expect(await readStatusBit(platform, one.claims)).toBe(0);
  });

  test("by ES256 becomes a token that jose verifies", async () => {
    const { token } = await giveConsent(bram);
    const { body } = await platform.operator.get(`/api/v1/creators/${bram.creatorId}`);
    const { protectedHeader } = await compactVerify(token, await importJWK(body.keys[0].jwk, "ES256"));
    expect(protectedHeader).toEqual({ alg: "ES256", kid: bram.kid, typ: "consent+jwt" });
  });

  test("for a dataset may come before the dataset", async () => {
    expect((await draft(ana, { subject: "dataset:ds_to_come" })).claims.sub).toBe("dataset:ds_to_come");
  });
});

describe("no draft for", () => {
  test.each<[what: string, code: string, members: JsonObject]>([
    ["an unknown scope entry", "scope_unknown", { scope: ["training", "world_domination"] }],
    ["an empty scope", "input_invalid", { scope: [] }],
    ["a subject with ..", "input_invalid", { subject: "content:.." }],
    ["a subject without kind", "input_invalid", { subject: "everything" }],
    ["a work nobody registered", "subject_not_signers", { subject: "content:nowhere" }],
    ["zero days", "input_invalid", { duration_days: 0 }],
    ["a million days", "input_invalid", { duration_days: 1_000_000 }],
    ["2^53 days", "body_malformed", { duration_days: 2 ** 53 }],
    ["half a day", "body_malformed", { duration_days: 0.5 }],
    ["an end in the past", "input_invalid", { expires_at: "2001-01-01T00:00:00Z" }],
    ["an end in the year 9999", "input_invalid", { expires_at: "9999-12-31T23:59:59Z" }],
    ["the 30th of February", "input_invalid", { expires_at: "2030-02-30T00:00:00Z" }],
    ["an end without a zone", "input_invalid", { expires_at: "2030-01-01T00:00:00" }],
    ["two ends", "input_invalid", { expires_at: "2030-01-01T00:00:00Z", duration_days: 3 }],
    ["a negative price", "input_invalid", { price_floor: "per-token:-1" }],
    ["a price with 13 decimals", "input_invalid", { price_floor: `per-token:0.${"1".repeat(13)}` }],
    ["a price in exponents", "input_invalid", { price_floor: "per-token:1e3" }],
    ["a license without published terms", "input_invalid", { license: "free_for_all:9.9" }],
    ["a language nobody wrote the terms in", "input_invalid", { language: "tlh" }],
    ["a marketplace with a slash", "input_invalid", { audience: ["mkt/../x"] }],
    ["an unknown prohibition", "input_invalid", { prohibitions: ["telepathy"] }],
    ["a member nobody knows", "input_invalid", { scopes: ["training"] }],
    ["evidence without the platform signing", "input_invalid", { evidence: { clicked: "yes" } }],
    ["a subject that is not text", "input_invalid", { subject: { content: "x" } }],
  ])("%s (%s)", async (_what, code, members) => {
    const { db } = platform.server.ctx;
    const count = async () => (await db.selectFrom("consent_draft").select("jti").execute()).length;
    const before = await count();
    expect((await askForDraft(ana.caller, members)).body.code).toBe(code);
    expect(await count()).toBe(before);
  });

  test("another creator, whoever is named and however", async () => {
    const work = await registerWork(platform, bram.creatorId);
    expect(await askForDraft(ana.caller, { creator_id: bram.creatorId })).toMatchObject({
      status: 403,
      body: { code: "not_yours" },
    });
    expect((await askForDraft(ana.caller, { subject: `creator:${bram.creatorId}` })).body.code).toBe(
      "subject_not_signers",
    );
    expect((await askForDraft(ana.caller, { subject: `content:${work}` })).body.code).toBe("subject_not_signers");
    expect((await askForDraft(ana.caller, { signer: "platform", evidence: { clicked: "yes" } })).body.code).toBe(
      "forbidden",
    );
  });

  test("a creator without a key, an unknown creator, or nobody", async () => {
    expectStatus(await platform.operator.post("/api/v1/creators", { creator_id: "keyless" }), 201);
    expect(
      (await askForDraft(platform.operator, { subject: "creator:keyless", creator_id: "keyless" })).body.code,
    ).toBe("key_unknown");
    expect((await askForDraft(platform.operator, { creator_id: "nobody" })).body.code).toBe("not_found");
    expect((await askForDraft(platform.operator)).body).toMatchObject({
      code: "input_invalid",
      detail: expect.stringContaining("creator_id"),
    });
  });
});

describe("a draft nobody signed", () => {
  test("is open for 15 minutes to the second", async () => {
    const drafted = await draft(ana);
    expect(Date.parse(drafted.draft_expires_at) / 1_000).toBe(drafted.claims.iat + 900);
    platform.clock.advance(890);
    const token = await signJwsInput(drafted.signing_input, ana.signer);
    expectStatus(await ana.caller.post("/api/v1/consents", { token }), 201);
  });

  test("is refused after them, and the sweep sets its bit, so that a token made from it is worth nothing anywhere", async () => {
    const drafted = await draft(ana);
    const token = await signJwsInput(drafted.signing_input, ana.signer);
    platform.clock.advance(901);
    const isLate = { status: 409, body: { code: "draft_expired" } };
    expect(await ana.caller.post("/api/v1/consents", { token })).toMatchObject(isLate);
    await closeAbandonedDrafts(platform.server.ctx);
    expect(await readStatusBit(platform, drafted.claims)).toBe(1);
    expect(await ana.caller.post("/api/v1/consents", { token })).toMatchObject(isLate);
    expect((await platform.operator.get(`/api/v1/consents/${drafted.jti}`)).status).toBe(404);
  });

  test("is closed once, and one that was signed in time is left alone", async () => {
    const { jti, claims } = await giveConsent(ana);
    platform.clock.advance(901);
    await Promise.all([closeAbandonedDrafts(platform.server.ctx), closeAbandonedDrafts(platform.server.ctx)]);
    await closeAbandonedDrafts(platform.server.ctx);
    expect(await readStatusBit(platform, { status: claims.status })).toBe(0);
    const closed = await platform.server.ctx.db
      .selectFrom("event")
      .select("aggregate")
      .where("type", "=", "consent.draft-closed")
      .execute();
    expect(new Set(closed.map((event) => event.aggregate)).size).toBe(closed.length);
    expect(closed.map((event) => event.aggregate)).not.toContain(jti);
  });
});

describe("a consent that the platform signs", () => {
  const evidence = { form: "onboarding", clicked_at: "2026-01-18T12:05:00Z" };

  async function draftForAna(): Promise<Answer["body"]> {
    return expectStatus(
      await askForDraft(platform.operator, { creator_id: ana.creatorId, signer: "platform", evidence }),
      201,
    ).body;
  }

  test("is shown as what it is: the platform's issuer and key, act, and the hash of the evidence", async () => {
    const drafted = await draftForAna();
    const { status, body } = await platform.operator.post(`/api/v1/consents/drafts/${drafted.jti}/platform-signature`);
    expect({ status, body }).toMatchObject({
      status: 201,
      body: { signed_by: "platform", creator_id: ana.creatorId, state: "active" },
    });
    const keys: { keys: JWK[] } = (await platform.anonymous.get("/.well-known/keys.json")).body;
    const { payload, protectedHeader } = await compactVerify(body.token, createLocalJWKSet(keys));
    const claims = JSON.parse(new TextDecoder().decode(payload));
    const sorted = `{"clicked_at":"${evidence.clicked_at}","form":"${evidence.form}"}`;
    expect(claims).toMatchObject({
      iss: platform.origin,
      act: { sub: ana.creatorId, evidence_sha256: createHash("sha256").update(sorted).digest("hex") },
    });
    expect(keys.keys.find((key) => key.kid === protectedHeader.kid)).toMatchObject({ purpose: "consent" });
    expect((await ana.caller.get(`/api/v1/consents/${drafted.jti}`)).body.signed_by).toBe("platform");
  });

  test("needs evidence", async () => {
    expect((await askForDraft(platform.operator, { creator_id: ana.creatorId, signer: "platform" })).body.code).toBe(
      "input_invalid",
    );
  });

  test("is signed once, in time, and never from a draft for the creator's own key", async () => {
    const drafted = await draftForAna();
    const sign = (jti: string) => platform.operator.post(`/api/v1/consents/drafts/${jti}/platform-signature`);
    expectStatus(await sign(drafted.jti), 201);
    expect(await sign(drafted.jti)).toMatchObject({ status: 409, body: { code: "jti_seen" } });
    expect(await sign((await draft(ana)).jti)).toMatchObject({ status: 409, body: { code: "conflict" } });
    expect(await sign(`ctok_${"B".repeat(22)}`)).toMatchObject({ status: 404, body: { code: "not_found" } });
    const late = await draftForAna();
    platform.clock.advance(901);
    expect(await sign(late.jti)).toMatchObject({ status: 409, body: { code: "draft_expired" } });
  });

  test("cannot be signed by the creator instead, nor asked for in a creator's session", async () => {
    const drafted = await draftForAna();
    const token = await signJwsInput(drafted.signing_input, ana.signer);
    expect((await ana.caller.post("/api/v1/consents", { token })).body.code).toBe("signature_invalid");
    expect(await ana.caller.post(`/api/v1/consents/drafts/${drafted.jti}/platform-signature`)).toMatchObject({
      status: 403,
      body: { code: "forbidden" },
    });
  });
});
