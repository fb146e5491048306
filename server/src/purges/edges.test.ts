import { EDGE_REFRESH_PATH, verifyEdgeRefresh } from "@licet/protocol";
import { describe, expect, test } from "vitest";
import { expectStatus } from "../../../test/fixtures/actors.ts";
import { readKeys } from "../../../test/fixtures/datasets.ts";
import { freePort, startPlatform } from "../../../test/fixtures/platform.ts";
import { eventOf, publishCollection, purgesOf, withdraw } from "../../../test/fixtures/purges.ts";
import { type ReceivedRequest, type Reply, startSink } from "../../../test/fixtures/webhook-sink.ts";
import { type PropagationLeg, readLegs } from "./lookup.ts";

const [good, hanging] = [await startSink(), await startSink()];
const dead = `http://127.0.0.1:${await freePort()}`;
const edges = [good.url(""), dead, hanging.url("")].map((url) => new URL(url));
const platform = await startPlatform({ purges: { targets: [], edges } });
const target = `edge:${edges[0]?.origin}`;

/** What an edge answers that has fetched everything. */
function followed({ body }: ReceivedRequest): Reply {
  const { seq, documents } = JSON.parse(body);
  return { status: 200, body: JSON.stringify({ seq, refreshed: documents.length, known: false }) };
}

good.reply(EDGE_REFRESH_PATH, followed);
hanging.reply(EDGE_REFRESH_PATH, () => "hang");

async function takeBack() {
  const collection = await publishCollection(platform, 1);
  const contentId = collection.contentIds[0] ?? "";
  return { event: await withdraw(platform, collection, contentId), contentId };
}

/** The `seq` that a status list has as it is served. */
async function seqOf(list: number): Promise<number> {
  const { text } = expectStatus(await platform.anonymous.get(`/status-lists/${list}`), 200);
  return JSON.parse(Buffer.from(text.split(".")[1] ?? "", "base64url").toString("utf8")).seq;
}

async function until(event: string, expected: object, of = target): Promise<void> {
  await expect
    .poll(async () => (await purgesOf(platform, event)).find((purge) => purge.target === of), {
      timeout: 20_000,
      interval: 20,
    })
    .toMatchObject(expected);
}

