import { expect, test } from "vitest";
import { enrolCreator, expectStatus, registerWork } from "../../../test/fixtures/actors.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";

test("a reader who waits at a server that is about to stop goes on waiting until nobody comes any more", async () => {
  const platform = await startPlatform({ unreadySeconds: 8 });
  const { creatorId } = await enrolCreator(platform);
  const latest = async (): Promise<string> =>
    expectStatus(await platform.operator.get("/api/v1/events?after=latest"), 200).body.up_to;
  await expect
    .poll(
      async () => (await platform.server.ctx.db.selectFrom("unsequenced_event").select("event_id").execute()).length,
      { timeout: 15_000, interval: 20 },
    )
    .toBe(0);
  const waiting = platform.operator.get(`/api/v1/events?after=${await latest()}&wait=20`);
  const stopped = platform.server.stop();
  await expect.poll(async () => (await platform.anonymous.get("/readyz")).status, { timeout: 5_000 }).toBe(503);
  const work = await registerWork(platform, creatorId);
  const { body } = expectStatus(await waiting, 200);
  expect(body.events.map((entry: { readonly aggregate: string }) => entry.aggregate)).toEqual([work]);
  await stopped;
});
