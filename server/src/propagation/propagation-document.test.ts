import { verifyPropagation } from "@licet/protocol";
import { expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  giveConsent,
  offerDataset,
  publishDataset,
  registerMarketplace,
  registerWork,
  uniqueId,
} from "../../../test/fixtures/actors.ts";
import { readKeys } from "../../../test/fixtures/datasets.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { startSink } from "../../../test/fixtures/webhook-sink.ts";
import { forgetOldLegs } from "./follow-facts.ts";
import { publishPropagation } from "./publish-propagation.ts";
import { percentileOf, timeStepOf } from "./time-steps.ts";

const sink = await startSink();
const platform = await startPlatform({ allowedHosts: [sink.host] });
const { ctx } = platform.server;
const DAY_SECONDS = 86_400;

async function readDocument() {
  const now = Math.floor(platform.clock.nowMs() / 1_000);
  const keys = await readKeys(platform);
  const answer = expectStatus(await platform.anonymous.get("/propagation.json"), 200);
  const verified = await verifyPropagation(answer.text, { keys, now });
  if (!verified.ok) throw new Error(`${verified.refusal.code}: ${verified.refusal.detail}`);
  const legs = new Map(verified.value.legs.map((leg) => [leg.leg, leg]));
  return { ...verified.value, leg: (name: "committed" | "webhook" | "acknowledgement") => legs.get(name) };
}

async function revokeOne(): Promise<string> {
  const creator = await enrolCreator(platform);
  const work = await registerWork(platform, creator.creatorId);
  const { jti } = await giveConsent(creator);
  const { dataset_id } = await publishDataset(platform, [work]);
  const path = `/${uniqueId("hook-")}`;
  const endpoint = { base_url: sink.url(`${path}/base`), webhook_url: sink.url(path) };
  await offerDataset(platform, dataset_id, await registerMarketplace(platform, endpoint));
  const { body } = expectStatus(await creator.caller.post(`/api/v1/consents/${jti}/revoke`), 200);
  await expect
    .poll(
      async () => {
        const { body: timeline } = await platform.operator.get(`/api/v1/revocations/${body.revocation_id}`);
        return timeline.entries.filter(({ state }: { readonly state: string }) => state === "done").length;
      },
      { timeout: 15_000 },
    )
    .toBe(2);
  return body.revocation_id;
}

test("the public document says, signed, how long the legs of the last days took, and keeps it when the legs are forgotten", async () => {
  expect(await readDocument()).toMatchObject({ window_days: 30, facts: 0 });
  const id = await revokeOne();
  await publishPropagation(ctx);
  const first = await readDocument();
  const timeline = expectStatus(await platform.operator.get(`/api/v1/revocations/${id}`), 200).body;
  const took = (leg: string): number =>
    timeline.entries.find((entry: { readonly leg: string }) => entry.leg === leg).took_ms;
  expect(first.facts).toBe(1);
  expect(first.leg("webhook")).toMatchObject({
    done: 1,
    waiting: 0,
    p50_ms: took("webhook"),
    worst_ms: took("webhook"),
  });
  expect(first.leg("committed")).toMatchObject({ done: 1, worst_ms: took("committed") });
  expect(first.leg("acknowledgement")).toMatchObject({ done: 0, waiting: 1 });
  expect(first.leg("acknowledgement")).not.toHaveProperty("p50_ms");

  await publishPropagation(ctx);
  const second = await readDocument();
  expect(second.leg("webhook")).toEqual(first.leg("webhook"));

  platform.clock.advance(40 * DAY_SECONDS);
  await publishPropagation(ctx);
  expect(await readDocument()).toMatchObject({ facts: 0 });
  expect((await readDocument()).leg("webhook")).toMatchObject({ done: 0, waiting: 0 });

  platform.clock.advance(60 * DAY_SECONDS);
  await forgetOldLegs(ctx);
  const { body: forgotten } = expectStatus(await platform.operator.get(`/api/v1/revocations/${id}`), 200);
  expect(forgotten.entries).toEqual([]);
  expect(forgotten.legs).toEqual(timeline.legs);
});

test("the metrics have a histogram for each leg", async () => {
  await revokeOne();
  const { text } = expectStatus(await platform.operator.get("/metrics"), 200);
  for (const leg of ["committed", "webhook"])
    expect(text).toMatch(new RegExp(`licet_refusal_propagation_seconds_count\\{leg="${leg}"\\} [1-9]`));
});

test("a step is never below the time and less than a hundredth above it", () => {
  for (const ms of [0, 1, 127, 128, 129, 255, 256, 257, 1_000, 4_097, 86_400_001, 7_776_000_000]) {
    expect(timeStepOf(ms)).toBeGreaterThanOrEqual(ms);
    expect(timeStepOf(ms)).toBeLessThanOrEqual(Math.ceil(ms * 1.01));
    expect(timeStepOf(timeStepOf(ms))).toBe(timeStepOf(ms));
  }
});

test("a percentile is by nearest rank, and no more than the worst that was measured", () => {
  const steps = [
    { up_to_ms: 10, legs: 90, worst_ms: 10 },
    { up_to_ms: 130, legs: 9, worst_ms: 129 },
    { up_to_ms: 1_008, legs: 1, worst_ms: 1_001 },
  ];
  expect([0.5, 0.9, 0.91, 0.99, 1].map((part) => percentileOf(steps, part))).toEqual([10, 10, 130, 130, 1_001]);
  expect(percentileOf([], 0.5)).toBeUndefined();
});
