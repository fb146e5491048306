import { describe, expect, test } from "vitest";
import { insertEvents } from "../events/store.ts";
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
import { checkPlatform } from "../../../test/fixtures/check-platform.ts";
import { startFurtherServer, startPlatform } from "../../../test/fixtures/platform.ts";
import { engine } from "../../../test/fixtures/settings.ts";
import { licenseDataset } from "../../../test/fixtures/licenses.ts";
import { registerUpstream } from "../../../test/fixtures/upstreams.ts";
import { startSink } from "../../../test/fixtures/webhook-sink.ts";

const sink = await startSink();
const platform = await startPlatform({ allowedHosts: [sink.host] });
const { db } = platform.server.ctx;

interface Entry {
  readonly position: string;
  readonly event_id: string;
  readonly type: string;
  readonly aggregate: string;
  readonly body?: Record<string, unknown>;
  readonly webhook: Record<string, unknown>;
}

/** Everything after a position, page by page. */
async function readAll(caller: Caller, { after = "0", limit = 1_000 } = {}): Promise<readonly Entry[]> {
  const entries: Entry[] = [];
  for (let cursor: string | null = after; cursor !== null;) {
    const { body } = expectStatus(await caller.get(`/api/v1/events?after=${cursor}&limit=${limit}`), 200);
    entries.push(...body.events);
    cursor = body.next;
  }
  return entries;
}

async function latest(caller: Caller = platform.operator): Promise<string> {
  await expectAllSequenced();
  return expectStatus(await caller.get("/api/v1/events?after=latest"), 200).body.up_to;
}

async function expectAllSequenced(): Promise<void> {
  await expect
    .poll(async () => (await db.selectFrom("unsequenced_event").select("event_id").execute()).length, {
      timeout: 15_000,
      interval: 20,
    })
    .toBe(0);
}

/** What happened so far was told to whoever was to be told by now. */
async function expectAllHandled(): Promise<void> {
  await expect
    .poll(async () => (await db.selectFrom("unhandled_event").select("event_id").execute()).length, {
      timeout: 15_000,
      interval: 20,
    })
    .toBe(0);
}

async function marketplaceAt(path: string): Promise<RegisteredMarketplace> {
  return registerMarketplace(platform, { base_url: sink.url(`${path}/base`), webhook_url: sink.url(path) });
}

interface Published {
  readonly creator: Creator;
  readonly jti: string;
  readonly work: string;
  readonly datasetId: string;
}

async function publishOne(creator?: Creator): Promise<Published> {
  const by = creator ?? (await enrolCreator(platform));
  const work = await registerWork(platform, by.creatorId);
  const other = await registerWork(platform, by.creatorId);
  const { jti } = await giveConsent(by, { subject: `content:${work}` });
  await giveConsent(by, { subject: `content:${other}` });
  const { dataset_id } = await publishDataset(platform, [work, other]);
  return { creator: by, jti, work, datasetId: dataset_id };
}

async function suspendAndResume(datasetId: string): Promise<void> {
  expectStatus(await platform.operator.post(`/api/v1/datasets/${datasetId}/suspend`, { reason: "a private one" }), 200);
  expectStatus(await platform.operator.post(`/api/v1/datasets/${datasetId}/resume`), 200);
}

