import { cacheTags } from "@licet/protocol";
import { describe, expect, test } from "vitest";
import { expectStatus, uniqueId } from "../../../test/fixtures/actors.ts";
import {
  CLOUDFLARE_LIMITS,
  type CloudflareMishap,
  startCloudflareSimulator,
} from "../../../test/fixtures/cloudflare-simulator.ts";
import { registerWorks } from "../../../test/fixtures/datasets.ts";
import { startFurtherServer, startPlatform } from "../../../test/fixtures/platform.ts";
import { eventOf, publishCollection, purgesOf, untilConfirmed, withdraw } from "../../../test/fixtures/purges.ts";
import { engine } from "../../../test/fixtures/settings.ts";
import { CLOUDFLARE_PLANS, type CloudflareTarget } from "../purge-config.ts";
import { cloudflareAdapterOf } from "./cloudflare-adapter.ts";

const clock = { nowMs: Date.now };
const cloudflare = await startCloudflareSimulator({ nowMs: () => clock.nowMs() });
const { zone, domain, token, api } = cloudflare;
const settings: CloudflareTarget = { kind: "cloudflare", zone, domain, token, api, plan: "enterprise" };
const purges = { targets: [settings], edges: [] };
const platform = await startPlatform({ purges });
clock.nowMs = platform.clock.nowMs;
const { db } = platform.server.ctx;
const target = `cloudflare:${zone}@${domain}`;

/** Calls that have come since. */
function countFrom() {
  const before = cloudflare.calls().length;
  return () => cloudflare.calls().slice(before);
}

async function targetNow() {
  return expectStatus(await platform.operator.get("/api/v1/purges?limit=1"), 200).body.targets[0];
}

/** The rest of what earlier tests left is done and nobody is warned of it any more, so that calls and events can be counted. */
async function untilQuiet(): Promise<void> {
  await expect
    .poll(
      async () => {
        platform.clock.advance(10);
        const { body } = expectStatus(await platform.operator.get("/api/v1/purges?state=waiting"), 200);
        const warned = await db
          .selectFrom("purge_target")
          .select("target")
          .where("warned_at_ms", "is not", null)
          .execute();
        return body.purges.length + warned.length;
      },
      { timeout: 20_000, interval: 200 },
    )
    .toBe(0);
}

