import { STATUS } from "@licet/protocol";
import { expect, test } from "vitest";
import { enrolCreator, expectStatus, registerWork, uniqueId } from "../../../test/fixtures/actors.ts";
import { createSites, journalOf } from "../../../test/fixtures/backups.ts";
import { checkPlatform } from "../../../test/fixtures/check-platform.ts";
import { readStatusBit } from "../../../test/fixtures/status-bit.ts";
import { mapWorks, registerUpstream, sendEvent, theirJti } from "../../../test/fixtures/upstreams.ts";

const sites = createSites();

test("a restore keeps what upstreams took back, hold and were since a backup, and each lifts its own", async () => {
  const site = await sites.open(await sites.createDatabase());
  const creator = await enrolCreator(site.platform);
  const upstream = await registerUpstream(site.platform);
  const ended = await registerUpstream(site.platform);
  const dataset_id = uniqueId("ds_");
  const names = ["first", "second"];
  const works: string[] = [];
  for (const name of names) {
    const content_id = await registerWork(site.platform, creator.creatorId);
    const mapping = { upstream_dataset_id: dataset_id, upstream_content_id: name, upstream_jti: theirJti() };
    expectStatus(await mapWorks(site.platform, upstream, [{ content_id, ...mapping }]), 200);
    works.push(content_id);
  }
  const path = await site.backUp();
  expectStatus(await upstream.send({ dataset_id, change: "withdrawn", content_id: "first" }), 200);
  expectStatus(await upstream.send({ dataset_id, change: "suspended", content_id: "second", sequence: 1 }), 200);
  expectStatus(await site.platform.operator.post(`/api/v1/upstreams/${ended.upstreamId}/end`), 200);
  await site.stop();

  const database = await sites.createDatabase();
  const report = await sites.restore(site, { path, journals: [journalOf(site.database)], database });
  expect(report.replayed).toMatchObject({ "content.withdrawn": 1, "content.suspended": 1, "upstream.ended": 1 });
  const back = await sites.open(database, { ...site, origin: site.platform.origin });
  const { platform } = back;
  const bits = async () =>
    Promise.all(
      works.map(async (id) => readStatusBit(platform, (await platform.operator.get(`/api/v1/content/${id}`)).body)),
    );
  expect(await bits()).toEqual([STATUS.revoked, STATUS.suspended]);
  expect(await platform.operator.post(`/api/v1/content/${works[1]}/resume`)).toMatchObject({
    status: 403,
    body: { code: "not_yours" },
  });

  const message = { dataset_id, change: "resumed", content_id: "second", sequence: 2 };
  const from = ({ endpointId, secret }: typeof upstream) =>
    sendEvent(platform, { endpoint_id: endpointId, ...message }, { secret });
  expect(await from(ended)).toMatchObject({ status: 410, body: { code: "upstream_ended" } });
  expect(await from(upstream)).toMatchObject({ status: 200, body: { effect: "applied", resumed_ids: [works[1]] } });
  expect(await bits()).toEqual([STATUS.revoked, STATUS.valid]);
  await checkPlatform({ hasCrashed: true, ...platform, now: () => Math.floor(back.clock.nowMs() / 1_000) });
});

test("a restore keeps what was mapped for upstreams, what they refused, and no secret that was replaced", async () => {
  const site = await sites.open(await sites.createDatabase());
  const { operator } = site.platform;
  const creator = await enrolCreator(site.platform);
  const [upstream, rotated] = [await registerUpstream(site.platform), await registerUpstream(site.platform)];
  const dataset_id = uniqueId("ds_");
  const mappingOf = (content_id: string, name: string) => ({
    content_id,
    upstream_dataset_id: dataset_id,
    upstream_content_id: name,
    upstream_jti: theirJti(),
  });
  const [kept, unmapped, refused] = [
    mappingOf(await registerWork(site.platform, creator.creatorId), "kept"),
    mappingOf(await registerWork(site.platform, creator.creatorId), "unmapped"),
    mappingOf(await registerWork(site.platform, creator.creatorId), "refused"),
  ];
  const path = await site.backUp();
  const lost = mappingOf(await registerWork(site.platform, creator.creatorId), "lost");
  const unknown = await registerUpstream(site.platform);
  expectStatus(await mapWorks(site.platform, upstream, [kept, unmapped, lost]), 200);
  const works = { works: [unmapped] };
  expectStatus(await operator.post(`/api/v1/upstreams/${upstream.upstreamId}/works/removals`, works), 200);
  const refusal = { event_id: uniqueId("evt_"), dataset_id, change: "withdrawn", content_id: "refused" };
  expect((await upstream.send(refusal)).body.effect).toBe("not_mapped");
  expectStatus(await operator.post(`/api/v1/upstreams/${rotated.upstreamId}/secret-rotations`, {}), 201);
  await site.stop();

  const database = await sites.createDatabase();
  const report = await sites.restore(site, { path, journals: [journalOf(site.database)], database });
  expect(report.lost_credentials.named).toEqual([rotated.upstreamId]);
  expect([...report.lost_upstream_mappings.named].sort()).toEqual(
    [unknown.upstreamId, `${upstream.upstreamId} ${lost.content_id}`].sort(),
  );
  const { platform } = await sites.open(database, { ...site, origin: site.platform.origin });
  const mine = await platform.operator.get(`/api/v1/upstreams/${upstream.upstreamId}/works`);
  expect(mine.body.works).toMatchObject([kept]);
  const again = await mapWorks(platform, upstream, [refused]);
  expect(again.body.errors).toMatchObject([{ code: "item_withdrawn" }]);
  const message = { endpoint_id: rotated.endpointId, dataset_id, change: "revoked" };
  expect(await sendEvent(platform, message, { secret: rotated.secret })).toMatchObject({
    status: 401,
    body: { code: "webhook_signature_invalid" },
  });
  const withdrawal = { endpoint_id: upstream.endpointId, dataset_id, change: "withdrawn", content_id: "kept" };
  expect((await sendEvent(platform, withdrawal, { secret: upstream.secret })).body).toMatchObject({
    effect: "applied",
    withdrawn_content_ids: [kept.content_id],
  });
});