describe("the order of the feed", () => {
  test("has every event once, whatever commits at the same time, and nothing below what was read", async () => {
    const creators = await Promise.all(Array.from({ length: 4 }, () => enrolCreator(platform)));
    const after = await latest();
    const seen: Entry[] = [];
    let cursor = after;
    let isOver = false;
    const reading = (async () => {
      for (;;) {
        const wasOver = isOver;
        const page = expectStatus(await platform.operator.get(`/api/v1/events?after=${cursor}&limit=7`), 200).body;
        seen.push(...page.events);
        cursor = page.up_to;
        if (wasOver && page.events.length === 0) return;
      }
    })();
    await Promise.all(
      creators.flatMap(({ creatorId }) => Array.from({ length: 12 }, () => registerWork(platform, creatorId))),
    );
    await expectAllSequenced();
    isOver = true;
    await reading;
    const ids = (await db.selectFrom("event").select("id").execute()).map(({ id }) => id);
    const all = await readAll(platform.operator);
    expect(all.map((entry) => entry.event_id).sort()).toEqual(ids.sort());
    expect(seen).toEqual(await readAll(platform.operator, { after }));
    expect(seen.filter((entry) => entry.type === "content.registered")).toHaveLength(48);
    const positions = all.map((entry) => Number(entry.position));
    expect(positions).toEqual([...new Set(positions)].sort((left, right) => left - right));
  });

  test.skipIf(engine === "pglite")("gives an event that commits late a position above what was read", async () => {
    const { creatorId } = await enrolCreator(platform);
    // A fact that began before others and waits for its commit: its event has the lower serial.
    const { promise: mayCommit, resolve: commit } = Promise.withResolvers<void>();
    const { promise: hasBegun, resolve: began } = Promise.withResolvers<void>();
    const late = db.transaction().execute(async (trx) => {
      const { ids } = await insertEvents(trx, [{ type: "content.revised", aggregate: "late", body: {} }], 1);
      began();
      await mayCommit;
      return ids;
    });
    await hasBegun;
    const work = await registerWork(platform, creatorId);
    const after = await latest();
    expect((await readAll(platform.operator)).at(-1)?.aggregate).toBe(work);
    commit();
    const ids = await late;
    await expectAllSequenced();
    expect((await readAll(platform.operator, { after })).map((entry) => entry.event_id)).toEqual(ids);
  });

  test("has an event of more datasets than one statement carries, for each of them", async () => {
    const after = await latest();
    const dataset_ids = Array.from({ length: 5_001 }, (_each, index) => `ds_of_many_${index}`);
    await db
      .transaction()
      .execute((trx) => insertEvents(trx, [{ type: "consent.resumed", aggregate: "many", body: { dataset_ids } }], 1));
    await platform.server.ctx.sequencer.run();
    const rows = await db
      .selectFrom("event_feed")
      .selectAll()
      .where("position", ">", Number(after))
      .orderBy("position")
      .execute();
    expect(rows.map((row) => row.audience_id)).toEqual(["", ...dataset_ids]);
    expect(rows.map((row) => row.position)).toEqual(rows.map((_row, index) => Number(after) + index + 1));
  });

  test("keeps the facts about one thing in their order, and pages of one show the same as one page", async () => {
    const { jti, creator } = await publishOne();
    for (const change of ["suspend", "resume", "revoke"])
      expectStatus(await creator.caller.post(`/api/v1/consents/${jti}/${change}`), 200);
    await expectAllSequenced();
    const own = await readAll(creator.caller);
    expect(own.filter((entry) => entry.aggregate === jti).map((entry) => entry.type)).toEqual([
      "consent.drafted",
      "consent.granted",
      "consent.suspended",
      "consent.resumed",
      "consent.revoked",
    ]);
    expect(await readAll(creator.caller, { limit: 1 })).toEqual(own);
  });

  test.each(["x", "-1", "1.5", "99999999999999999"])("refuses %s as a position", async (after) => {
    const answer = expectStatus(await platform.operator.get(`/api/v1/events?after=${after}`), 422);
    expect(answer.body.code).toBe("input_invalid");
  });

  test.each(["26", "x", "-1"])("refuses to wait for %s seconds", async (wait) => {
    expectStatus(await platform.operator.get(`/api/v1/events?wait=${wait}`), 422);
  });
});

