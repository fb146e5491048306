import { describe, expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  giveConsent,
  publishDataset,
  registerWork,
} from "../../../test/fixtures/actors.ts";
import { checkPlatform } from "../../../test/fixtures/check-platform.ts";
import { readDocument } from "../../../test/fixtures/datasets.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { readStatusBit } from "../../../test/fixtures/status-bit.ts";
import { expireConsents } from "./expire-consents.ts";

const platform = await startPlatform();
const { ctx } = platform.server;
const DAY_SECONDS = 86_400;
const REVOKED = 1;

const eventsOf = (jti: string) =>
  ctx.db.selectFrom("event").select("type").where("aggregate", "=", jti).orderBy("at_ms").execute();

describe("a consent whose time is over", () => {
  test("ends by itself: its bit, its datasets, its history, without anybody's key", async () => {
    const [short, long] = [await enrolCreator(platform), await enrolCreator(platform)];
    const [first, second] = [
      await registerWork(platform, short.creatorId),
      await registerWork(platform, long.creatorId),
    ];
    const brief = await giveConsent(short, { duration_days: 1 });
    await giveConsent(long, { duration_days: 100 });
    const [alone, together] = [
      await publishDataset(platform, [first]),
      await publishDataset(platform, [first, second]),
    ];
    platform.clock.advance(DAY_SECONDS - 5);
    await expireConsents(ctx);
    expect(await readStatusBit(platform, brief.claims)).toBe(0);

    platform.clock.advance(5);
    await expireConsents(ctx);
    expect(await readStatusBit(platform, brief.claims)).toBe(REVOKED);
    expect(await readDocument(platform, `/.well-known/dataset-status/${alone.dataset_id}`)).toMatchObject({
      status: "expired",
      withdrawn_items_count: 1,
      revoked_jtis: [brief.jti],
    });
    expect(await readDocument(platform, `/.well-known/dataset-status/${together.dataset_id}`)).toMatchObject({
      status: "partially_revoked",
    });
    expect((await platform.operator.get(`/api/v1/consents/${brief.jti}`)).body).toMatchObject({
      state: "expired",
      reason: "the consent's time is over",
    });
    expect(JSON.stringify(await readDocument(platform, "/.well-known/consent-revocations.json"))).not.toContain(
      brief.jti,
    );
  });

  test("ends once, however many timers run", async () => {
    const creator = await enrolCreator(platform);
    const { jti } = await giveConsent(creator, { duration_days: 1 });
    platform.clock.advance(DAY_SECONDS);
    await Promise.all(Array.from({ length: 5 }, () => expireConsents(ctx)));
    expect((await eventsOf(jti)).map((event) => event.type)).toEqual([
      "consent.drafted",
      "consent.granted",
      "consent.expired",
    ]);
  });

  test("is noticed by the sweep of a running server", async () => {
    const creator = await enrolCreator(platform);
    const { jti } = await giveConsent(creator, { duration_days: 1 });
    platform.clock.advance(DAY_SECONDS);
    await expect
      .poll(async () => (await platform.operator.get(`/api/v1/consents/${jti}`)).body.state, { timeout: 8_000 })
      .toBe("expired");
  });

  test("that was revoked before stays revoked", async () => {
    const creator = await enrolCreator(platform);
    const { jti } = await giveConsent(creator, { duration_days: 1 });
    expectStatus(await platform.operator.post(`/api/v1/consents/${jti}/revoke`), 200);
    platform.clock.advance(DAY_SECONDS);
    await expireConsents(ctx);
    expect((await platform.operator.get(`/api/v1/consents/${jti}`)).body.state).toBe("revoked");
  });

  test("taken back too late stays what it is", async () => {
    const creator = await enrolCreator(platform);
    const { jti } = await giveConsent(creator, { duration_days: 1 });
    platform.clock.advance(DAY_SECONDS);
    await expireConsents(ctx);
    expect(await platform.operator.post(`/api/v1/consents/${jti}/revoke`)).toMatchObject({
      status: 200,
      body: { revoked: true, still_covered_by: [] },
    });
    expect((await platform.operator.get(`/api/v1/consents/${jti}`)).body.state).toBe("expired");
    expect((await eventsOf(jti)).map((event) => event.type)).not.toContain("consent.revoked");
  });
});

describe("a timer and a creator at the same moment", () => {
  test("end a consent once, as one or the other", async () => {
    for (let round = 0; round < 10; round += 1) {
      const creator = await enrolCreator(platform);
      const work = await registerWork(platform, creator.creatorId);
      const { jti } = await giveConsent(creator, { duration_days: 1 });
      const { dataset_id } = await publishDataset(platform, [work]);
      platform.clock.advance(DAY_SECONDS);
      const [, answer] = await Promise.all([
        expireConsents(ctx),
        platform.operator.post(`/api/v1/consents/${jti}/revoke`),
      ]);
      expect(answer.status).toBe(200);
      const { body } = await platform.operator.get(`/api/v1/consents/${jti}`);
      expect(["expired", "revoked"]).toContain(body.state);
      expect(await readDocument(platform, `/.well-known/dataset-status/${dataset_id}`)).toMatchObject({
        status: body.state,
      });
      expect((await eventsOf(jti)).filter((event) => /revoked|expired/.test(event.type))).toEqual([
        { type: `consent.${body.state}` },
      ]);
    }
  });

  test("leave a platform that keeps its promises", { timeout: 120_000 }, async () => {
    await checkPlatform({ ...platform, now: () => Math.floor(platform.clock.nowMs() / 1_000) });
  });
});
