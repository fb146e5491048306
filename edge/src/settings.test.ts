import { describe, expect, test } from "vitest";
import { SettingsError, readEdgeConfig } from "./config.ts";
import { IN_WORKERD } from "./testing/test-edge.ts";
import { GPTBOT, PAGE, PERSON, openWorld, outcomeOf } from "./testing/world.ts";

describe("a route", () => {
  test.each(["/a/../b/", "/a//b", "/a\\b", "/a?b", "/a#b", "/%2e%2e/a", "/a%00", "/%25e4/", "/%ff/", "/a%2f/../b"])(
    "that no request comes to under this name is refused at the start: %s",
    (path) => {
      const read = () =>
        readEdgeConfig({ LICET_ORIGIN: "https://licet.example", LICET_EDGE_ROUTES: `${path}=enforce` });
      expect(read).toThrow(SettingsError);
      expect(read).toThrow(/LICET_EDGE_ROUTES: expected/);
    },
  );
});

describe.runIf(IN_WORKERD)("a Worker whose settings cannot be used", () => {
  test("lets people through, and machines where they are observed alone", async () => {
    const enforced = await openWorld({ LICET_EDGE_CRAWLER_PRICE: "cheap" });
    expect((await enforced.ask([PERSON])).text).toBe(PAGE);
    expect(outcomeOf(await enforced.ask([GPTBOT]))).toEqual({ status: 402, code: "license_required" });
    const observed = await openWorld({ LICET_EDGE_CRAWLER_PRICE: "cheap", LICET_EDGE_ROUTES: "/=observe" });
    expect((await observed.ask([GPTBOT])).text).toBe(PAGE);
    const nowhere = await openWorld({ LICET_ORIGIN: "licet.example" });
    expect((await nowhere.ask([PERSON])).text).toBe(PAGE);
    expect(outcomeOf(await nowhere.ask([GPTBOT]))).toEqual({ status: 503, code: "facts_unavailable" });
  });
});
