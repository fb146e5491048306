import { sql } from "kysely";
import { expect, onTestFinished, test } from "vitest";
import { enrolCreator, expectStatus, uniqueId } from "../../../test/fixtures/actors.ts";
import { registerWorks } from "../../../test/fixtures/datasets.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { readStatusBit } from "../../../test/fixtures/status-bit.ts";
import { mapWorks, registerUpstream, theirJti } from "../../../test/fixtures/upstreams.ts";
import { selectHeldBy } from "../revocations/suspension-store.ts";

const platform = await startPlatform();
const { operator } = platform;
const VALID = 0;
const SUSPENDED = 2;
/** One more than a fact lets go. */
const MANY = 501;
const PATIENCE_MS = 180_000;

test(
  "a suspension of many works is lifted whole, in several facts that are one event",
  { timeout: PATIENCE_MS },
  async () => {
    const upstream = await registerUpstream(platform);
    const { creatorId } = await enrolCreator(platform);
    const works = await registerWorks(platform, creatorId, MANY);
    const dataset_id = uniqueId("ds_");
    const mappings = works.map((content_id) => ({
      content_id,
      upstream_dataset_id: dataset_id,
      upstream_content_id: uniqueId("content_"),
      upstream_jti: theirJti(),
    }));
    expectStatus(await mapWorks(platform, upstream, mappings), 200);
    const bitsOfSome = async () =>
      Promise.all(
        [works[0], works.at(-1)].map(async (id) =>
          readStatusBit(platform, (await operator.get(`/api/v1/content/${id}`)).body),
        ),
      );

    const suspended = expectStatus(await upstream.send({ dataset_id, change: "suspended", sequence: 1 }), 200);
    expect(suspended.body).toMatchObject({ effect: "applied", changed_count: MANY });
    expect(await bitsOfSome()).toEqual([SUSPENDED, SUSPENDED]);
    const event = { event_id: uniqueId("evt_"), dataset_id, change: "resumed", sequence: 2 };
    const resumed = expectStatus(await upstream.send(event), 200);
    expect(resumed.body).toMatchObject({ effect: "applied", changed_count: MANY });
    expect(await bitsOfSome()).toEqual([VALID, VALID]);
    expect((await upstream.send(event)).body).toEqual(resumed.body);
    expect((await operator.get(`/api/v1/upstreams/${upstream.upstreamId}/events`)).body.events).toHaveLength(2);
  },
);

test("one name of an upstream stands for ten thousand works at most", { timeout: PATIENCE_MS }, async () => {
  const upstream = await registerUpstream(platform);
  const { creatorId } = await enrolCreator(platform);
  const [content_id = ""] = await registerWorks(platform, creatorId, 1);
  const upstream_dataset_id = uniqueId("ds_");
  const thousand = () =>
    Array.from({ length: 1_000 }, () => ({
      content_id,
      upstream_dataset_id,
      upstream_content_id: uniqueId("content_"),
      upstream_jti: theirJti(),
    }));
  for (let times = 0; times < 10; times += 1) expectStatus(await mapWorks(platform, upstream, thousand()), 200);
  const answer = await mapWorks(platform, upstream, thousand().slice(0, 1));
  expect(answer).toMatchObject({ status: 409, body: { code: "conflict" } });
  expect(answer.body.detail).toContain(upstream_dataset_id);
  const elsewhere = thousand()
    .slice(0, 1)
    .map((mapping) => ({ ...mapping, upstream_dataset_id: uniqueId("ds_") }));
  expectStatus(await mapWorks(platform, upstream, elsewhere), 200);
});

test.each([true, false])(
  "what an upstream holds is found by an index, also by how names begin: %s",
  async (isPrefix) => {
    // Many others hold something: of an empty table every index is as good.
    const trx = await platform.server.ctx.db.startTransaction().execute();
    onTestFinished(() => trx.rollback().execute());
    await sql`
      insert into suspension (kind, id, holder, reason, suspended_at)
      select 'consent', 'held-' || n, 'platform', '', 0 from generate_series(1, 5000) n`.execute(trx);
    await sql`analyze suspension`.execute(trx);
    const plan = await selectHeldBy(trx, { holder: "upstream:up_1/", isPrefix, limit: 10 }).explain("text");
    expect(JSON.stringify(plan)).toMatch(/Index Cond: [^"]*holder/);
    expect(JSON.stringify(plan)).toContain("suspension_by_holder");
  },
);
