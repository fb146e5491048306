import { STATUS, contentStatusPath, sha256Hex } from "@licet/protocol";
import { describe, expect, test } from "vitest";
import { PLACES, type TestPlatform, WORK, WORK_URL, now } from "./testing/test-platform.ts";
import type { StagedAnswer } from "./testing/stage.ts";
import { GPTBOT, PERSON, type World, openWorld, outcomeOf } from "./testing/world.ts";

const UNAVAILABLE = { status: 503, code: "facts_unavailable" };
const PASSES = { status: 200 };
const REVOKED = { status: 403, code: "consent_revoked" };
const LIST = "/status-lists/1";
const KEYS = "/.well-known/keys.json";
const CONTENT = contentStatusPath(WORK_URL);

async function expectLicensed({ ask, bearing }: World, expected: object): Promise<void> {
  expect(outcomeOf(await ask([await bearing()]))).toEqual(expected);
}

/** Once the clocks and the moment after a failure have passed. */
async function expectSoon({ ask, bearing }: World, expected: object): Promise<void> {
  await expect
    .poll(async () => outcomeOf(await ask([await bearing()])), { timeout: 20_000, interval: 100 })
    .toEqual(expected);
}

describe("documents that are not the platform's", () => {
  test.each([
    ["a list signed by a stranger", (platform: TestPlatform) => platform.publishList({}, { signer: "stranger" })],
    [
      "a list signed with the key for licenses",
      (platform: TestPlatform) => platform.publishList({}, { signer: "platform_license" }),
    ],
    [
      "a content status signed by a stranger",
      (platform: TestPlatform) => platform.publishContent({}, { signer: "stranger" }),
    ],
    [
      "a content status signed with the key for consents",
      (platform: TestPlatform) => platform.publishContent({}, { signer: "platform_consent" }),
    ],
    [
      "the content status of another work",
      (platform: TestPlatform) => platform.publishContent({}, { url: "https://works.example/songs/2" }),
    ],
    [
      "a content status with another hash",
      (platform: TestPlatform) => platform.publishContent({ url_sha256: sha256Hex("x") }),
    ],
    [
      "a content status that wants to be trusted for a year",
      (platform: TestPlatform) =>
        platform.publishContent({ checked_at: "2026-01-01T00:00:00Z", expires_at: "2027-01-01T00:00:00Z" }),
    ],
    ["a list that is too old", (platform: TestPlatform) => platform.publishList({}, { made: now() - 301 })],
    ["a list from the future", (platform: TestPlatform) => platform.publishList({}, { made: now() + 120 })],
    [
      "a content status that is too old",
      (platform: TestPlatform) => platform.publishContent({}, { made: now() - 86_401 }),
    ],
  ] as const)("open nothing: %s", async (_name, publish) => {
    const world = await openWorld();
    await publish(world.platform);
    await expectLicensed(world, UNAVAILABLE);
    expect(outcomeOf(await world.ask([PERSON]))).toEqual(PASSES);
  });

  test.each([LIST, KEYS, CONTENT])("open nothing, whatever stands at %s", async (path) => {
    for (const answer of [
      { body: "<html>503</html>" },
      { body: "" },
      { body: "{}" },
      { body: "a.b.c" },
      { body: "x".repeat(1_100_000) },
      { status: 500 },
      { status: 302, headers: { location: "https://other.example/" } },
      { status: 204 },
      { hangsUp: true },
      { delayMs: 1_500, body: "late" },
    ] satisfies readonly StagedAnswer[]) {
      const world = await openWorld({ LICET_EDGE_ORIGIN_TIMEOUT_MS: "700" });
      await world.platform.publish({ [path]: answer });
      expect([outcomeOf(await world.ask([await world.bearing()])), answer]).toEqual([UNAVAILABLE, answer]);
    }
  });

  test("that name a list of another platform open nothing", async () => {
    const world = await openWorld();
    const status = { status_list: { idx: 1, uri: "https://other.example/status-lists/1" } };
    await world.platform.publishContent({ status });
    await expectLicensed(world, UNAVAILABLE);
  });

  test("are no answer when there is no such list", async () => {
    const world = await openWorld();
    await world.platform.publish({ [LIST]: { status: 404 } });
    await expectLicensed(world, UNAVAILABLE);
  });

  test("but 404 to a content status means that nobody is licensed", async () => {
    const world = await openWorld();
    await world.platform.publish({ [CONTENT]: { status: 404 } });
    await expectLicensed(world, { status: 403, code: "license_not_for_work" });
    expect(outcomeOf(await world.ask([GPTBOT]))).toEqual({ status: 402, code: "license_required" });
  });
});

