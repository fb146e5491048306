import { describe, expect, onTestFinished, test, vi } from "vitest";
import {
  type Creator,
  type RegisteredMarketplace,
  enrolCreator,
  expectStatus,
  fetchAccessToken,
  giveConsent,
  offerDataset,
  publishDataset,
  registerMarketplace,
  registerWork,
  uniqueId,
} from "../../../test/fixtures/actors.ts";
import type { Caller } from "../../../test/fixtures/caller.ts";
import { licenseDataset } from "../../../test/fixtures/licenses.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { startSink } from "../../../test/fixtures/webhook-sink.ts";

const sink = await startSink();
const platform = await startPlatform({ allowedHosts: [sink.host] });

interface World {
  readonly creator: Creator;
  readonly jti: string;
  readonly work: string;
  readonly datasetId: string;
  readonly marketplace: RegisteredMarketplace;
  readonly path: string;
}

/** A dataset of one consent, offered to a marketplace that listens at the sink. */
async function offeredDataset(): Promise<World> {
  const creator = await enrolCreator(platform);
  const work = await registerWork(platform, creator.creatorId);
  const { jti } = await giveConsent(creator);
  const { dataset_id: datasetId } = await publishDataset(platform, [work]);
  const path = `/${uniqueId("hook-")}`;
  const marketplace = await marketplaceAt(path);
  await offerDataset(platform, datasetId, marketplace);
  return { creator, jti, work, datasetId, marketplace, path };
}

const marketplaceAt = (path: string): Promise<RegisteredMarketplace> =>
  registerMarketplace(platform, { base_url: sink.url(`${path}/base`), webhook_url: sink.url(path) });

interface Timeline {
  readonly revocation_id: string;
  readonly type: string;
  readonly aggregate: string;
  readonly done: boolean;
  readonly legs: readonly { readonly leg: string; readonly targets: number; readonly done: number }[];
  readonly entries: readonly {
    readonly leg: string;
    readonly target: string;
    readonly state: string;
    readonly took_ms?: number;
    readonly last_error?: string;
    readonly attempts: number;
  }[];
  readonly next: string | null;
}

async function timelineOf(id: string, caller: Caller = platform.operator, query = ""): Promise<Timeline> {
  return expectStatus(await caller.get(`/api/v1/revocations/${id}${query}`), 200).body;
}

/** The timeline once so many of a leg are done. */
async function timelineWith(leg: string, done: number, id: string): Promise<Timeline> {
  await expect
    .poll(async () => (await timelineOf(id)).legs.find((sum) => sum.leg === leg)?.done, {
      timeout: 15_000,
      interval: 20,
    })
    .toBe(done);
  return timelineOf(id);
}

async function revoke({ creator, jti }: Pick<World, "creator" | "jti">): Promise<string> {
  const { body } = expectStatus(await creator.caller.post(`/api/v1/consents/${jti}/revoke`), 200);
  expect(body.timeline_url).toBe(`${platform.origin}/api/v1/revocations/${body.revocation_id}`);
  return body.revocation_id;
}