describe("a marketplace", () => {
  test("sees what happened in a dataset since its offer, as the webhook that told of it", async () => {
    const path = `/${uniqueId("hook-")}`;
    const marketplace = await marketplaceAt(path);
    const { creator, jti, datasetId } = await publishOne();
    await suspendAndResume(datasetId);
    await expectAllHandled();
    await offerDataset(platform, datasetId, marketplace);
    expectStatus(await creator.caller.post(`/api/v1/consents/${jti}/revoke`, { reason: "a private one" }), 200);
    const [sent] = await sink.waitFor(path, 1);
    await expectAllSequenced();
    const entries = await readAll(await marketplace.call());
    expect(entries.map((entry) => entry.webhook)).toEqual([JSON.parse(sent?.body ?? "")]);
    expect(JSON.stringify(entries)).not.toMatch(/private|user:/);
  });

  test("sees what none of its endpoints asked for in the same shape, under one id", async () => {
    const path = `/${uniqueId("hook-")}`;
    const marketplace = await marketplaceAt(path);
    const caller = await marketplace.call();
    expectStatus(
      await caller.send("PATCH", `/api/v1/webhook-endpoints/${marketplace.endpointId}`, {
        body: JSON.stringify({ changes: ["revoked"] }),
        headers: { "content-type": "application/json" },
      }),
      200,
    );
    const { datasetId } = await publishOne();
    await offerDataset(platform, datasetId, marketplace);
    await suspendAndResume(datasetId);
    await sink.waitFor(path, 1);
    await expectAllSequenced();
    const entries = await readAll(caller);
    expect(entries.map(({ webhook }) => webhook["change"])).toEqual(["suspended", "resumed"]);
    expect(entries[1]?.webhook).toEqual({
      dataset_id: datasetId,
      change: "resumed",
      event_id: expect.stringMatching(/^evt_/),
      dataset: expect.objectContaining({ status: "active", current_version: 1 }),
    });
    expect(await readAll(caller)).toEqual(entries);
  });

  test("sees nothing of datasets that were offered to others", async () => {
    const [mine, others] = [await marketplaceAt("/mine"), await marketplaceAt("/others")];
    const { datasetId } = await publishOne();
    await offerDataset(platform, datasetId, others);
    await suspendAndResume(datasetId);
    await expectAllSequenced();
    expect(await readAll(await mine.call())).toEqual([]);
    expect(await readAll(await others.call())).toHaveLength(2);
  });

  test("sees its own licenses, and nobody else's", async () => {
    const [mine, others] = [await marketplaceAt("/licensed"), await marketplaceAt("/unlicensed")];
    const { datasetId } = await publishOne();
    for (const marketplace of [mine, others]) await offerDataset(platform, datasetId, marketplace);
    const { license_id } = await licenseDataset(platform, datasetId, mine);
    await expectAllSequenced();
    expect(await readAll(await mine.call())).toMatchObject([
      { type: "license.issued", aggregate: license_id, body: { license_id, marketplace_id: mine.marketplaceId } },
    ]);
    expect((await readAll(await mine.call()))[0]?.body).not.toHaveProperty("by");
    expect(await readAll(await others.call())).toEqual([]);
  });

  test("is told of one fact in several datasets by a message for each", async () => {
    const marketplace = await marketplaceAt(`/${uniqueId("hook-")}`);
    const { creator, jti, work, datasetId } = await publishOne();
    const { dataset_id: second } = await publishDataset(platform, [work]);
    for (const id of [datasetId, second]) await offerDataset(platform, id, marketplace);
    expectStatus(await creator.caller.post(`/api/v1/consents/${jti}/revoke`), 200);
    await expectAllSequenced();
    const told = await readAll(await marketplace.call(), { limit: 1 });
    expect(told.map(({ webhook }) => webhook["dataset_id"]).sort()).toEqual([datasetId, second].sort());
    expect(new Set(told.map(({ webhook }) => webhook["event_id"])).size).toBe(2);
  });
});

describe("a creator", () => {
  test("sees their own consents, works and keys, and the datasets that hold their works, without others' words", async () => {
    const ana = await publishOne();
    const bea = await publishOne();
    await suspendAndResume(ana.datasetId);
    expectStatus(await bea.creator.caller.post(`/api/v1/consents/${bea.jti}/revoke`), 200);
    await expectAllSequenced();
    const entries = await readAll(ana.creator.caller);
    expect(new Set(entries.map((entry) => entry.type))).toEqual(
      new Set([
        "creator.registered",
        "creator-key.enrolled",
        "content.registered",
        "consent.drafted",
        "consent.granted",
        "dataset.published",
        "dataset.suspended",
        "dataset.resumed",
      ]),
    );
    const text = JSON.stringify(entries);
    for (const foreign of [bea.creator.creatorId, bea.jti, bea.datasetId, "a private one"])
      expect(text).not.toContain(foreign);
    expect(entries.filter((entry) => entry.type === "dataset.suspended").map((entry) => entry.body)).toEqual([
      { dataset_id: ana.datasetId, at: expect.any(Number) },
    ]);
  });
});

