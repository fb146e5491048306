import { describe, expect, test } from "vitest";
import { expectStatus, uniqueId } from "../../../test/fixtures/actors.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { type Listener, createListeners, eventIn } from "../../../test/fixtures/webhook-listeners.ts";
import { startSink } from "../../../test/fixtures/webhook-sink.ts";
import { startDeliveries } from "./deliver.ts";

const sink = await startSink();
const platform = await startPlatform({ allowedHosts: [sink.host] });
const { listener, offeredTo, withdraw, deliveriesTo } = createListeners(platform, sink);
const { ctx } = platform.server;
const WAIT = { timeout: 20_000, interval: 20 };

/** Three messages that were delivered, a minute apart. */
async function delivered(): Promise<Listener> {
  const hook = await listener();
  const offered = await offeredTo([hook], 3);
  for (const [index, work] of offered.works.entries()) {
    await withdraw(offered, work);
    await untilAll(hook, "delivered", index + 1);
    platform.clock.advance(60);
  }
  return hook;
}

async function untilAll({ marketplace }: Listener, state: string, count = 3): Promise<void> {
  await expect
    .poll(async () => (await deliveriesTo(marketplace.endpointId)).map((delivery) => delivery.state), WAIT)
    .toEqual(Array.from({ length: count }, () => state));
}

const replays = (endpointId: string, body: object) =>
  platform.operator.post(`/api/v1/webhook-endpoints/${endpointId}/replays`, body);

describe("a replay", () => {
  test("reaches a marketplace's own deliveries only, and the log does too", async () => {
    const [mine, theirs] = [await listener(), await listener()];
    const offered = await offeredTo([mine], 1);
    await withdraw(offered, offered.works[0]);
    await sink.waitFor(mine.path, 1);
    await expect.poll(() => deliveriesTo(mine.marketplace.endpointId), WAIT).toMatchObject([{ state: "delivered" }]);
    const [caller, stranger] = [await mine.marketplace.call(), await theirs.marketplace.call()];
    const [first] = await deliveriesTo(mine.marketplace.endpointId);
    const path = `/api/v1/webhook-deliveries/${first.event_id}`;
    expect(expectStatus(await caller.get(path), 200).body).toEqual({
      ...first,
      payload: sink.received(mine.path)[0]?.body,
    });
    for (const answer of [await stranger.get(path), await stranger.post(`${path}/replays`)])
      expect(answer).toMatchObject({ status: 404, body: { code: "not_found" } });
    expectStatus(await caller.post(`${path}/replays`), 202);
    await sink.waitFor(mine.path, 2);
    expect((await platform.operator.get("/api/v1/webhook-deliveries/evt_nothing")).status).toBe(404);
    const wrong = { since: "yesterday" };
    expect((await replays(mine.marketplace.endpointId, wrong)).status).toBe(422);
  });

  test("of a time sends what was written in it again, under the same ids", async () => {
    const hook = await delivered();
    const { endpointId } = hook.marketplace;
    const [, second, third] = await deliveriesTo(endpointId);
    const range = { since: second.created_at, until: third.created_at, states: ["delivered", "failed"] };
    expect(expectStatus(await replays(endpointId, range), 202).body).toEqual({ replayed: 1 });
    const requests = await sink.waitFor(hook.path, 4);
    expect(requests[3]?.headers["webhook-id"]).toBe(second.event_id);
    expect(requests[3]?.body).toBe(requests[1]?.body);
    await untilAll(hook, "delivered");
    expect((await deliveriesTo(endpointId))[1].attempts).toMatchObject([{ status: 200 }, { status: 200 }]);
  });

  test("of all that failed is what an endpoint gets by default, with all attempts anew", async () => {
    const hook = await delivered();
    const { endpointId } = hook.marketplace;
    expect((await replays(endpointId, {})).body).toEqual({ replayed: 0 });
    await ctx.db
      .updateTable("webhook_delivery")
      .set({ state: "failed", attempts: 12, delivered_at_ms: null })
      .where("endpoint_id", "=", endpointId)
      .where("sequence", ">", 1)
      .execute();
    sink.reply(hook.path, (_request, count) => ({ status: count < 6 ? 500 : 200 }));
    expect((await replays(endpointId, {})).body).toEqual({ replayed: 2 });
    await sink.waitFor(hook.path, 5);
    await expect
      .poll(() => deliveriesTo(endpointId, "&state=waiting"), WAIT)
      .toMatchObject([{ attempts: { length: 2 } }, { attempts: { length: 2 } }]);
    platform.clock.advance(6);
    const requests = await sink.waitFor(hook.path, 7);
    expect(
      requests
        .slice(5)
        .map((request) => eventIn(request).sequence)
        .toSorted(),
    ).toEqual([2, 3]);
    await untilAll(hook, "delivered");
  });

  test("is bounded in time in the log as well", async () => {
    const { marketplace } = await delivered();
    const [first, second, third] = await deliveriesTo(marketplace.endpointId);
    expect(await deliveriesTo(marketplace.endpointId, `&since=${second.created_at}`)).toEqual([second, third]);
    expect(await deliveriesTo(marketplace.endpointId, `&until=${second.created_at}`)).toEqual([first]);
  });
});

describe("several senders on one database", () => {
  test("send each delivery once", async () => {
    const hooks = [await listener(), await listener(), await listener()];
    await offeredTo(hooks, 1);
    const others = [startDeliveries(ctx), startDeliveries(ctx)];
    const nowMs = ctx.clock.nowMs();
    const rows = hooks.flatMap(({ marketplace }) =>
      Array.from({ length: 60 }, (_, index) => ({
        endpoint_id: marketplace.endpointId,
        dataset_id: `ds-${index}`,
        sequence: 1,
        message_id: uniqueId("evt_"),
        event_id: null,
        change: "revoked",
        subject: "nothing",
        refusing: true,
        body: "{}",
        state: "waiting" as const,
        attempts: 0,
        next_attempt_at_ms: nowMs,
        delivered_at_ms: null,
        created_at_ms: nowMs,
      })),
    );
    await ctx.db.insertInto("webhook_delivery").values(rows).execute();
    await Promise.all(others.map((sender) => sender.wake()));
    for (const { path } of hooks) await sink.waitFor(path, 60);
    await expect
      .poll(
        async () =>
          (
            await ctx.db.selectFrom("webhook_delivery").select("state").where("subject", "=", "nothing").execute()
          ).filter((row) => row.state !== "delivered"),
        WAIT,
      )
      .toEqual([]);
    await Promise.all(others.map((sender) => sender.settle()));
    for (const { path } of hooks) {
      const ids = sink.received(path).map((request) => request.headers["webhook-id"]);
      expect(ids).toHaveLength(60);
      expect(new Set(ids).size).toBe(60);
    }
  });
});
