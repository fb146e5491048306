import { formatInstant, signJwsInput, verifyConsentAcceptance, verifyKeySet } from "@licet/protocol";
import { describe, expect, test } from "vitest";
import { checkPlatform } from "../../../test/fixtures/check-platform.ts";
import { type Creator, enrolCreator, expectStatus, giveConsent } from "../../../test/fixtures/actors.ts";
import type { Answer } from "../../../test/fixtures/caller.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { expireConsents } from "../revocations/expire-consents.ts";

const platform = await startPlatform();
const ana = await enrolCreator(platform);
const bram = await enrolCreator(platform);

function jtisOf(answer: Answer): readonly string[] {
  return expectStatus(answer, 200).body.consents.map((consent: { jti: string }) => consent.jti);
}

async function consentsOf(creator: Creator, count: number): Promise<readonly string[]> {
  const jtis: string[] = [];
  while (jtis.length < count) jtis.push((await giveConsent(creator)).jti);
  return jtis.sort();
}

describe("the list of consents", () => {
  test("is narrowed to a creator's own, whatever they ask for", async () => {
    const mine = await consentsOf(ana, 2);
    await consentsOf(bram, 1);
    expect(jtisOf(await ana.caller.get("/api/v1/consents"))).toEqual(mine);
    expect(jtisOf(await ana.caller.get(`/api/v1/consents?creator_id=${ana.creatorId}`))).toEqual(mine);
    expect(await ana.caller.get(`/api/v1/consents?creator_id=${bram.creatorId}`)).toMatchObject({
      status: 403,
      body: { code: "not_yours" },
    });
    expect(jtisOf(await platform.operator.get(`/api/v1/consents?creator_id=${ana.creatorId}`))).toEqual(mine);
    expect(jtisOf(await platform.operator.get("/api/v1/consents")).length).toBe(3);
  });

  test("comes in pages that leave nothing out and repeat nothing", async () => {
    const creator = await enrolCreator(platform);
    const jtis = await consentsOf(creator, 5);
    const seen: string[] = [];
    const sizes: number[] = [];
    for (let after: string | null = ""; after !== null;) {
      const page: Answer = await creator.caller.get(`/api/v1/consents?limit=2${after === "" ? "" : `&after=${after}`}`);
      seen.push(...jtisOf(page));
      sizes.push(page.body.consents.length);
      after = page.body.next;
    }
    expect(seen).toEqual(jtis);
    expect(sizes).toEqual([2, 2, 1]);
  });

  test("ends when a page is exactly full", async () => {
    const creator = await enrolCreator(platform);
    await consentsOf(creator, 2);
    expect((await creator.caller.get("/api/v1/consents?limit=2")).body.next).toBeNull();
  });

  test.each([
    "limit=0",
    "limit=1001",
    "limit=-1",
    "limit=2.5",
    "limit=all",
    "state=stolen",
    "creator_id=..",
    "creator_id=a%2Fb",
  ])("refuses %s", async (query) => {
    expect(await platform.operator.get(`/api/v1/consents?${query}`)).toMatchObject({
      status: 422,
      body: { code: "input_invalid" },
    });
  });

  test("does not take a cursor for SQL", async () => {
    const answer = await platform.operator.get(`/api/v1/consents?after=${encodeURIComponent("' or 1=1 --")}`);
    expect(answer).toMatchObject({ status: 422, body: { code: "input_invalid" } });
  });

  test("can be asked for a state", async () => {
    const creator = await enrolCreator(platform);
    const [first = "", second = ""] = await consentsOf(creator, 2);
    expectStatus(await creator.caller.post(`/api/v1/consents/${first}/revoke`, {}), 200);
    expect(jtisOf(await creator.caller.get("/api/v1/consents?state=revoked"))).toEqual([first]);
    expect(jtisOf(await creator.caller.get("/api/v1/consents?state=active"))).toEqual([second]);
  });
});

describe("one consent", () => {
  test("is shown with its token and an acceptance that verifies", async () => {
    const consent = await giveConsent(ana);
    const { body } = await ana.caller.get(`/api/v1/consents/${consent.jti}`);
    expect(body).toMatchObject({
      jti: consent.jti,
      creator_id: ana.creatorId,
      subject: `creator:${ana.creatorId}`,
      state: "active",
      token: consent.token,
      price_floor: "per-token:0",
    });
    const { body: document } = await platform.anonymous.get("/.well-known/keys.json");
    const now = Math.floor(platform.clock.nowMs() / 1_000);
    const keys = await verifyKeySet(document, platform.origin, now);
    if (!keys.ok) throw new Error(keys.refusal.detail);
    expect(await verifyConsentAcceptance(body.acceptance, consent.token, consent.jti, keys.value)).toMatchObject({
      ok: true,
    });
  });

  test("and its history are hidden from other creators", async () => {
    const { jti } = await giveConsent(ana);
    for (const path of [`/api/v1/consents/${jti}`, `/api/v1/consents/${jti}/history`]) {
      const answer = await bram.caller.get(path);
      expect(answer).toMatchObject({ status: 403, body: { code: "not_yours" } });
      expect(answer.text).not.toContain(ana.creatorId);
    }
  });

  test.each(["ctok_short", "..", "%2e%2e%2f", "ctok_AAAAAAAAAAAAAAAAAAAAA%00"])(
    "is not looked for under %s",
    async (jti) => {
      expect([400, 404]).toContain((await platform.operator.get(`/api/v1/consents/${jti}`)).status);
    },
  );
});

describe("the history", () => {
  test("tells every state with who and why, and the words that were shown", async () => {
    const drafted = (
      await ana.caller.post("/api/v1/consents/drafts", { subject: `creator:${ana.creatorId}`, scope: ["training"] })
    ).body;
    platform.clock.advance(60);
    const token = await signJwsInput(drafted.signing_input, ana.signer);
    expectStatus(await ana.caller.post("/api/v1/consents", { token }), 201);
    platform.clock.advance(60);
    expectStatus(
      await platform.operator.post(`/api/v1/consents/${drafted.jti}/revoke`, { reason: "a court said so" }),
      200,
    );

    const { body } = await ana.caller.get(`/api/v1/consents/${drafted.jti}/history`);
    expect(body).toMatchObject({ jti: drafted.jti, text: drafted.text, terms_sha256: drafted.terms_sha256 });
    expect(body.history.map(({ state, by, reason }: Record<string, string>) => [state, by, reason])).toEqual([
      ["drafted", `creator:${ana.creatorId}`, undefined],
      ["active", `creator:${ana.creatorId}`, undefined],
      ["revoked", "operator", "a court said so"],
    ]);
    const [drawn, given, ended] = body.history.map((entry: { at: string }) => Date.parse(entry.at) / 1_000);
    expect([given - drawn, ended - given].every((seconds) => seconds >= 60 && seconds < 75)).toBe(true);
  });
});

test("a consent whose time is over is expired, not revoked", async () => {
  const { jti, claims } = await giveConsent(ana, { duration_days: 1 });
  platform.clock.advance(86_401);
  await expireConsents(platform.server.ctx);
  const { body: session } = await platform.operator.post(`/api/v1/creators/${ana.creatorId}/sessions`);
  const { body } = await platform.as(session.creator_token).get(`/api/v1/consents/${jti}`);
  expect(body).toMatchObject({ jti, state: "expired", expires_at: formatInstant(claims.exp) });
  expect(body.revoked_at).toBeUndefined();
});

test("the platform keeps its promises after all this", async () => {
  await checkPlatform({ ...platform, now: () => Math.floor(platform.clock.nowMs() / 1_000) });
});
