import { type WebhookEvent, verifyWebhook } from "@licet/protocol";
import { describe, expect, test } from "vitest";
import {
  type Creator,
  type RegisteredMarketplace,
  enrolCreator,
  expectStatus,
  giveConsent,
  offerDataset,
  publishDataset,
  registerMarketplace,
  uniqueId,
} from "../../../test/fixtures/actors.ts";
import { registerWorks } from "../../../test/fixtures/datasets.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { type ReceivedRequest, type Reply, startSink } from "../../../test/fixtures/webhook-sink.ts";
import { RETRY_SECONDS } from "./retry-schedule.ts";

const sink = await startSink();
/** Allowed, and nobody listens there. */
const CLOSED_HOST = "127.0.0.1:1";
const platform = await startPlatform({ allowedHosts: [sink.host, CLOSED_HOST] });

interface Listener {
  readonly marketplace: RegisteredMarketplace;
  readonly path: string;
}

async function listener(
  reply: (request: ReceivedRequest, count: number) => Reply = () => ({ status: 200 }),
): Promise<Listener> {
  const path = `/${uniqueId("hook-")}`;
  sink.reply(path, reply);
  return {
    marketplace: await registerMarketplace(platform, {
      base_url: sink.url(`${path}/base`),
      webhook_url: sink.url(path),
    }),
    path,
  };
}

interface Offered {
  readonly creator: Creator;
  readonly works: readonly string[];
  readonly datasetId: string;
}

/** A dataset of works, each of which can be withdrawn by itself: one message each. */
async function offeredTo(listeners: readonly Listener[], works: number): Promise<Offered> {
  const creator = await enrolCreator(platform);
  const ids = await registerWorks(platform, creator.creatorId, works);
  await giveConsent(creator);
  const { dataset_id } = await publishDataset(platform, ids);
  for (const { marketplace } of listeners) await offerDataset(platform, dataset_id, marketplace);
  return { creator, works: ids, datasetId: dataset_id };
}

async function withdraw({ creator }: Offered, contentId: string | undefined): Promise<void> {
  expectStatus(
    await platform.operator.post(`/api/v1/creators/${creator.creatorId}/revocations`, { content_id: contentId }),
    200,
  );
}

/** After so long a wait is over, whatever was added to it. */
const withJitter = (seconds: number): number => seconds * 1.1 + 1;
/** How long a receiver may take: somebody who waited behind one that hangs would wait as long. */
const ATTEMPT_MS = 10_000;
const bodyOf = (request: ReceivedRequest | undefined): WebhookEvent => JSON.parse(request?.body ?? "");
const deliveriesOf = async ({ marketplace }: Listener) =>
  (await platform.operator.get(`/api/v1/webhook-deliveries?endpoint_id=${marketplace.endpointId}`)).body.deliveries;
async function untilDelivery(hook: Listener, expected: object): Promise<void> {
  await expect
    .poll(async () => (await deliveriesOf(hook))[0], { timeout: 10_000, interval: 20 })
    .toMatchObject(expected);
}

