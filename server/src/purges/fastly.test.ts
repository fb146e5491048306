import { cacheTags } from "@licet/protocol";
import { describe, expect, test } from "vitest";
import { expectStatus } from "../../../test/fixtures/actors.ts";
import { startFastlySimulator } from "../../../test/fixtures/fastly-simulator.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import {
  type Purge,
  eventOf,
  publishCollection,
  purgesOf,
  untilConfirmed,
  withdraw,
} from "../../../test/fixtures/purges.ts";
import { createOutbound } from "../http/outbound.ts";
import type { FastlyTarget } from "../purge-config.ts";
import { fastlyAdapterOf } from "./fastly-adapter.ts";

const fastly = await startFastlySimulator();
const { service, token, api, host } = fastly;
const settings: FastlyTarget = { kind: "fastly", service, domain: "works.example", token, api };
/** Purges come again five seconds after they were confirmed. */
const SECOND_ROUND_SECONDS = 6;
const platform = await startPlatform({ purges: { targets: [settings], edges: [] } });

describe("a withdrawal at Fastly", () => {
  test("purges by surrogate key in one call, and the work's address", async () => {
    const collection = await publishCollection(platform, 1);
    const [contentId = ""] = collection.contentIds;
    const { operator } = platform;
    const { body } = expectStatus(await operator.get(`/api/v1/content/${contentId}`), 200);
    await untilConfirmed(platform, await withdraw(platform, collection, contentId));
    const { keys, urls, calls } = fastly.purged();
    expect(keys).toEqual([
      cacheTags.revocations,
      cacheTags.signals,
      cacheTags.dataset(collection.datasetId),
      cacheTags.content(contentId),
    ]);
    expect(urls).toEqual([String(body.canonical_url).replace("https://", "")]);
    expect(calls).toBe(2);
  });

  test("comes again after 429, no sooner than it was asked to", async () => {
    const collection = await publishCollection(platform, 1);
    fastly.refuse(2);
    const event = await withdraw(platform, collection, collection.contentIds[0] ?? "");
    await expect.poll(async () => (await purgesOf(platform, event))[0]?.last_error ?? "").toContain("429: You have");
    const [waiting] = await purgesOf(platform, event);
    expect(waiting).toMatchObject({ state: "waiting", attempts: 1 });
    platform.clock.advance(3);
    expect(await untilConfirmed(platform, event)).toMatchObject([{ attempts: 2, last_error: null }]);
  });

  test("takes 300 keys in two calls of at most 256", async () => {
    const collection = await publishCollection(platform, 297);
    // The second round of earlier withdrawals is over first, or it would be counted.
    platform.clock.advance(SECOND_ROUND_SECONDS);
    const unconfirmed = async () =>
      expectStatus(await platform.operator.get("/api/v1/purges?limit=1000"), 200).body.purges.filter(
        (purge: Purge) => purge.state !== "confirmed",
      );
    await expect.poll(unconfirmed, { timeout: 20_000 }).toEqual([]);
    const before = fastly.purged().keys.length;
    const path = `/api/v1/creators/${collection.creator.creatorId}/revocations`;
    const { body } = expectStatus(await platform.operator.post(path, { all: true }), 200);
    await untilConfirmed(platform, await eventOf(platform, body.revoked_jtis[0], "consent.revoked"), 3);
    expect(fastly.purged().keys.length - before).toBe(300);
  });
});

test("an answer without an id for every key is no confirmation, and neither is a refusal", async () => {
  const outbound = createOutbound({ allowedHosts: [host] });
  const wrong = fastlyAdapterOf(outbound, { ...settings, token: "another" });
  expect(await wrong.send({ kind: "tags", items: ["licet"] })).toMatchObject({
    isConfirmed: false,
    error: "401: Provided credentials are missing or invalid",
  });
  const nowhere = fastlyAdapterOf(outbound, { ...settings, service: "another" });
  expect(await nowhere.send({ kind: "tags", items: ["licet"] })).toMatchObject({ isConfirmed: false });
  expect(nowhere.mayHold("https://www.works.example/1")).toBe(true);
  const right = fastlyAdapterOf(outbound, settings);
  await right.send({ kind: "urls", items: [`https://works.example/../../service/${service}/purge_all`] });
  expect(fastly.purged().urls.at(-1)).toBe(`works.example/service/${service}/purge_all`);
  for (const url of ["https://works.example.evil.example/1", "https://notworks.example/1", "works.example"])
    expect(nowhere.mayHold(url)).toBe(false);
  await outbound.close();
});