describe("a connection that ends before the answer", () => {
  test.each([LIST, KEYS, CONTENT])("is none, and %s is asked for once more", async (path) => {
    const world = await openWorld();
    const asksOf = async (): Promise<number> => {
      const before = (await world.platform.stand.requests()).length;
      await world.ask([await world.bearing()]);
      return (await world.platform.stand.requests()).slice(before).filter(({ url }) => url === path).length;
    };
    await asksOf();
    const usual = await asksOf();
    await world.platform.publish({ [path]: { hangsUp: "once" } });
    expect(await asksOf()).toBe(usual + 1);
  });

  test("leaves no copy standing that a newer one replaces", async () => {
    const world = await openWorld();
    await expectLicensed(world, PASSES);
    await world.platform.publishList({ [PLACES.consent]: STATUS.revoked }, { seq: 2 });
    await world.platform.publish({ [LIST]: { hangsUp: "once" } });
    await expectLicensed(world, REVOKED);
  });

  test("is none of the site's, which is asked once more for what changes nothing", async () => {
    const world = await openWorld();
    const statusOf = (method: string): Promise<number> =>
      world.edge.ask({ method, target: WORK, headers: [PERSON] }).then(
        ({ status }) => status,
        () => 502,
      );
    for (const method of ["GET", "POST"]) {
      expect([method, await statusOf(method)]).toEqual([method, 200]);
      await world.site.answer({ [WORK]: { hangsUp: "once" } });
      expect([method, await statusOf(method)]).toEqual([method, method === "POST" ? 502 : 200]);
    }
  });
});

describe("a refusal for want of facts", () => {
  test("says when to try again, and is not kept", async () => {
    const world = await openWorld();
    await world.platform.publish({ [LIST]: { status: 500 } });
    const { status, headers } = await world.ask([await world.bearing()]);
    expect([status, headers.get("retry-after"), headers.get("cache-control")]).toEqual([503, "2", "no-store"]);
  });
});

describe("the two clocks", () => {
  test("within the first, a copy is taken as it is, and asked for once", async () => {
    const world = await openWorld({ LICET_EDGE_TTL_SECONDS: "15" });
    await expectLicensed(world, PASSES);
    await world.platform.publishList({ [PLACES.consent]: STATUS.revoked }, { seq: 2 });
    await expectLicensed(world, PASSES);
    const asked = (await world.platform.stand.requests()).map(({ url }) => url);
    expect(asked.toSorted()).toEqual([CONTENT, KEYS, LIST].toSorted());
  });

  test("after the first, the platform is asked, and only for what changed", async () => {
    const world = await openWorld({ LICET_EDGE_TTL_SECONDS: "1" });
    await world.platform.publishList({}, { etag: '"1"' });
    await expectLicensed(world, PASSES);
    await expect
      .poll(
        async () => {
          await expectLicensed(world, PASSES);
          const lists = (await world.platform.stand.requests()).filter(({ url }) => url === LIST);
          return lists.map(({ headers }) => Object.fromEntries(headers)["if-none-match"]).slice(0, 2);
        },
        { timeout: 10_000 },
      )
      .toEqual([undefined, '"1"']);
    await world.platform.publishList({ [PLACES.consent]: STATUS.revoked }, { seq: 2, etag: '"2"' });
    await expectSoon(world, REVOKED);
  });

  test("count from when a cache on the way got its copy", async () => {
    const world = await openWorld({ LICET_EDGE_TTL_SECONDS: "15" });
    await world.platform.publishList({}, { headers: { age: "14" } });
    await expectLicensed(world, PASSES);
    await world.platform.publishList({ [PLACES.consent]: STATUS.revoked }, { seq: 2 });
    await expectSoon(world, REVOKED);
    const lists = (await world.platform.stand.requests()).filter(({ url }) => url === LIST);
    expect(lists).toHaveLength(2);
  });

  test("while the platform is away, a copy stands until the second, and then nothing passes", async () => {
    const world = await openWorld({ LICET_EDGE_ORIGIN_TIMEOUT_MS: "300" });
    await world.platform.publishList({}, { made: now() - 292 });
    await expectLicensed(world, PASSES);
    await world.platform.stand.shut();
    await expectLicensed(world, PASSES);
    await expectSoon(world, UNAVAILABLE);
    expect(outcomeOf(await world.ask([PERSON]))).toEqual(PASSES);
  });

  test("an older document never replaces a newer one", async () => {
    const world = await openWorld();
    await world.platform.publishList({ [PLACES.consent]: STATUS.revoked }, { seq: 7 });
    await expectLicensed(world, REVOKED);
    await world.platform.publishList({}, { seq: 6 });
    await expectLicensed(world, REVOKED);
    await world.platform.publishList({}, { seq: 8 });
    await expectSoon(world, PASSES);
  });

  test("an older content status never replaces a newer one, nor an older set of keys", async () => {
    const world = await openWorld();
    await world.platform.publishContent({ grants: [] }, { seq: 5 });
    await world.platform.publishKeys({ seq: 5 });
    await expectLicensed(world, { status: 403, code: "license_not_for_work" });
    await world.platform.publishContent({}, { seq: 4 });
    await expectLicensed(world, { status: 403, code: "license_not_for_work" });
    await world.platform.publishKeys({ seq: 4 });
    await world.platform.publishContent({}, { seq: 6 });
    await expectSoon(world, PASSES);
  });

  test("a platform that comes back is heard again", async () => {
    const world = await openWorld();
    await world.platform.publish({ [LIST]: { status: 503 } });
    await expectLicensed(world, UNAVAILABLE);
    await world.platform.publishList({ [PLACES.item]: STATUS.suspended });
    await expectLicensed(world, REVOKED);
    await world.platform.publishList({}, { seq: 2 });
    await expectLicensed(world, PASSES);
  });
});
