import { STATUS } from "@licet/protocol";
import { describe, expect, test } from "vitest";
import { IN_WORKERD } from "./testing/test-edge.ts";
import { PLACES } from "./testing/test-platform.ts";
import { GPTBOT, PERSON, openWorld, outcomeOf } from "./testing/world.ts";

/** One work, written in many ways that mean the same. */
const SPELLINGS = [
  "/songs/1",
  "/songs/1?",
  "/songs/./1",
  "/songs/2/../1",
  "/songs/%2e/1",
  "/songs/2/%2E%2e/1",
  "/%73ongs/1",
  "/songs/%31",
  "/s%6fngs/%31",
  "/./songs/1",
  "/../songs/1",
  "/%2e%2e/songs/1",
];

/** What some sites take for `/songs/1`, although it is another address. */
const DISGUISES = [
  "/SONGS/1",
  "/Songs/1",
  "//songs/1",
  "/songs//1",
  "/songs%2f1",
  "/%2fsongs/1",
  "/%2573ongs/1",
  "/%252573ongs/1",
  "/about/..%2fsongs/1",
  "/about/%2e%2e%2fsongs/1",
  "/about/..%5csongs/1",
  "/about/%252e%252e/songs/1",
  "/songs;jsessionid=1/1",
  "/songs/1%00",
  "/songs/1/",
  "/songs/1.",
  "/songs/1?x=1",
  "/songs/1;x=1",
];

describe("one work at many spellings of its address", () => {
  test("is one work: licensed, and taken back, under each of them", async () => {
    const { platform, ask, bearing } = await openWorld({ LICET_EDGE_TTL_SECONDS: "15" });
    const license = await bearing();
    for (const target of SPELLINGS)
      expect([target, outcomeOf(await ask([GPTBOT, license], target))]).toEqual([target, { status: 200 }]);
    const second = await openWorld({ LICET_ORIGIN: platform.origin });
    await platform.publishList({ [PLACES.item]: STATUS.revoked }, { seq: 2 });
    for (const target of SPELLINGS)
      expect([target, outcomeOf(await second.ask([GPTBOT, license], target))]).toEqual([
        target,
        { status: 403, code: "consent_revoked" },
      ]);
  });
});

describe("another address", () => {
  test.each(DISGUISES)("that a site may take for the work opens nothing: %s", async (target) => {
    const { ask, bearing } = await openWorld({ LICET_EDGE_ROUTES: "/songs/=enforce" });
    expect(outcomeOf(await ask([GPTBOT], target))).toEqual({ status: 402, code: "license_required" });
    expect(outcomeOf(await ask([GPTBOT, await bearing()], target))).toEqual({
      status: 403,
      code: "license_not_for_work",
    });
    expect((await ask([PERSON], target)).status).toBe(200);
  });

  test("under a route in any script is under it, escaped or not", async () => {
    const { ask } = await openWorld({ LICET_EDGE_ROUTES: "/=off /Müsik/=enforce /%E9%9F%B3/=enforce" });
    for (const target of ["/m%C3%BCsik/1", "/M%c3%9csik/1", "/m%C3%BCsi%6b/1", "/%E9%9F%B3/1", "/%25E9%259F%25B3/1"])
      expect([target, (await ask([GPTBOT], target)).status]).toEqual([target, 402]);
    expect((await ask([GPTBOT], "/musik/1")).status).toBe(200);
  });

  test("under a route that is off is off, and the strictest route that it could mean counts", async () => {
    const { ask } = await openWorld({ LICET_EDGE_ROUTES: "/=enforce /about/=off /About/team/=observe" });
    expect((await ask([GPTBOT], "/about/us")).status).toBe(200);
    expect((await ask([GPTBOT], "/ABOUT/us")).status).toBe(200);
    expect((await ask([GPTBOT], "/about/team/x")).status).toBe(200);
    expect((await ask([GPTBOT], "/about/../songs/1")).status).toBe(402);
    expect((await ask([GPTBOT], "/about/..%2fsongs/1")).status).toBe(402);
    expect((await ask([GPTBOT], "/about/%2e%2e%2f%2e%2e%2fsongs/1")).status).toBe(402);
  });

  test.each([
    "/robots.txt",
    "/robots.txt?x=1",
    "/ai.txt",
    "/license.xml",
    "/.well-known/tdmrep.json",
    "/rights/works.example/license.xml",
    "/rsl/catalogue.xml",
    "/songs/../robots.txt",
  ])("where the rights are told is everybody's, whatever comes with the request: %s", async (target) => {
    const { ask } = await openWorld({ LICET_EDGE_ROUTES: "/=enforce+machines" });
    expect((await ask([GPTBOT], target)).status).toBe(200);
    expect((await ask([["authorization", "License nonsense"]], target)).status).toBe(200);
  });

  test.each([
    "/robots.txt/songs/1",
    "/songs/robots.txt",
    "/rights/..%2fsongs/1",
    "/rights/%2e%2e%2fsongs/1",
    "/rights/..%5csongs/1",
    "/rights/%252e%252e/songs/1",
    "/rights/../songs/1",
    "/rights",
    "/robots.txt%00",
    "/ROBOTS.TXT",
    "/rsl;/../songs/1",
  ])("that only looks like it is not: %s", async (target) => {
    const { ask } = await openWorld();
    expect((await ask([GPTBOT], target)).status).toBe(402);
  });

  test("longer than any address is nobody's", async () => {
    const { ask, bearing } = await openWorld();
    const refused = { status: 403, code: "license_not_for_work" };
    expect(outcomeOf(await ask([await bearing()], `/songs/${"a".repeat(3_000)}`))).toEqual(refused);
  });
});

describe("a refresh by push", () => {
  test.runIf(IN_WORKERD)("is not taken by a Worker, where a purge is the refresh", async () => {
    const { edge } = await openWorld();
    const answered = await edge.ask({ method: "POST", target: "/.well-known/licet-refresh", body: "{}" });
    expect(outcomeOf(answered)).toEqual({ status: 404, code: "not_found" });
  });
});
