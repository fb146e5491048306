import { beforeEach, describe, expect, test } from "vitest";
import { enrolCreator, expectStatus, giveConsent, publishDataset, uniqueId } from "../../../test/fixtures/actors.ts";
import { checkPlatform } from "../../../test/fixtures/check-platform.ts";
import { readDocument, registerWorks } from "../../../test/fixtures/datasets.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { readStatusBit } from "../../../test/fixtures/status-bit.ts";
import { type Upstream, mapWorks, registerUpstream, theirJti } from "../../../test/fixtures/upstreams.ts";

const platform = await startPlatform();
const { operator } = platform;
const now = () => Math.floor(platform.clock.nowMs() / 1_000);
const VALID = 0;
const REVOKED = 1;
const SUSPENDED = 2;

/** Two works carried for an upstream, which knows them under names of its own, and a dataset of ours with both. */
let upstream: Upstream;
let works: readonly string[];
let consent: Awaited<ReturnType<typeof giveConsent>>;
let datasetId: string;
let theirs: {
  readonly dataset: string;
  readonly contents: readonly [string, string];
  readonly jtis: readonly [string, string];
};

beforeEach(async () => {
  const creator = await enrolCreator(platform);
  works = await registerWorks(platform, creator.creatorId, 2);
  consent = await giveConsent(creator);
  datasetId = (await publishDataset(platform, works)).dataset_id;
  upstream = await registerUpstream(platform);
  theirs = {
    dataset: uniqueId("ds_"),
    contents: [uniqueId("content_"), uniqueId("content_")],
    jtis: [theirJti(), theirJti()],
  };
  const mapped = [0, 1].map((index) => ({
    content_id: works[index] ?? "",
    upstream_dataset_id: theirs.dataset,
    upstream_content_id: theirs.contents[index] ?? "",
    upstream_jti: theirs.jtis[index] ?? "",
  }));
  expectStatus(await mapWorks(platform, upstream, mapped), 200);
});

const bitOf = async (index: number) =>
  readStatusBit(platform, (await operator.get(`/api/v1/content/${works[index]}`)).body);
const statusOf = () => readDocument(platform, `/.well-known/dataset-status/${datasetId}`);
const send = (change: string, members: Parameters<Upstream["send"]>[0] = {}) =>
  upstream.send({ dataset_id: theirs.dataset, change, ...members });
const eventsOf = async () => (await operator.get(`/api/v1/upstreams/${upstream.upstreamId}/events`)).body.events;