describe("a receiver that fails", () => {
  test("gets the same message again after growing waits, freshly signed, until it takes it", async () => {
    const hook = await listener((_request, count) =>
      count < 4 ? { status: 500, body: `failure ${count}` } : { status: 204 },
    );
    const offered = await offeredTo([hook], 2);
    await withdraw(offered, offered.works[0]);
    for (const [index, wait] of RETRY_SECONDS.slice(0, 3).entries()) {
      await sink.waitFor(hook.path, index + 1);
      await untilDelivery(hook, {
        state: "waiting",
        attempts: Array.from({ length: index + 1 }, (_, at) => ({ status: 500, error: `failure ${at + 1}` })),
      });
      const [delivery] = await deliveriesOf(hook);
      expect(Date.parse(delivery.next_attempt_at) - Date.parse(delivery.attempts.at(-1).at)).toBeGreaterThanOrEqual(
        (wait - 1) * 1_000,
      );
      platform.clock.advance(wait - 2);
      await new Promise((resolve) => setTimeout(resolve, 1_100));
      expect(sink.received(hook.path)).toHaveLength(index + 1);
      platform.clock.advance(withJitter(wait) - wait + 3);
    }
    const requests = await sink.waitFor(hook.path, 4);
    expect(new Set(requests.map((request) => request.body)).size).toBe(1);
    expect(new Set(requests.map((request) => request.headers["webhook-timestamp"])).size).toBe(4);
    const last = requests.at(-1);
    expect(
      verifyWebhook((name) => last?.headers[name], last?.body ?? "", {
        secrets: [hook.marketplace.webhookSecret],
        now: Math.floor(platform.clock.nowMs() / 1_000),
      }),
    ).toMatchObject({ ok: true });
    await untilDelivery(hook, {
      state: "delivered",
      attempts: [{ status: 500 }, { status: 500 }, { status: 500 }, { status: 204 }],
    });
    expect((await deliveriesOf(hook))[0]).not.toHaveProperty("next_attempt_at");
  });

  test("for good leaves a failed delivery that stays visible, holds up no other, and can be replayed", async () => {
    const hook = await listener(() => ({ status: 400 }));
    const offered = await offeredTo([hook], 2);
    await withdraw(offered, offered.works[0]);
    await untilDelivery(hook, { state: "waiting", attempts: [{ status: 400 }] });
    await skipToLastAttempt(hook);
    await untilDelivery(hook, { state: "failed", attempts: { length: RETRY_SECONDS.length + 1 } });
    const [failed] = await deliveriesOf(hook);
    expect(failed).not.toHaveProperty("next_attempt_at");
    platform.clock.advance(1_000_000);
    sink.reply(hook.path, () => ({ status: 200 }));
    await withdraw(offered, offered.works[1]);
    expect(bodyOf((await sink.waitFor(hook.path, 3)).at(-1))).toMatchObject({
      sequence: 2,
      content_id: offered.works[1],
    });

    const replay = await platform.operator.post(`/api/v1/webhook-deliveries/${failed.event_id}/replays`);
    expect(expectStatus(replay, 202).body).toMatchObject({ state: "waiting", event_id: failed.event_id });
    const requests = await sink.waitFor(hook.path, 4);
    expect(requests[3]?.body).toBe(requests[0]?.body);
    await untilDelivery(hook, { state: "delivered", sequence: 1, attempts: { length: RETRY_SECONDS.length + 2 } });
  });

  test.each<[string, Reply, object]>([
    ["breaks the connection", "break", { error: expect.any(String) }],
    [
      "redirects, which is not followed,",
      { status: 302, headers: { location: sink.url("/redirected") } },
      { status: 302 },
    ],
    ["talks without end", "talk-without-end", { status: 500, error: expect.stringMatching(/^x{300}$/) }],
    [
      "says what no database keeps as text",
      { status: 500, body: "a\0b\uD800c" },
      { status: 500, error: expect.stringContaining("a\uFFFDb") },
    ],
    ["answers with what is no HTTP", "garbage", { error: expect.any(String) }],
    ["answers with headers without end", "endless-headers", { error: expect.any(String) }],
    [
      "answers a page",
      { status: 400, headers: { "content-type": "text/html" }, body: "<h1>Bad</h1>" },
      { status: 400, error: "<h1>Bad</h1>" },
    ],
  ])("and %s has that in its log", async (_what, reply, logged) => {
    const hook = await listener(() => reply);
    const offered = await offeredTo([hook], 2);
    await withdraw(offered, offered.works[0]);
    await untilDelivery(hook, { state: "waiting", attempts: [logged], next_attempt_at: expect.any(String) });
    expect(sink.received("/redirected")).toEqual([]);
  });

  test("because nobody listens there is told apart from one that refuses", async () => {
    const marketplace = await registerMarketplace(platform, { webhook_url: `http://${CLOSED_HOST}/hook` });
    const offered = await offeredTo([{ marketplace, path: "" }], 2);
    await withdraw(offered, offered.works[0]);
    await untilDelivery(
      { marketplace, path: "" },
      { state: "waiting", attempts: [{ error: expect.stringContaining("did not answer") }] },
    );
    expect((await deliveriesOf({ marketplace, path: "" }))[0].attempts[0]).not.toHaveProperty("status");
  });
});

/** As if all attempts but the last one of the table had been made, and the last one were due. */
async function skipToLastAttempt({ marketplace }: Listener): Promise<void> {
  const { db } = platform.server.ctx;
  const first = await db
    .selectFrom("webhook_attempt")
    .selectAll()
    .where("endpoint_id", "=", marketplace.endpointId)
    .executeTakeFirstOrThrow();
  const later = Array.from({ length: RETRY_SECONDS.length - 1 }, (_, index) => ({ ...first, attempt: index + 2 }));
  await db.insertInto("webhook_attempt").values(later).execute();
  await db
    .updateTable("webhook_delivery")
    .set({ attempts: RETRY_SECONDS.length, next_attempt_at_ms: platform.clock.nowMs() })
    .where("endpoint_id", "=", marketplace.endpointId)
    .execute();
}