describe("a withdrawal at Cloudflare", () => {
  test("purges the documents that say it and the copies of the work, by tag and by address", async () => {
    const collection = await publishCollection(platform, 2);
    const [gone = "", stays = ""] = collection.contentIds;
    const tags = [cacheTags.revocations, cacheTags.dataset(collection.datasetId), cacheTags.content(gone)];
    for (const [index, tag] of [...tags, cacheTags.content(stays)].entries())
      cloudflare.fill(`https://cdn.example/${collection.datasetId}/${index}`, [tag]);
    const row = await db
      .selectFrom("content_item")
      .selectAll()
      .where("content_id", "=", gone)
      .executeTakeFirstOrThrow();
    cloudflare.fill(row.canonical_url, []);
    const [purge] = await untilConfirmed(platform, await withdraw(platform, collection, gone));
    expect(purge).toMatchObject({ target, round: 1, attempts: 1 });
    const held = [0, 1, 2, 3].map((index) => cloudflare.holds(`https://cdn.example/${collection.datasetId}/${index}`));
    expect(held).toEqual([false, false, false, true]);
    expect(cloudflare.holds(row.canonical_url)).toBe(false);
    expect(await platform.operator.get("/metrics").then(({ text }) => text)).toContain(
      `licet_purge_confirmed_seconds_count{target="${target}",leg="purge"}`,
    );
  });

  test("sends 250 tags in three calls of at most a hundred, and the works' addresses in three", async () => {
    const works = 247;
    const collection = await publishCollection(platform, works);
    await untilQuiet();
    const since = countFrom();
    const { operator } = platform;
    const path = `/api/v1/creators/${collection.creator.creatorId}/revocations`;
    const { body } = expectStatus(await operator.post(path, { all: true }), 200);
    await untilConfirmed(platform, await eventOf(platform, body.revoked_jtis[0], "consent.revoked"), 3);
    const calls = since();
    const tags = calls.flatMap((call) => call.tags);
    expect(calls.filter((call) => call.tags.length > 0)).toHaveLength(3);
    expect(calls.filter((call) => call.files.length > 0)).toHaveLength(3);
    expect(new Set(tags).size).toBe(works + 3);
    expect(tags).toHaveLength(works + 3);
    expect(Math.max(...calls.map((call) => call.tags.length + call.files.length))).toBeLessThanOrEqual(100);
  });

  test("waits as long as 429 asks, and then sends what came meanwhile in one call", async () => {
    const collection = await publishCollection(platform, 5);
    await untilQuiet();
    cloudflare.spend(CLOUDFLARE_LIMITS.enterprise.burst + 500);
    const [first = "", ...others] = collection.contentIds;
    const events = [await withdraw(platform, collection, first)];
    await expect.poll(async () => (await purgesOf(platform, events[0] ?? ""))[0]?.last_error).toContain("429: ");
    expect(await targetNow()).toMatchObject({ state: "retrying", last_error: expect.stringContaining("429") });
    const since = countFrom();
    for (const contentId of others) events.push(await withdraw(platform, collection, contentId));
    expect(since()).toEqual([]);
    platform.clock.advance(20);
    for (const event of events) await untilConfirmed(platform, event);
    const byTag = since().filter((call) => call.tags.length > 0 && call.status === 200);
    expect(new Set(byTag.flatMap((call) => call.tags)).size).toBe(3 + collection.contentIds.length);
    expect(byTag.length).toBeLessThan(events.length);
    expect(await targetNow()).toMatchObject({ state: "ok", waiting: 0 });
  });

  test.each<[CloudflareMishap, string]>([
    ["lose", "did not answer"],
    ["break", "did not answer"],
    ["garbage", "expected success: true, got 200"],
    ["html-error", "expected success: true, got 502"],
    ["not-successful", "200: 1000 purge was not accepted"],
    ["server-error", "500: 1001 Internal error"],
  ])("is sent again when the answer is no confirmation (%s)", async (mishap, error) => {
    const collection = await publishCollection(platform, 1);
    await untilQuiet();
    cloudflare.suffer(mishap, mishap);
    const event = await withdraw(platform, collection, collection.contentIds[0] ?? "");
    await expect.poll(async () => (await purgesOf(platform, event))[0]?.last_error).toContain(error);
    const [purge] = await untilConfirmed(platform, event);
    expect(purge).toMatchObject({ last_error: null });
    expect(purge?.attempts).toBeGreaterThan(1);
  });

  test("is sent again when nothing answers in time, and keeps nothing else waiting meanwhile", async () => {
    const collection = await publishCollection(platform, 2);
    await untilQuiet();
    const [first = "", second = ""] = collection.contentIds;
    cloudflare.suffer("hang", "hang");
    const hanging = await withdraw(platform, collection, first);
    await expect.poll(async () => (await purgesOf(platform, hanging))[0]?.attempts).toBe(1);
    await untilConfirmed(platform, await withdraw(platform, collection, second));
    expect(await purgesOf(platform, hanging)).toMatchObject([{ state: "waiting" }]);
    await untilConfirmed(platform, hanging);
  });

  test("is sent again when a server died after it sent it, before that was recorded", async () => {
    const collection = await publishCollection(platform, 1);
    const event = await withdraw(platform, collection, collection.contentIds[0] ?? "");
    await untilConfirmed(platform, event);
    await untilQuiet();
    const since = countFrom();
    const leaseUntilMs = platform.clock.nowMs() + 15_000;
    await db
      .updateTable("purge")
      .set({ confirmed_at_ms: null, due_at_ms: leaseUntilMs })
      .where("event_id", "=", event)
      .where("round", "=", 1)
      .execute();
    platform.clock.advance(15);
    await untilConfirmed(platform, event);
    expect(since().flatMap((call) => call.tags)).toContain(cacheTags.content(collection.contentIds[0] ?? ""));
  });
});

test("a cache that fails for long is loud until it is well again, and its token is told to nobody", async () => {
  const collection = await publishCollection(platform, 1);
  await untilQuiet();
  cloudflare.suffer(...Array.from({ length: 100 }, () => "server-error" as const));
  const event = await withdraw(platform, collection, collection.contentIds[0] ?? "");
  await expect.poll(async () => (await purgesOf(platform, event))[0]?.last_error).toContain("500");
  platform.clock.advance(20);
  const ready = async () => expectStatus(await platform.anonymous.get("/readyz"), 200).body;
  await expect.poll(ready, { timeout: 10_000 }).toHaveProperty("purges_failing_since");
  expect(await targetNow()).toMatchObject({ state: "failing", waiting: 1 });
  const told = await eventOf(platform, target, "purge.failing");
  const { body } = await db.selectFrom("event_body").selectAll().where("event_id", "=", told).executeTakeFirstOrThrow();
  expect(JSON.parse(body).body).toMatchObject({ target, error: expect.stringContaining("500: 1001") });
  const metrics = async () => (await platform.operator.get("/metrics")).text;
  await expect
    .poll(metrics, { timeout: 10_000 })
    .toMatch(new RegExp(`licet_purge_failing_seconds{target="${target}"} [1-9]`));
  const list = await platform.operator.get("/api/v1/purges");
  for (const text of [body, await metrics(), list.text]) expect(text).not.toContain(token);
  cloudflare.recover();
  platform.clock.advance(60);
  await untilConfirmed(platform, event);
  await expect.poll(ready, { timeout: 10_000 }).not.toHaveProperty("purges_failing_since");
  await eventOf(platform, target, "purge.recovered");
});