describe("what an upstream takes back", () => {
  test.each(["revoked", "expired", "withdrawn", "erased"])(
    "by %s falls here, and every document says so",
    async (change) => {
      const answer = await send(change, { content_id: theirs.contents[0], sequence: 1 });
      expect(answer).toMatchObject({
        status: 200,
        body: {
          effect: "applied",
          withdrawn_content_ids: [works[0]],
          changed_count: 1,
          datasets: [{ dataset_id: datasetId, status: "partially_revoked" }],
        },
      });
      expect([await bitOf(0), await bitOf(1)]).toEqual([REVOKED, VALID]);
      expect(await statusOf()).toMatchObject({ status: "partially_revoked", withdrawn_items_count: 1 });
      await checkPlatform({ ...platform, now });
    },
  );

  test("under their consent withdraws the works that are mapped to it, and no others", async () => {
    const answer = await send("revoked", { jti: theirs.jtis[1], revoked_at: "2026-01-18T12:05:00Z" });
    expect(answer.body).toMatchObject({ effect: "applied", withdrawn_content_ids: [works[1]], revoked_jtis: [] });
    expect([await bitOf(0), await bitOf(1)]).toEqual([VALID, REVOKED]);
  });

  test("under their consent revokes the consent of ours that stands on it", async () => {
    const upstream_jti = theirJti();
    expectStatus(await mapWorks(platform, upstream, [{ jti: consent.jti, upstream_jti }]), 200);
    const answer = await send("revoked", { jti: upstream_jti });
    expect(answer.body).toMatchObject({
      effect: "applied",
      revoked_jtis: [consent.jti],
      withdrawn_content_ids: [],
      datasets: [{ dataset_id: datasetId, status: "revoked" }],
    });
    const { body } = await operator.get(`/api/v1/consents/${consent.jti}`);
    expect(body.state).toBe("revoked");
    const view = await readDocument(platform, "/.well-known/consent-revocations.json");
    expect(JSON.stringify(view)).toContain(consent.jti);
    await checkPlatform({ ...platform, now });
  });

  test("as a whole dataset withdraws every work that is mapped to it", async () => {
    const answer = await send("withdrawn");
    expect(answer.body).toMatchObject({ effect: "applied", changed_count: 2 });
    expect([...answer.body.withdrawn_content_ids].sort()).toEqual([...works].sort());
    expect(await statusOf()).toMatchObject({ status: "revoked" });
    await checkPlatform({ ...platform, now });
  });

  test("is taken once: the same event is answered as it was first", async () => {
    const event = { event_id: uniqueId("evt_"), content_id: theirs.contents[0] };
    const first = await send("revoked", event);
    expect(first.body.withdrawn_content_ids).toEqual([works[0]]);
    const again = await send("revoked", event);
    expect(again.status).toBe(200);
    expect(again.body).toEqual(first.body);
    const another = await send("revoked", { content_id: theirs.contents[0] });
    expect(another.body).toMatchObject({ effect: "applied", withdrawn_content_ids: [], changed_count: 0 });
    expect(await eventsOf()).toHaveLength(2);
  });

  test("under an id that said something else before is carried out, and refused as a conflict", async () => {
    const event_id = uniqueId("evt_");
    expectStatus(await send("granted", { event_id, content_id: theirs.contents[0] }), 200);
    for (const change of ["resumed", "suspended", "suspended"]) {
      const answer = await send(change, { event_id, content_id: theirs.contents[0] });
      expect(answer).toMatchObject({ status: 409, body: { code: "conflict" } });
      expect(await bitOf(0)).toBe(change === "suspended" ? SUSPENDED : VALID);
    }
    expect(await send("revoked", { event_id, content_id: theirs.contents[1] })).toMatchObject({ status: 409 });
    expect([await bitOf(0), await bitOf(1)]).toEqual([SUSPENDED, REVOKED]);
    expect((await send("granted", { event_id, content_id: theirs.contents[0] })).status).toBe(200);
    expect((await eventsOf()).map((event: { change: string }) => event.change)).toEqual([
      "granted",
      "suspended",
      "revoked",
    ]);
  });

  test("several times at once is taken once", async () => {
    const event = { event_id: uniqueId("evt_"), content_id: theirs.contents[0] };
    const answers = await Promise.all(Array.from({ length: 6 }, () => send("revoked", event)));
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 6 }, () => 200));
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    expect(await eventsOf()).toHaveLength(1);
  });

  test("is nothing of ours when it is mapped to nothing", async () => {
    const answer = await upstream.send({ dataset_id: uniqueId("ds_"), change: "revoked", jti: theirJti() });
    expect(answer).toMatchObject({ status: 200, body: { effect: "not_mapped", changed_count: 0, datasets: [] } });
    expect([await bitOf(0), await bitOf(1)]).toEqual([VALID, VALID]);
  });

  test("is in the interaction log, and is an event", async () => {
    const { body } = await send("revoked", { content_id: theirs.contents[0] });
    const { interactions } = (await operator.get("/api/v1/interactions?limit=20")).body;
    expect(interactions).toContainEqual(
      expect.objectContaining({
        caller: { kind: "upstream", upstream_id: upstream.upstreamId },
        route: "/webhooks/consent-updated",
        dataset_id: datasetId,
        status: 200,
      }),
    );
    expect(await eventsOf()).toEqual([
      expect.objectContaining({
        ...body,
        change: "revoked",
        dataset_id: theirs.dataset,
        content_id: theirs.contents[0],
      }),
    ]);
  });
});