describe("a withdrawal at Node edges", () => {
  test("is a signed refresh to each, which a dead and a hanging one do not delay", async () => {
    const { event, contentId } = await takeBack();
    await until(event, { state: "confirmed", attempts: 1 });
    const states = (await purgesOf(platform, event))
      .filter((purge) => purge.round === 1)
      .map((purge) => [purge.target, purge.state]);
    expect(Object.fromEntries(states)).toEqual({
      [target]: "confirmed",
      [`edge:${dead}`]: "waiting",
      [`edge:${edges[2]?.origin}`]: "waiting",
    });
    const [request] = good.received(EDGE_REFRESH_PATH).slice(-1);
    const keys = await readKeys(platform);
    const now = Math.floor(platform.clock.nowMs() / 1_000);
    const refresh = await verifyEdgeRefresh(request?.body ?? "", { keys, now });
    const { status_list } = await platform.server.ctx.db
      .selectFrom("content_item")
      .select("status_list")
      .where("content_id", "=", contentId)
      .executeTakeFirstOrThrow();
    expect(refresh).toMatchObject({
      ok: true,
      value: {
        iss: platform.origin,
        documents: [{ path: `/status-lists/${status_list}`, seq: await seqOf(status_list) }],
      },
    });
    expect(await seqOf(status_list)).toBeGreaterThan(1);
  });

  test("is told to the timeline, edge by edge, with what the dead one says", async () => {
    const { event } = await takeBack();
    await until(event, { state: "confirmed" });
    await until(event, { last_error: expect.stringContaining("did not answer") }, `edge:${dead}`);
    const legs: readonly PropagationLeg[] =
      (await readLegs(platform.server.ctx.db, [event], [target, `edge:${dead}`])).get(event) ?? [];
    const [purge] = (await purgesOf(platform, event)).filter((row) => row.target === target);
    expect(legs.find((leg) => leg.target === target)).toEqual({
      event_id: event,
      leg: "edge",
      target,
      state: "done",
      at_ms: purge?.confirmed_at_ms,
      attempts: 1,
    });
    expect(legs.find((leg) => leg.target === `edge:${dead}`)).toMatchObject({
      state: "waiting",
      at_ms: null,
      last_error: expect.stringContaining("did not answer"),
    });
  });

  test("is sent again, with a higher number, to an edge that could not follow", async () => {
    good.reply(EDGE_REFRESH_PATH, () => ({
      status: 503,
      body: JSON.stringify({ code: "unavailable", detail: "the origin does not answer" }),
      headers: { "retry-after": "2" },
    }));
    const { event } = await takeBack();
    await until(event, { last_error: "503: unavailable, the origin does not answer" });
    good.reply(EDGE_REFRESH_PATH, followed);
    platform.clock.advance(2);
    await until(event, { state: "confirmed", attempts: 2, last_error: null });
    const seqs = good.received(EDGE_REFRESH_PATH).map(({ body }) => JSON.parse(body).seq);
    expect(seqs).toEqual([...new Set(seqs)].toSorted((left, right) => left - right));
  });

  test.each<[string, Reply]>([
    ["garbage", "garbage"],
    ["another answer", { status: 200, body: "<html>welcome</html>" }],
    ["another number", { status: 200, body: '{"seq":1,"refreshed":1,"known":false}' }],
    ["an endless answer", "talk-without-end"],
  ])("is not confirmed by %s", async (_what, reply) => {
    good.reply(EDGE_REFRESH_PATH, () => reply);
    const { event } = await takeBack();
    await until(event, { state: "waiting", last_error: expect.any(String) });
    good.reply(EDGE_REFRESH_PATH, followed);
    good.letGo();
    platform.clock.advance(5);
    await until(event, { state: "confirmed" });
  });

  test("is sent again at once, whatever Retry-After says, to an edge that found the old document", async () => {
    good.reply(EDGE_REFRESH_PATH, ({ body }) => ({
      status: 503,
      headers: { "retry-after": "300" },
      body: JSON.stringify({
        code: "unavailable",
        detail: "1 of 1 documents cannot be had",
        errors: JSON.parse(body).documents.map(({ path }: { path: string }) => ({ at: path })),
      }),
    }));
    const { event } = await takeBack();
    await until(event, { last_error: "503: unavailable, 1 of 1 documents cannot be had" });
    good.reply(EDGE_REFRESH_PATH, followed);
    await until(event, { state: "confirmed", last_error: null });
  });

  test("is sent once more five seconds later, for a fetch that was in flight, and of what changes no documents nothing is", async () => {
    const { event } = await takeBack();
    await until(event, { state: "confirmed" });
    const sent = good.received(EDGE_REFRESH_PATH).length;
    platform.clock.advance(5);
    const states = async () =>
      (await purgesOf(platform, event))
        .filter((purge) => purge.target === target)
        .map(({ round, state }) => [round, state]);
    await expect.poll(states, { timeout: 20_000 }).toEqual([
      [1, "confirmed"],
      [2, "confirmed"],
    ]);
    expect(good.received(EDGE_REFRESH_PATH).length).toBeGreaterThan(sent);
    const collection = await publishCollection(platform, 1);
    const published = await eventOf(platform, collection.datasetId, "dataset.published");
    expect(await purgesOf(platform, published)).toEqual([]);
  });
});

test("a page of purges leads to the next one, and a cursor of nobody's is refused", async () => {
  const all = expectStatus(await platform.operator.get("/api/v1/purges?limit=1000"), 200).body.purges;
  const seen: unknown[] = [];
  for (let next: string | null = ""; next !== null;) {
    const after = next === "" ? "" : `&after=${next}`;
    const { body } = expectStatus(await platform.operator.get(`/api/v1/purges?limit=7${after}`), 200);
    seen.push(...body.purges.map((purge: { event_id: string; target: string }) => [purge.event_id, purge.target]));
    next = body.next;
  }
  expect(seen).toEqual(all.map((purge: { event_id: string; target: string }) => [purge.event_id, purge.target]));
  expect(await platform.operator.get("/api/v1/purges?after=abc")).toMatchObject({
    status: 422,
    body: { code: "input_invalid" },
  });
  const { body } = expectStatus(await platform.operator.get(`/api/v1/purges?target=${target}&state=confirmed`), 200);
  expect(new Set(body.purges.map((purge: { target: string }) => purge.target))).toEqual(new Set([target]));
});