describe("the timeline of a revocation", () => {
  test("says when it was committed, each webhook was taken and each marketplace has stopped", async () => {
    const world = await offeredDataset();
    const id = await revoke(world);
    const [sent] = await sink.waitFor(world.path, 1);
    const told = await timelineWith("webhook", 1, id);
    expect(told).toMatchObject({ revocation_id: id, type: "consent.revoked", aggregate: world.jti, done: false });
    expect(told.entries.map(({ leg, state }) => `${leg} ${state}`)).toEqual([
      "acknowledgement waiting",
      "committed done",
      "webhook done",
    ]);
    const caller = await world.marketplace.call();
    const messageId = JSON.parse(sent?.body ?? "").event_id;
    const path = `/api/v1/revocations/${messageId}/acknowledgements`;
    const acknowledged = expectStatus(await caller.post(path), 200).body;
    expect(acknowledged).toMatchObject({ revocation_id: id, dataset_ids: [world.datasetId] });
    expect(expectStatus(await caller.post(path), 200).body).toEqual(acknowledged);
    const done = await timelineOf(id);
    expect(done.done).toBe(true);
    const took = (leg: string): number => done.entries.find((entry) => entry.leg === leg)?.took_ms ?? -1;
    expect(took("committed")).toBeGreaterThanOrEqual(0);
    expect(took("webhook")).toBeGreaterThanOrEqual(0);
    expect(took("acknowledgement")).toBe(acknowledged.took_ms);
    expect(done.legs.map(({ leg }) => leg)).toEqual(["committed", "webhook", "acknowledgement"]);
    const events = await platform.server.ctx.db
      .selectFrom("event")
      .select("type")
      .where("aggregate", "=", id)
      .execute();
    expect(events).toEqual([{ type: "revocation.acknowledged" }]);
  });

  test("is not over before it says when that was, however late it is noted", async () => {
    const { db, commits } = platform.server.ctx;
    const note = vi.spyOn(commits, "note").mockReturnValue(undefined);
    onTestFinished(() => note.mockRestore());
    const creator = await enrolCreator(platform);
    const id = await revoke({ ...(await giveConsent(creator)), creator });
    const unhandled = () => db.selectFrom("unhandled_event").selectAll().where("event_id", "=", id).execute();
    await expect.poll(unhandled, { timeout: 15_000 }).toEqual([]);
    expect(await timelineOf(id)).toMatchObject({ done: false, legs: [] });
    note.mockRestore();
    commits.note([id]);
    await timelineWith("committed", 1, id);
    expect((await timelineOf(id)).done).toBe(true);
  });

  test("is found by the jti and by the message that told of it", async () => {
    const world = await offeredDataset();
    const id = await revoke(world);
    const [sent] = await sink.waitFor(world.path, 1);
    const messageId = JSON.parse(sent?.body ?? "").event_id;
    for (const name of [id, world.jti, messageId]) expect((await timelineOf(name)).revocation_id).toBe(id);
    const again = expectStatus(await world.creator.caller.post(`/api/v1/consents/${world.jti}/revoke`), 200).body;
    expect(again.revocation_id).toBe(id);
  });

  test("is there for whatever a creator takes back at once", async () => {
    const world = await offeredDataset();
    const { body } = expectStatus(
      await world.creator.caller.post(`/api/v1/creators/${world.creator.creatorId}/revocations`, {
        content_id: world.work,
      }),
      200,
    );
    expect(body.timelines).toEqual([
      { revocation_id: expect.stringMatching(/^evt_/), of: world.work, timeline_url: expect.any(String) },
    ]);
    expect(await timelineOf(body.timelines[0].revocation_id)).toMatchObject({
      type: "content.withdrawn",
      aggregate: world.work,
    });
  });

  test("is there for suspensions, withdrawn datasets and licenses that end", async () => {
    const world = await offeredDataset();
    const { license_id } = await licenseDataset(platform, world.datasetId, world.marketplace);
    expectStatus(await platform.operator.post(`/api/v1/licenses/${license_id}/revoke`, { reason: "over" }), 200);
    expectStatus(await world.creator.caller.post(`/api/v1/consents/${world.jti}/suspend`), 200);
    expectStatus(await platform.operator.post(`/api/v1/content/${world.work}/suspend`, { reason: "r" }), 200);
    expectStatus(await platform.operator.post(`/api/v1/datasets/${world.datasetId}/suspend`, { reason: "r" }), 200);
    expectStatus(await platform.operator.post(`/api/v1/datasets/${world.datasetId}/withdraw`, { reason: "r" }), 200);
    const { db } = platform.server.ctx;
    for (const [type, aggregate] of [
      ["license.revoked", license_id],
      ["consent.suspended", world.jti],
      ["content.suspended", world.work],
      ["dataset.suspended", world.datasetId],
      ["dataset.withdrawn", world.datasetId],
    ]) {
      const { id } = await db
        .selectFrom("event")
        .select("id")
        .where("type", "=", type ?? "")
        .where("aggregate", "=", aggregate ?? "")
        .executeTakeFirstOrThrow();
      expect(await timelineWith("webhook", 1, id)).toMatchObject({ type, aggregate });
    }
  });

  test("shows an endpoint that takes nothing as waiting, with the reason, and pages its legs", async () => {
    const world = await offeredDataset();
    sink.reply(world.path, () => ({ status: 503 }));
    const id = await revoke(world);
    await expect
      .poll(async () => (await timelineOf(id)).entries.find(({ leg }) => leg === "webhook")?.attempts, {
        timeout: 15_000,
      })
      .toBe(1);
    await expect
      .poll(async () => (await timelineOf(id)).entries.find(({ leg }) => leg === "webhook")?.last_error, {
        timeout: 15_000,
      })
      .toMatch(/503/);
    const all = (await timelineOf(id)).entries.map(({ leg, target }) => `${leg}/${target}`);
    const paged: string[] = [];
    for (let query = "?limit=1"; ;) {
      const page = await timelineOf(id, platform.operator, query);
      paged.push(...page.entries.map(({ leg, target }) => `${leg}/${target}`));
      if (page.next === null) break;
      query = `?limit=1&after=${page.next}`;
    }
    expect(paged).toEqual(all);
    expectStatus(await platform.operator.get(`/api/v1/revocations/${id}?after=elsewhere`), 422);
    expect(JSON.stringify(await timelineOf(id, world.creator.caller))).not.toContain("503");
  });
});

