import { describe, expect, test } from "vitest";
import { expectStatus, publishDataset, uniqueId } from "../../../test/fixtures/actors.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { type Listener, createListeners, eventIn } from "../../../test/fixtures/webhook-listeners.ts";
import { startSink } from "../../../test/fixtures/webhook-sink.ts";
import { RETENTION_MS, forgetDeliveries } from "./forget-deliveries.ts";

const sink = await startSink();
const platform = await startPlatform({ allowedHosts: [sink.host] });
const { listener, offeredTo, withdraw, deliveriesTo } = createListeners(platform, sink);
const { ctx } = platform.server;
const DAY_SECONDS = 86_400;
const WAIT = { timeout: 20_000, interval: 20 };

const endpointOf = async (id: string) =>
  expectStatus(await platform.operator.get(`/api/v1/webhook-endpoints/${id}`), 200).body;
const command = (id: string, what: string, body?: object) =>
  platform.operator.post(`/api/v1/webhook-endpoints/${id}/${what}`, body);

/** Another endpoint of the same marketplace, at a path of its own. */
async function beside({ marketplace }: Listener): Promise<{ readonly endpointId: string; readonly path: string }> {
  const path = `/${uniqueId("beside-")}`;
  const { body } = expectStatus(
    await platform.operator.post("/api/v1/webhook-endpoints", {
      marketplace_id: marketplace.marketplaceId,
      url: sink.url(path),
      changes: [],
    }),
    201,
  );
  return { endpointId: body.endpoint_id, path };
}

describe("Retry-After", () => {
  test.each<[string, string, number, number]>([
    ["lengthens a wait", "120", 120, 120],
    ["is honoured within a bound", "999999", 3_600, 3_600],
    ["shortens no wait", "0", 5, 5.5],
    ["may be a date", new Date(platform.clock.nowMs() + 600_000).toUTCString(), 500, 601],
    ["of another form is as good as none", "soon", 5, 5.5],
  ])("%s", async (_what, retryAfter, least, most) => {
    const hook = await listener(() => ({ status: 503, headers: { "retry-after": retryAfter } }));
    const offered = await offeredTo([hook], 1);
    await withdraw(offered, offered.works[0]);
    const { endpointId } = hook.marketplace;
    await expect.poll(() => deliveriesTo(endpointId), WAIT).toMatchObject([{ attempts: [{ status: 503 }] }]);
    const { at_ms, duration_ms } = await ctx.db
      .selectFrom("webhook_attempt")
      .selectAll()
      .where("endpoint_id", "=", endpointId)
      .executeTakeFirstOrThrow();
    const { next_attempt_at_ms } = await ctx.db
      .selectFrom("webhook_delivery")
      .select("next_attempt_at_ms")
      .where("endpoint_id", "=", endpointId)
      .executeTakeFirstOrThrow();
    const waitSeconds = ((next_attempt_at_ms ?? 0) - at_ms) / 1_000;
    expect(waitSeconds).toBeGreaterThanOrEqual(least);
    expect(waitSeconds).toBeLessThanOrEqual(most + duration_ms / 1_000 + 5);
  });
});

describe("an endpoint that answers 410", () => {
  test("is disabled at once, which its neighbour is told, and gets what it missed once it is enabled", async () => {
    const hook = await listener(() => ({ status: 410 }));
    const neighbour = await beside(hook);
    const { endpointId } = hook.marketplace;
    const offered = await offeredTo([hook], 3);
    await withdraw(offered, offered.works[0]);
    await expect
      .poll(() => endpointOf(endpointId), WAIT)
      .toMatchObject({ state: "disabled", disabled_reason: "gone", disabled_at: expect.any(String) });
    await expect
      .poll(() => sink.received(neighbour.path).map((request) => eventIn(request)), WAIT)
      .toEqual([
        expect.objectContaining({ change: "withdrawn", endpoint_id: neighbour.endpointId }),
        expect.objectContaining({
          change: "endpoint_disabled",
          dataset_id: endpointId,
          endpoint_id: neighbour.endpointId,
          reason: "gone",
          sequence: 1,
        }),
      ]);

    await withdraw(offered, offered.works[1]);
    await sink.waitFor(neighbour.path, 3);
    const held = await deliveriesTo(endpointId, "&state=held");
    expect(held).toMatchObject([{ sequence: 1 }, { sequence: 2, attempts: [] }]);
    expect(held[0]).not.toHaveProperty("next_attempt_at");
    expect(sink.received(hook.path)).toHaveLength(1);
    for (const refused of [
      await command(endpointId, "test"),
      await command(endpointId, "replays", {}),
      await platform.operator.post(`/api/v1/webhook-deliveries/${held[0].event_id}/replays`),
    ])
      expect(refused).toMatchObject({ status: 409, body: { code: "conflict" } });

    sink.reply(hook.path, () => ({ status: 200 }));
    expectStatus(await command(endpointId, "enable"), 200);
    platform.clock.advance(10);
    await expect
      .poll(() => deliveriesTo(endpointId), WAIT)
      .toMatchObject([
        { sequence: 1, state: "delivered", event_id: held[0].event_id },
        { sequence: 2, state: "delivered", event_id: held[1].event_id },
      ]);
  });
});