test("an address that the cache refuses is named, and neither keeps others from being purged nor is it quiet", async () => {
  const strictClock = { nowMs: Date.now };
  const strict = await startCloudflareSimulator({ nowMs: () => strictClock.nowMs() });
  const wide = { ...settings, api: strict.api, domain: "example" };
  const other = await startPlatform({ purges: { targets: [wide], edges: [] } });
  strictClock.nowMs = other.clock.nowMs;
  const collection = await publishCollection(other, 3);
  const [good = "", later = ""] = collection.contentIds;
  const strange = `https://elsewhere.example${uniqueId("/no-such-zone-")}`;
  const [bad = ""] = await registerWorks(other, collection.creator.creatorId, 1, { canonical_url: strange });
  const meter = { account: "cloudflare", calls: 100, urls: 100, metered_at_ms: other.clock.nowMs() };
  const paused = { ...meter, paused_until_ms: other.clock.nowMs() + 10_000 };
  await other.server.ctx.db.insertInto("purge_meter").values(paused).execute();
  const [badEvent, goodEvent] = [await withdraw(other, collection, bad), await withdraw(other, collection, good)];
  for (const event of [badEvent, goodEvent])
    await expect.poll(async () => (await purgesOf(other, event)).length, { timeout: 10_000 }).toBe(1);
  other.clock.advance(10);
  await untilConfirmed(other, goodEvent);
  const error = expect.stringContaining(`${strange}: 400: 1095`);
  const oneOf = async (event: string) => (await purgesOf(other, event))[0];
  await expect.poll(() => oneOf(badEvent), { timeout: 10_000 }).toMatchObject({ state: "waiting", last_error: error });
  const shared = strict.calls().filter(({ files }) => files.length > 1);
  expect(shared.map(({ status }) => status)).toEqual([400]);
  other.clock.advance(20);
  await untilConfirmed(other, await withdraw(other, collection, later));
  const { body } = expectStatus(await other.operator.get("/api/v1/purges?limit=1"), 200);
  expect(body.targets).toMatchObject([{ state: "failing", last_error: error }]);
  const ready = async () => expectStatus(await other.anonymous.get("/readyz"), 200).body;
  await expect.poll(ready, { timeout: 10_000 }).toHaveProperty("purges_failing_since");
  const timeline = async () => expectStatus(await other.operator.get(`/api/v1/revocations/${badEvent}`), 200).body;
  expect(await timeline()).toMatchObject({ done: false });
  other.clock.advance(86_400);
  await expect.poll(() => oneOf(badEvent), { timeout: 10_000 }).toMatchObject({ state: "given_up" });
  await expect.poll(timeline, { timeout: 10_000 }).toMatchObject({
    done: true,
    legs: [{ leg: "committed" }, { leg: "purge", waiting: 0, failed: 1 }],
  });
});

describe("an account's rate", () => {
  test.each(CLOUDFLARE_PLANS)("is what the plan %s has", (plan) => {
    const { perSecond, burst } = CLOUDFLARE_LIMITS[plan];
    const { meter } = cloudflareAdapterOf(platform.server.ctx.outbound, { ...settings, plan });
    expect(meter?.rates.calls).toEqual({ perSecond, burst });
  });

  test("holds back what would go beyond it until there is room, without asking", async () => {
    const freeClock = { nowMs: Date.now };
    const slow = await startCloudflareSimulator({ plan: "free", nowMs: () => freeClock.nowMs() });
    const free = await startPlatform({
      purges: { targets: [{ ...settings, api: slow.api, plan: "free" }], edges: [] },
    });
    freeClock.nowMs = free.clock.nowMs;
    const collection = await publishCollection(free, 2);
    const [first = "", second = ""] = collection.contentIds;
    await untilConfirmed(free, await withdraw(free, collection, first));
    const spent = { calls: 0, metered_at_ms: free.clock.nowMs() };
    await free.server.ctx.db.updateTable("purge_meter").set(spent).execute();
    slow.spend(24);
    const calls = slow.calls().length;
    const event = await withdraw(free, collection, second);
    await expect.poll(async () => (await purgesOf(free, event)).length).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(await purgesOf(free, event)).toMatchObject([{ state: "waiting", attempts: 0 }]);
    expect(slow.calls()).toHaveLength(calls);
    free.clock.advance(12);
    await untilConfirmed(free, event);
    expect(slow.calls().every(({ status }) => status === 200)).toBe(true);
  });
});

test.skipIf(engine !== "postgres")(
  "two servers send each thing once between them, and once more five seconds later",
  async () => {
    await untilQuiet();
    const further = await startFurtherServer(platform, { purges });
    const collection = await publishCollection(platform, 20);
    const since = countFrom();
    const path = `/api/v1/creators/${collection.creator.creatorId}/revocations`;
    await Promise.all(
      collection.contentIds.map(async (content_id, index) =>
        expectStatus(await (index % 2 === 0 ? platform : further).operator.post(path, { content_id }), 200),
      ),
    );
    for (const contentId of collection.contentIds)
      await untilConfirmed(platform, await eventOf(platform, contentId, "content.withdrawn"));
    await untilQuiet();
    const sent = since().flatMap((call) => call.tags);
    for (const contentId of collection.contentIds) {
      const rows = await purgesOf(platform, await eventOf(platform, contentId, "content.withdrawn"));
      expect(rows.map(({ round, attempts }) => [round, attempts])).toEqual([
        [1, 1],
        [2, 1],
      ]);
      expect(sent.filter((tag) => tag === cacheTags.content(contentId))).toHaveLength(2);
    }
  },
);