describe("who reads it", () => {
  test("is the operator, the platform with events:read, the creator, and a marketplace its own legs", async () => {
    const world = await offeredDataset();
    const other = await marketplaceAt(`/${uniqueId("hook-")}`);
    await offerDataset(platform, world.datasetId, other);
    const id = await revoke(world);
    await timelineWith("webhook", 2, id);
    const { body: client } = expectStatus(
      await platform.operator.post("/api/v1/clients", { name: "Backend", scopes: ["events:read"] }),
      201,
    );
    const backend = platform.as(
      await fetchAccessToken(platform, {
        clientId: client.client_id,
        clientSecret: client.client_secret,
        scope: "events:read",
      }),
    );
    for (const caller of [platform.operator, backend, world.creator.caller])
      expect((await timelineOf(id, caller)).entries).toHaveLength(5);
    const own = await timelineOf(id, await world.marketplace.call());
    expect(own.entries.map(({ leg, target }) => `${leg}/${target}`)).toEqual([
      `acknowledgement/${world.marketplace.marketplaceId}/${world.datasetId}`,
      "committed/database",
      `webhook/${world.marketplace.endpointId}/${world.datasetId}`,
    ]);
    expect(own.legs.map(({ targets }) => targets)).toEqual([1, 1, 1]);
    const told = await timelineOf(id, world.creator.caller);
    const named = told.entries.filter(({ leg }) => leg !== "acknowledgement").map(({ target }) => target);
    expect(named).toEqual(["database", "webhook 1", "webhook 2"]);
    const first = await timelineOf(id, world.creator.caller, "?limit=1");
    for (const text of [JSON.stringify(told), JSON.stringify(first)])
      for (const { endpointId } of [world.marketplace, other]) expect(text).not.toContain(endpointId);
  });

  test("is nobody else: to them there is no such revocation", async () => {
    const world = await offeredDataset();
    const id = await revoke(world);
    const [sent] = await sink.waitFor(world.path, 1);
    const messageId: string = JSON.parse(sent?.body ?? "").event_id;
    const stranger = await enrolCreator(platform);
    const elsewhere = await (await marketplaceAt(`/${uniqueId("hook-")}`)).call();
    for (const caller of [stranger.caller, elsewhere]) {
      for (const name of [id, world.jti, messageId, "evt_nothing"]) {
        const { body } = expectStatus(await caller.get(`/api/v1/revocations/${name}`), 404);
        expect(body.detail).toBe(`there is no revocation ${name}`);
      }
    }
    expectStatus(await elsewhere.post(`/api/v1/revocations/${id}/acknowledgements`), 404);
    expectStatus(await platform.anonymous.get(`/api/v1/revocations/${id}`), 401);
  });

  test("no event that refuses nothing has a timeline", async () => {
    const world = await offeredDataset();
    const { id } = await platform.server.ctx.db
      .selectFrom("event")
      .select("id")
      .where("type", "=", "consent.granted")
      .where("aggregate", "=", world.jti)
      .executeTakeFirstOrThrow();
    expectStatus(await platform.operator.get(`/api/v1/revocations/${id}`), 404);
    expectStatus(await platform.operator.get(`/api/v1/revocations/${world.jti}`), 404);
  });
});

describe("an acknowledgement", () => {
  test("of the fact itself is for every dataset it touches, and one of a message for that message's", async () => {
    const world = await offeredDataset();
    const { dataset_id: second } = await publishDataset(platform, [world.work]);
    await offerDataset(platform, second, world.marketplace);
    const id = await revoke(world);
    const sent = await sink.waitFor(world.path, 2);
    const caller = await world.marketplace.call();
    const first = JSON.parse(sent[0]?.body ?? "");
    const one = expectStatus(await caller.post(`/api/v1/revocations/${first.event_id}/acknowledgements`), 200).body;
    expect(one.dataset_ids).toEqual([first.dataset_id]);
    expect((await timelineOf(id)).legs.find(({ leg }) => leg === "acknowledgement")).toMatchObject({
      targets: 2,
      done: 1,
    });
    const all = expectStatus(await caller.post(`/api/v1/revocations/${id}/acknowledgements`), 200).body;
    expect(all.dataset_ids).toEqual([world.datasetId, second].sort());
    expect((await timelineOf(id)).legs.find(({ leg }) => leg === "acknowledgement")).toMatchObject({ done: 2 });
  });

  test("is not asked of who was offered the dataset later", async () => {
    const world = await offeredDataset();
    expectStatus(await platform.operator.post(`/api/v1/datasets/${world.datasetId}/suspend`, { reason: "r" }), 200);
    expectStatus(await platform.operator.post(`/api/v1/datasets/${world.datasetId}/resume`), 200);
    const { id } = await platform.server.ctx.db
      .selectFrom("event")
      .select("id")
      .where("type", "=", "dataset.suspended")
      .where("aggregate", "=", world.datasetId)
      .executeTakeFirstOrThrow();
    platform.clock.advance(5);
    const late = await marketplaceAt(`/${uniqueId("hook-")}`);
    await offerDataset(platform, world.datasetId, late);
    expectStatus(await (await late.call()).post(`/api/v1/revocations/${id}/acknowledgements`), 404);
    expect((await timelineOf(id)).legs.find(({ leg }) => leg === "acknowledgement")).toMatchObject({ targets: 1 });
  });
});
