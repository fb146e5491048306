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
  registerWork,
  uniqueId,
} from "../../../test/fixtures/actors.ts";
import { checkPlatform } from "../../../test/fixtures/check-platform.ts";
import { registerWorks } from "../../../test/fixtures/datasets.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { type ReceivedRequest, startSink } from "../../../test/fixtures/webhook-sink.ts";
import { expireConsents } from "../revocations/expire-consents.ts";
import { fanOut } from "./fan-out.ts";

const sink = await startSink();
const platform = await startPlatform({ allowedHosts: [sink.host] });
const { ctx } = platform.server;
const now = (): number => Math.floor(platform.clock.nowMs() / 1_000);

interface Listener {
  readonly marketplace: RegisteredMarketplace;
  readonly path: string;
}

/** A marketplace that listens at a path of its own; registrations go to the same sink. */
async function listener(): Promise<Listener> {
  const path = `/${uniqueId("hook-")}`;
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
  readonly jti: string;
  readonly works: readonly string[];
  readonly dataset: { readonly dataset_id: string; readonly manifest_sha256: string };
}

async function offeredTo(listeners: readonly Listener[], works = 1): Promise<Offered> {
  const creator = await enrolCreator(platform);
  const ids = await registerWorks(platform, creator.creatorId, works);
  const { jti } = await giveConsent(creator);
  const dataset = await publishDataset(platform, ids);
  for (const { marketplace } of listeners) await offerDataset(platform, dataset.dataset_id, marketplace);
  return { creator, jti, works: ids, dataset };
}

/** A message as its receiver verifies it. */
function verified(request: ReceivedRequest | undefined, { marketplace }: Listener): WebhookEvent {
  const event = verifyWebhook((name) => request?.headers[name], request?.body ?? "", {
    secrets: [marketplace.webhookSecret],
    now: now(),
  });
  if (!event.ok) throw new Error(`${event.refusal.code}: ${event.refusal.detail}`);
  return JSON.parse(request?.body ?? "");
}

const revoke = async (jti: string) =>
  expectStatus(await platform.operator.post(`/api/v1/consents/${jti}/revoke`), 200).body;

describe("a revocation", () => {
  test("reaches the marketplace within a second, signed both ways, in the brief's words", async () => {
    const hook = await listener();
    const { jti, dataset } = await offeredTo([hook]);
    const { revoked_at } = await revoke(jti);
    const answeredMs = Date.now();
    const [request] = await sink.waitFor(hook.path, 1);
    expect((request?.atMs ?? 0) - answeredMs).toBeLessThan(1_000);
    expect(request).toMatchObject({
      method: "POST",
      headers: {
        "content-type": "application/json",
        "x-signature": expect.stringMatching(/^sha256=[0-9a-f]{64}$/),
        "webhook-signature": expect.stringMatching(/^v1,/),
      },
    });
    expect(verified(request, hook)).toEqual({
      dataset_id: dataset.dataset_id,
      change: "revoked",
      jti,
      revoked_at,
      event_id: request?.headers["webhook-id"],
      endpoint_id: hook.marketplace.endpointId,
      sequence: 1,
      sent_at: expect.any(String),
      dataset: {
        status: "revoked",
        current_version: 1,
        min_valid_version: 1,
        manifest_sha256: dataset.manifest_sha256,
      },
    });
    const forged = verifyWebhook((name) => request?.headers[name], request?.body ?? "", {
      secrets: [(await listener()).marketplace.webhookSecret],
      now: now(),
    });
    expect(forged).toMatchObject({ ok: false, refusal: { code: "webhook_signature_invalid" } });
  });

  test("that touches two datasets is two messages, each with an id of its own", async () => {
    const hook = await listener();
    const { jti, works, dataset } = await offeredTo([hook], 2);
    const second = await publishDataset(platform, works.slice(1));
    await offerDataset(platform, second.dataset_id, hook.marketplace);
    await revoke(jti);
    const events = (await sink.waitFor(hook.path, 2)).map((request) => verified(request, hook));
    expect(events.map((event) => event.dataset_id).toSorted()).toEqual(
      [dataset.dataset_id, second.dataset_id].toSorted(),
    );
    expect(events.map((event) => event.sequence)).toEqual([1, 1]);
    expect(new Set(events.map((event) => event.event_id)).size).toBe(2);
  });

  test("is told to everybody a dataset was offered to, and to nobody else", async () => {
    const [first, second, outsider] = [await listener(), await listener(), await listener()];
    const { jti } = await offeredTo([first, second]);
    await revoke(jti);
    for (const hook of [first, second])
      expect(verified((await sink.waitFor(hook.path, 1))[0], hook)).toMatchObject({
        change: "revoked",
        jti,
        sequence: 1,
      });
    expect(sink.received(outsider.path)).toEqual([]);
  });

  test("of a consent that only an older version stands on is told too", async () => {
    const hook = await listener();
    const [leaving, staying] = [await enrolCreator(platform), await enrolCreator(platform)];
    const [left, stayed] = [
      await registerWork(platform, leaving.creatorId),
      await registerWork(platform, staying.creatorId),
    ];
    const { jti } = await giveConsent(leaving);
    await giveConsent(staying);
    const { dataset_id } = await publishDataset(platform, [left, stayed]);
    await offerDataset(platform, dataset_id, hook.marketplace);
    await publishDataset(platform, [stayed], { dataset_id });
    expect(verified((await sink.waitFor(hook.path, 1))[0], hook)).toMatchObject({ change: "published", sequence: 1 });
    await revoke(jti);
    expect(verified((await sink.waitFor(hook.path, 2))[1], hook)).toMatchObject({
      change: "revoked",
      jti,
      sequence: 2,
      dataset: { status: "active", current_version: 2 },
    });
  });
});