describe("who acts for the platform", () => {
  test("sees every event; what is the operator's own without its body", async () => {
    const { body } = expectStatus(
      await platform.operator.post("/api/v1/clients", { name: "Backend", scopes: ["events:read"] }),
      201,
    );
    const { client_id: clientId, client_secret: clientSecret } = body;
    await registerUpstream(platform);
    const backend = platform.as(await fetchAccessToken(platform, { clientId, clientSecret, scope: "events:read" }));
    await expectAllSequenced();
    const [seen, all] = [await readAll(backend), await readAll(platform.operator)];
    expect(seen.map((entry) => entry.event_id)).toEqual(all.map((entry) => entry.event_id));
    const isOwn = ({ type }: Entry) =>
      /^(client|key|session|upstream|webhook-endpoint|license|agreement)\b/.test(type) &&
      type !== "agreement.published";
    expect(all.filter((entry) => entry.body === undefined)).toEqual([]);
    expect(seen.filter(isOwn).length).toBeGreaterThan(0);
    expect(seen.some((entry) => entry.type === "upstream.registered")).toBe(true);
    expect(seen.filter((entry) => entry.body === undefined)).toEqual(seen.filter(isOwn));
  });

  test("sees an event whose body was erased, without it", async () => {
    const { creatorId } = await enrolCreator(platform);
    const work = await registerWork(platform, creatorId);
    await expectAllSequenced();
    const found = (await readAll(platform.operator)).find((entry) => entry.aggregate === work);
    expect(found?.body).toBeDefined();
    await db
      .deleteFrom("event_body")
      .where("event_id", "=", found?.event_id ?? "")
      .execute();
    const again = (await readAll(platform.operator)).find((entry) => entry.aggregate === work);
    expect(again).toEqual({ ...found, body: undefined });
  });
});

describe("whoever waits", () => {
  test("is answered as soon as something happens that is theirs", async () => {
    const [ana, bea] = [await enrolCreator(platform), await enrolCreator(platform)];
    const after = await latest();
    const waiting = ana.caller.get(`/api/v1/events?after=${after}&wait=25`);
    await registerWork(platform, bea.creatorId);
    const work = await registerWork(platform, ana.creatorId);
    const { body } = expectStatus(await waiting, 200);
    expect(body.events.map((entry: Entry) => entry.aggregate)).toEqual([work]);
    expect(Number(body.up_to)).toBeGreaterThanOrEqual(Number(body.events[0].position));
  });

  test("gets an empty page, and where to go on, when the time is over", async () => {
    const after = await latest();
    const { body } = expectStatus(await platform.operator.get(`/api/v1/events?after=${after}&wait=1`), 200);
    expect(body).toEqual({ events: [], next: null, up_to: after });
  });

  test("waits with eight requests at most", async () => {
    const { caller } = await enrolCreator(platform);
    const after = await latest();
    const stop = new AbortController();
    const token = expectStatus(await platform.operator.post("/api/v1/sessions"), 201).body.operator_token;
    const waiting = Array.from({ length: 9 }, async () => {
      const response = await fetch(`${platform.origin}/api/v1/events?after=${after}&wait=3`, {
        headers: { authorization: `Bearer ${token}` },
        signal: stop.signal,
      });
      return response.status;
    });
    const statuses = await Promise.all(waiting);
    expect(statuses.sort()).toEqual([200, 200, 200, 200, 200, 200, 200, 200, 429]);
    expectStatus(await caller.get(`/api/v1/events?after=${after}&wait=1`), 200);
  });
});

describe.skipIf(engine === "pglite")("two servers on one PostgreSQL", () => {
  test("give positions together: every event once, in one order, heard of at either", async () => {
    const second = await startFurtherServer(platform, { allowedHosts: [sink.host] });
    const creators = await Promise.all(Array.from({ length: 4 }, () => enrolCreator(platform)));
    const after = await latest();
    const waiting = second.operator.get(`/api/v1/events?after=${after}&wait=25`);
    const reachable = [platform, { ...platform, operator: second.operator, as: second.as }];
    await Promise.all(
      creators.flatMap(({ creatorId }) =>
        Array.from({ length: 16 }, (_each, index) => registerWork(reachable[index % 2] ?? platform, creatorId)),
      ),
    );
    expect(expectStatus(await waiting, 200).body.events.length).toBeGreaterThan(0);
    await expectAllSequenced();
    const entries = await readAll(second.operator, { after });
    expect(entries.filter((entry) => entry.type === "content.registered")).toHaveLength(64);
    expect(new Set(entries.map((entry) => entry.event_id)).size).toBe(entries.length);
    expect(await readAll(platform.operator, { after })).toEqual(entries);
  });
});

test("and the platform keeps its promises after all of it", async () => {
  await checkPlatform({ ...platform, now: () => Math.floor(platform.clock.nowMs() / 1_000) });
});