describe("an endpoint at which every attempt fails", () => {
  test("is announced after two days, disabled after five, and starts anew with one success", async () => {
    const hook = await listener(() => ({ status: 500 }));
    const neighbour = await beside(hook);
    const { endpointId } = hook.marketplace;
    const offered = await offeredTo([hook], 3);
    await withdraw(offered, offered.works[0]);
    await expect
      .poll(() => endpointOf(endpointId), WAIT)
      .toMatchObject({ state: "enabled", failing_since: expect.any(String), disable_at: expect.any(String) });

    platform.clock.advance(2 * DAY_SECONDS);
    await expect
      .poll(() => sink.received(neighbour.path).map((request) => eventIn(request)), WAIT)
      .toContainEqual(
        expect.objectContaining({
          change: "endpoint_failing",
          dataset_id: endpointId,
          disable_at: (await endpointOf(endpointId)).disable_at,
        }),
      );
    expect(await endpointOf(endpointId)).toMatchObject({ state: "enabled" });

    sink.reply(hook.path, () => ({ status: 204 }));
    await withdraw(offered, offered.works[1]);
    await expect.poll(() => endpointOf(endpointId), WAIT).not.toHaveProperty("failing_since");

    sink.reply(hook.path, () => ({ status: 500 }));
    await withdraw(offered, offered.works[2]);
    await expect.poll(() => endpointOf(endpointId), WAIT).toHaveProperty("failing_since");
    platform.clock.advance(5 * DAY_SECONDS + 1);
    await expect
      .poll(() => endpointOf(endpointId), WAIT)
      .toMatchObject({ state: "disabled", disabled_reason: "failing" });
    await expect
      .poll(() => sink.received(neighbour.path).map((request) => eventIn(request)), WAIT)
      .toContainEqual(expect.objectContaining({ change: "endpoint_disabled", dataset_id: endpointId, sequence: 2 }));
    const types = (
      await ctx.db.selectFrom("event").select("type").where("aggregate", "=", endpointId).orderBy("id").execute()
    ).map((row) => row.type);
    expect(types).toEqual(["webhook-endpoint.failing", "webhook-endpoint.disabled"]);
  });
});

describe("a test message", () => {
  test("goes to one endpoint, is logged with its payload, and waits for no other", async () => {
    const hook = await listener((_request, count) => (count === 1 ? { status: 500 } : { status: 200 }));
    const neighbour = await beside(hook);
    const { endpointId } = hook.marketplace;
    const { event_id } = expectStatus(await command(endpointId, "test"), 202).body;
    const [request] = await sink.waitFor(hook.path, 1);
    expect(eventIn(request)).toEqual({
      dataset_id: endpointId,
      change: "test",
      event_id,
      endpoint_id: endpointId,
      sequence: 1,
      sent_at: expect.any(String),
    });
    expectStatus(await command(endpointId, "test"), 202);
    expect(eventIn((await sink.waitFor(hook.path, 2))[1])).toMatchObject({ change: "test", sequence: 2 });
    const logged = expectStatus(await platform.operator.get(`/api/v1/webhook-deliveries/${event_id}`), 200).body;
    expect(logged).toMatchObject({ event_id, change: "test", payload: request?.body, attempts: [{ status: 500 }] });
    expect(sink.received(neighbour.path)).toEqual([]);
  });

  test("is one of a few that may wait", async () => {
    const hook = await listener(() => ({ status: 500 }));
    const { endpointId } = hook.marketplace;
    const answers = [];
    for (let count = 0; count < 11; count += 1) answers.push((await command(endpointId, "test")).status);
    expect(answers).toEqual([...Array.from({ length: 10 }, () => 202), 409]);
  });
});

describe("a filter", () => {
  test("keeps away what was not asked for, and leaves no gap in the sequence", async () => {
    const hook = await listener();
    const neighbour = await beside(hook);
    const offered = await offeredTo([hook], 3);
    await publishDataset(platform, offered.works.slice(1), { dataset_id: offered.datasetId });
    await withdraw(offered, offered.works[2]);
    await sink.waitFor(hook.path, 2);
    const [request] = await sink.waitFor(neighbour.path, 1);
    expect(eventIn(request)).toMatchObject({ change: "withdrawn", sequence: 1 });
    expect(await deliveriesTo(neighbour.endpointId)).toHaveLength(1);
  });
});

describe("old deliveries", () => {
  test("are forgotten with their attempts, whatever became of them", async () => {
    const hook = await listener();
    const { endpointId } = hook.marketplace;
    const offered = await offeredTo([hook], 3);
    await withdraw(offered, offered.works[0]);
    await expect.poll(() => deliveriesTo(endpointId), WAIT).toMatchObject([{ state: "delivered" }]);
    platform.clock.advance(RETENTION_MS / 1_000 - 60);
    await withdraw(offered, offered.works[1]);
    await expect
      .poll(() => deliveriesTo(endpointId), WAIT)
      .toMatchObject([{ state: "delivered" }, { state: "delivered" }]);
    platform.clock.advance(120);
    await forgetDeliveries(ctx);
    await expect.poll(() => deliveriesTo(endpointId), WAIT).toMatchObject([{ sequence: 2, state: "delivered" }]);
    const attempts = ctx.db.selectFrom("webhook_attempt").select("sequence").where("endpoint_id", "=", endpointId);
    expect(await attempts.execute()).toEqual([{ sequence: 2 }]);
    await withdraw(offered, offered.works[2]);
    expect(eventIn((await sink.waitFor(hook.path, 3))[2]).sequence).toBe(3);
  });
});