describe("every other change", () => {
  test("has its name and what it is about", async () => {
    const hook = await listener();
    const { creator, works, dataset } = await offeredTo([hook], 3);
    await publishDataset(platform, works.slice(1), { dataset_id: dataset.dataset_id });
    expect(verified((await sink.waitFor(hook.path, 1))[0], hook)).toMatchObject({
      change: "published",
      sequence: 1,
      dataset: { status: "active", current_version: 2 },
    });
    expect(JSON.parse(sink.received(hook.path)[0]?.body ?? "")).not.toHaveProperty("jti");

    expectStatus(
      await platform.operator.post(`/api/v1/creators/${creator.creatorId}/revocations`, { content_id: works[1] }),
      200,
    );
    expect(verified((await sink.waitFor(hook.path, 2))[1], hook)).toMatchObject({
      change: "withdrawn",
      content_id: works[1],
      sequence: 2,
      dataset: { status: "partially_revoked" },
    });

    const brief = await enrolCreator(platform);
    const work = await registerWork(platform, brief.creatorId);
    const { jti } = await giveConsent(brief, { duration_days: 1 });
    const fleeting = await publishDataset(platform, [work]);
    await offerDataset(platform, fleeting.dataset_id, hook.marketplace);
    platform.clock.advance(86_400);
    await expireConsents(ctx);
    expect(verified((await sink.waitFor(hook.path, 3))[2], hook)).toMatchObject({
      dataset_id: fleeting.dataset_id,
      change: "expired",
      jti,
      sequence: 1,
      dataset: { status: "expired" },
    });
  });
});