/** As many more messages to an endpoint as one fact that touches many datasets would cause. */
async function addWaiting({ marketplace }: Listener, count: number): Promise<void> {
  const { db } = platform.server.ctx;
  const row = await db
    .selectFrom("webhook_delivery")
    .selectAll()
    .where("endpoint_id", "=", marketplace.endpointId)
    .executeTakeFirstOrThrow();
  const rows = Array.from({ length: count }, (_, index) => ({
    ...row,
    dataset_id: `ds-${index}`,
    message_id: uniqueId("evt_"),
    state: "waiting" as const,
    attempts: 0,
    next_attempt_at_ms: platform.clock.nowMs(),
  }));
  await db.insertInto("webhook_delivery").values(rows).execute();
}

describe("a receiver that hangs", () => {
  test("delays no other endpoint, however much is on its way to it, and gets all of it in the end", async () => {
    const [hanging, prompt] = [await listener(() => "hang"), await listener()];
    const [waiting, quick] = [await offeredTo([hanging], 2), await offeredTo([prompt], 2)];
    await withdraw(waiting, waiting.works[0]);
    await sink.waitFor(hanging.path, 1);
    await addWaiting(hanging, 400);
    await sink.waitFor(hanging.path, 8);
    const startedMs = Date.now();
    await withdraw(quick, quick.works[0]);
    const [request] = await sink.waitFor(prompt.path, 1);
    expect((request?.atMs ?? 0) - startedMs).toBeLessThan(ATTEMPT_MS);
    expect(sink.received(hanging.path).length).toBeLessThanOrEqual(16);

    sink.reply(hanging.path, () => ({ status: 200 }));
    sink.letGo();
    await expect
      .poll(() => new Set(sink.received(hanging.path).map((received) => received.headers["webhook-id"])).size, {
        timeout: 15_000,
      })
      .toBe(401);
  });
});

describe("order", () => {
  test("is kept among changes that nobody must stop for", async () => {
    const hook = await listener((_request, count) => (count === 1 ? { status: 503 } : { status: 200 }));
    const { works, datasetId } = await offeredTo([hook], 4);
    for (const kept of [3, 2, 1]) await publishDataset(platform, works.slice(0, kept), { dataset_id: datasetId });
    await sink.waitFor(hook.path, 1);
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    expect(sink.received(hook.path)).toHaveLength(1);
    platform.clock.advance(5);
    const requests = await sink.waitFor(hook.path, 4);
    expect(requests.map((request) => bodyOf(request).sequence)).toEqual([1, 1, 2, 3]);
  });

  test("is overtaken by a change that somebody must stop for", async () => {
    const hook = await listener((request) =>
      bodyOf(request).change === "published" && bodyOf(request).sequence === 1 ? { status: 503 } : { status: 200 },
    );
    const offered = await offeredTo([hook], 4);
    await publishDataset(platform, offered.works.slice(1), { dataset_id: offered.datasetId });
    await sink.waitFor(hook.path, 1);
    await publishDataset(platform, offered.works.slice(2), { dataset_id: offered.datasetId });
    await withdraw(offered, offered.works[3]);
    const requests = await sink.waitFor(hook.path, 2);
    expect(bodyOf(requests[1])).toMatchObject({ change: "withdrawn", sequence: 3 });
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    expect(sink.received(hook.path).map((request) => bodyOf(request).sequence)).toEqual([1, 3]);
    sink.reply(hook.path, () => ({ status: 200 }));
    platform.clock.advance(5);
    expect((await sink.waitFor(hook.path, 4)).map((request) => bodyOf(request).sequence)).toEqual([1, 3, 1, 2]);
  });

  test("about one dataset holds up no other dataset", async () => {
    const hook = await listener((request) =>
      bodyOf(request).dataset_id.startsWith("slow") ? { status: 503 } : { status: 200 },
    );
    const { works } = await offeredTo([hook], 3);
    const [slow, quick] = [uniqueId("slow-"), uniqueId("quick-")];
    for (const dataset_id of [slow, quick]) {
      await publishDataset(platform, works, { dataset_id });
      await offerDataset(platform, dataset_id, hook.marketplace);
      await publishDataset(platform, works.slice(1), { dataset_id });
      await publishDataset(platform, works.slice(2), { dataset_id });
    }
    const requests = await sink.waitFor(hook.path, 3);
    expect(
      requests.filter((request) => bodyOf(request).dataset_id === quick).map((request) => bodyOf(request).sequence),
    ).toEqual([1, 2]);
  });
});