describe("what changes nothing here", () => {
  test.each(["granted", "published", "test", "endpoint_failing"])(
    "is %s, and it is answered all the same",
    async (change) => {
      expect(await send(change, { jti: theirs.jtis[0] })).toMatchObject({
        status: 200,
        body: { effect: "noted", changed_count: 0 },
      });
      expect([await bitOf(0), await bitOf(1)]).toEqual([VALID, VALID]);
    },
  );
});

describe("what an upstream suspends", () => {
  test("is held for it here, and stands again when it says so", async () => {
    const suspended = await send("suspended", { content_id: theirs.contents[0], sequence: 1 });
    expect(suspended.body).toMatchObject({
      effect: "applied",
      suspended_ids: [works[0]],
      datasets: [{ dataset_id: datasetId, status: "partially_revoked" }],
    });
    expect(await bitOf(0)).toBe(SUSPENDED);
    const held = await operator.post(`/api/v1/content/${works[0]}/suspend`, { reason: "ours too" });
    expect(held.body.held_by.map((entry: { holder: string }) => entry.holder).sort()).toEqual([
      "platform",
      `upstream:${upstream.upstreamId}/${theirs.dataset}/${theirs.contents[0]}`,
    ]);
    const resumed = await send("resumed", { content_id: theirs.contents[0], sequence: 2 });
    expect(resumed.body).toMatchObject({ effect: "applied", resumed_ids: [] });
    expect(await bitOf(0)).toBe(SUSPENDED);
    expectStatus(await operator.post(`/api/v1/content/${works[0]}/resume`), 200);
    expect(await bitOf(0)).toBe(VALID);
    await checkPlatform({ ...platform, now });
  });

  test("cannot be lifted by the platform", async () => {
    expectStatus(await send("suspended", { content_id: theirs.contents[0] }), 200);
    expect(await operator.post(`/api/v1/content/${works[0]}/resume`)).toMatchObject({
      status: 403,
      body: { code: "not_yours" },
    });
  });

  test("as a dataset is not lifted by lifting one work of it", async () => {
    expectStatus(await send("suspended", { sequence: 1 }), 200);
    expectStatus(await send("suspended", { content_id: theirs.contents[0], sequence: 2 }), 200);
    expectStatus(await send("resumed", { content_id: theirs.contents[0], sequence: 3 }), 200);
    expect([await bitOf(0), await bitOf(1)]).toEqual([SUSPENDED, SUSPENDED]);
    expect((await send("resumed", { sequence: 4 })).body.resumed_ids).toHaveLength(2);
    expect([await bitOf(0), await bitOf(1)]).toEqual([VALID, VALID]);
  });

  test("stays suspended when its lifting comes after a newer suspension", async () => {
    const work = { content_id: theirs.contents[0] };
    expectStatus(await send("suspended", { ...work, sequence: 3 }), 200);
    expect((await send("resumed", { ...work, sequence: 2 })).body.effect).toBe("outdated");
    expect(await bitOf(0)).toBe(SUSPENDED);
    expect((await send("resumed", { ...work, sequence: 4 })).body.effect).toBe("applied");
    expect(await bitOf(0)).toBe(VALID);
  });

  test("stands again although something newer that refuses nothing was taken before its lifting", async () => {
    expectStatus(await send("suspended", { sequence: 5 }), 200);
    expectStatus(await send("published", { sequence: 9 }), 200);
    expect((await send("resumed", { sequence: 8 })).body).toMatchObject({ effect: "applied", changed_count: 2 });
    expect([await bitOf(0), await bitOf(1)]).toEqual([VALID, VALID]);
  });

  test("is suspended also by a message that is older than what is known, because it refuses", async () => {
    const work = { content_id: theirs.contents[0] };
    expectStatus(await send("granted", { ...work, sequence: 9 }), 200);
    expect((await send("suspended", { ...work, sequence: 8 })).body.effect).toBe("applied");
    expect((await send("revoked", { ...work, sequence: 7 })).body.withdrawn_content_ids).toEqual([works[0]]);
    expect(await bitOf(0)).toBe(REVOKED);
    expect((await send("resumed", { ...work, sequence: 10 })).body).toMatchObject({ resumed_ids: [] });
    expect(await bitOf(0)).toBe(REVOKED);
  });
});