describe("the sequence", () => {
  test("counts each endpoint and dataset without a gap, however many changes come at once", async () => {
    const hooks = [await listener(), await listener()];
    const creator = await enrolCreator(platform);
    const works = await registerWorks(platform, creator.creatorId, 20);
    const jtis: string[] = [];
    for (const work of works) jtis.push((await giveConsent(creator, { subject: `content:${work}` })).jti);
    const datasets = [await publishDataset(platform, works), await publishDataset(platform, works.slice(0, 10))];
    for (const { dataset_id } of datasets)
      for (const { marketplace } of hooks) await offerDataset(platform, dataset_id, marketplace);
    await Promise.all(jtis.map(revoke));
    for (const hook of hooks) {
      const events = (await sink.waitFor(hook.path, 30)).map((request) => verified(request, hook));
      for (const [index, { dataset_id }] of datasets.entries()) {
        const own = events
          .filter((event) => event.dataset_id === dataset_id)
          .toSorted((left, right) => left.sequence - right.sequence);
        const count = index === 0 ? 20 : 10;
        expect(own.map((event) => event.sequence)).toEqual(Array.from({ length: count }, (_, at) => at + 1));
        expect(new Set(own.map((event) => event.jti))).toEqual(new Set(jtis.slice(0, count)));
        expect(own.at(-1)?.dataset.status).toBe("revoked");
      }
    }
  });

  test("adds nothing when an event is fanned out again, also at the same time", async () => {
    const hook = await listener();
    const { jti } = await offeredTo([hook]);
    await revoke(jti);
    await sink.waitFor(hook.path, 1);
    const { id } = await ctx.db
      .selectFrom("event")
      .select("id")
      .where("aggregate", "=", jti)
      .where("type", "=", "consent.revoked")
      .executeTakeFirstOrThrow();
    await Promise.all(Array.from({ length: 5 }, () => fanOut(ctx, id)));
    const log = `/api/v1/webhook-deliveries?endpoint_id=${hook.marketplace.endpointId}`;
    await expect
      .poll(async () => (await platform.operator.get(log)).body.deliveries, { timeout: 10_000 })
      .toMatchObject([{ sequence: 1, state: "delivered" }]);
    expect(sink.received(hook.path)).toHaveLength(1);
  });

  test("never tells an older state under a higher number", async () => {
    const hook = await listener();
    const creator = await enrolCreator(platform);
    const works = await registerWorks(platform, creator.creatorId, 2);
    const jtis = [
      (await giveConsent(creator, { subject: `content:${works[0]}` })).jti,
      (await giveConsent(creator, { subject: `content:${works[1]}` })).jti,
    ];
    const { dataset_id } = await publishDataset(platform, works);
    await offerDataset(platform, dataset_id, hook.marketplace);
    await Promise.all(jtis.map(revoke));
    const events = (await sink.waitFor(hook.path, 2))
      .map((request) => verified(request, hook))
      .toSorted((left, right) => left.sequence - right.sequence);
    expect(events.at(-1)?.dataset.status).toBe("revoked");
  });
});

describe("the delivery log", () => {
  test("shows a marketplace its own, the operator all, and is closed to others", async () => {
    const [mine, theirs] = [await listener(), await listener()];
    const { jti, creator, dataset } = await offeredTo([mine, theirs]);
    await revoke(jti);
    await Promise.all([sink.waitFor(mine.path, 1), sink.waitFor(theirs.path, 1)]);
    const endpointsIn = async (caller: typeof platform.operator, query: string) => {
      const { body } = expectStatus(await caller.get(`/api/v1/webhook-deliveries?${query}`), 200);
      return new Set(body.deliveries.map((delivery: { endpoint_id: string }) => delivery.endpoint_id));
    };
    const ofDataset = `dataset_id=${dataset.dataset_id}`;
    expect(await endpointsIn(platform.operator, ofDataset)).toEqual(
      new Set([mine.marketplace.endpointId, theirs.marketplace.endpointId]),
    );
    expect((await creator.caller.get("/api/v1/webhook-deliveries")).status).toBe(403);
    const { rows } = {
      rows: await ctx.db
        .selectFrom("webhook_delivery")
        .select(["endpoint_id", "state"])
        .where("dataset_id", "=", dataset.dataset_id)
        .execute(),
    };
    expect(rows).toHaveLength(2);
  });

  test("pages, and filters by dataset, endpoint and state", async () => {
    const hook = await listener();
    const { works, dataset, creator } = await offeredTo([hook], 5);
    for (const work of works)
      expectStatus(
        await platform.operator.post(`/api/v1/creators/${creator.creatorId}/revocations`, { content_id: work }),
        200,
      );
    await sink.waitFor(hook.path, 5);
    const read: number[] = [];
    for (let after = ""; ;) {
      const { body } = await platform.operator.get(
        `/api/v1/webhook-deliveries?dataset_id=${dataset.dataset_id}&limit=2${after}`,
      );
      read.push(...body.deliveries.map((delivery: { sequence: number }) => delivery.sequence));
      if (body.next === null) break;
      after = `&after=${body.next}`;
    }
    expect(read.toSorted()).toEqual([1, 2, 3, 4, 5]);
    const delivered = `/api/v1/webhook-deliveries?endpoint_id=${hook.marketplace.endpointId}&state=delivered`;
    await expect.poll(async () => (await platform.operator.get(delivered)).body.deliveries).toHaveLength(5);
    expect(
      (
        await platform.operator.get(
          `/api/v1/webhook-deliveries?endpoint_id=${hook.marketplace.endpointId}&state=failed`,
        )
      ).body.deliveries,
    ).toEqual([]);
    expect((await platform.operator.get("/api/v1/webhook-deliveries?state=lost")).status).toBe(422);
  });
});

test("the platform keeps its promises after all of this", { timeout: 120_000 }, async () => {
  await checkPlatform({ ...platform, now });
});
