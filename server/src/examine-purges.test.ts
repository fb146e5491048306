import { expect, test } from "vitest";
import { startCloudflareSimulator } from "../../test/fixtures/cloudflare-simulator.ts";
import { configFor } from "../../test/fixtures/databases.ts";
import { freePort } from "../../test/fixtures/platform.ts";
import { examinePurges } from "./examine-purges.ts";
import type { PurgeConfig } from "./purge-config.ts";

const examine = (purges: PurgeConfig) =>
  examinePurges(configFor({ dataFolder: "/nowhere", databaseUrl: undefined }, { purges }));

test("each cache is asked, and says whether it would do as it is told", async () => {
  const { zone, domain, token, api, calls } = await startCloudflareSimulator();
  const cloudflare = { kind: "cloudflare", zone, domain, token, api, plan: "free" } as const;
  const dead = { kind: "varnish", url: new URL(`http://127.0.0.1:${await freePort()}`) } as const;
  const [good, absent] = await examine({ targets: [cloudflare, dead], edges: [] });
  expect(good).toMatchObject({ name: `cache cloudflare:${zone}@${domain}`, outcome: "ok" });
  expect(calls()).toMatchObject([{ tags: ["licet-doctor"], status: 200 }]);
  expect(absent).toMatchObject({ outcome: "wrong", detail: expect.stringContaining("did not answer") });
  const [refused] = await examine({ targets: [{ ...cloudflare, token: "sesame" }], edges: [] });
  expect(refused).toMatchObject({
    outcome: "wrong",
    detail: expect.stringContaining("401: 10000 Authentication error"),
  });
  expect(JSON.stringify(refused)).not.toContain("sesame");
});

test("without a cache it says by what an opt-out is bounded", async () => {
  expect(await examine({ targets: [], edges: [] })).toMatchObject([{ name: "caches", outcome: "ok" }]);
});
