import { EDGE_REFRESH_PATH, cacheTags } from "@licet/protocol";
import { describe, expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  giveConsent,
  offerDataset,
  publishDataset,
  registerMarketplace,
  registerWork,
} from "../../../test/fixtures/actors.ts";
import { startCloudflareSimulator } from "../../../test/fixtures/cloudflare-simulator.ts";
import { licenseDataset } from "../../../test/fixtures/licenses.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { eventOf, publishCollection, purgesOf, untilConfirmed, withdraw } from "../../../test/fixtures/purges.ts";
import { startSink } from "../../../test/fixtures/webhook-sink.ts";
import { forgetPurges } from "./forget-purges.ts";

const DAY = 86_400;
const { zone, domain, token, api, suffer, recover } = await startCloudflareSimulator();
const edge = await startSink();
edge.reply(EDGE_REFRESH_PATH, ({ body }) => ({ status: 200, body: JSON.stringify({ seq: JSON.parse(body).seq }) }));
const platform = await startPlatform({
  sessionSeconds: 1_000 * DAY,
  purges: {
    targets: [{ kind: "cloudflare", zone, domain, token, api, plan: "enterprise" }],
    edges: [new URL(edge.url(""))],
  },
});
const { operator } = platform;
const { db } = platform.server.ctx;

/** What an event purges, once every target has confirmed all of it. */
async function orderOf(aggregate: string, type: string, parts = 2) {
  const eventId = await eventOf(platform, aggregate, type);
  await untilConfirmed(platform, eventId, parts);
  const orders = await db.selectFrom("purge_order").selectAll().where("event_id", "=", eventId).execute();
  return {
    tags: orders.flatMap((order) => order.tags).toSorted(),
    urls: orders.flatMap((order) => order.urls).toSorted(),
    paths: orders.flatMap((order) => order.paths).toSorted(),
  };
}

/** Nothing is planned for an event, although its job is done. */
async function expectNoOrder(aggregate: string, type: string): Promise<void> {
  const eventId = await eventOf(platform, aggregate, type);
  const left = () => db.selectFrom("unhandled_event").selectAll().where("event_id", "=", eventId).execute();
  await expect.poll(left, { timeout: 10_000 }).toEqual([]);
  expect(await purgesOf(platform, eventId)).toEqual([]);
}

const post = async (path: string, body: object = {}) => expectStatus(await operator.post(path, body), 200).body;
const isList = expect.stringMatching(/^\/status-lists\/\d+$/);
const withTags = (...tags: readonly string[]) => [...tags, cacheTags.revocations].toSorted();

describe("what is purged", () => {
  test("for a consent: its status list, the view, its datasets, and the works that it was for", async () => {
    const creator = await enrolCreator(platform);
    const [one, other] = [
      await registerWork(platform, creator.creatorId),
      await registerWork(platform, creator.creatorId),
    ];
    const { jti } = await giveConsent(creator, { subject: `content:${one}` });
    await giveConsent(creator, { subject: `content:${other}` });
    const { dataset_id } = await publishDataset(platform, [one, other]);
    const { canonical_url } = await db
      .selectFrom("content_item")
      .select("canonical_url")
      .where("content_id", "=", one)
      .executeTakeFirstOrThrow();
    const expected = {
      tags: withTags(cacheTags.signals, cacheTags.dataset(dataset_id), cacheTags.content(one)),
      urls: [canonical_url],
      paths: [isList],
    };
    await post(`/api/v1/consents/${jti}/suspend`);
    expect(await orderOf(jti, "consent.suspended")).toEqual(expected);
    await post(`/api/v1/consents/${jti}/resume`);
    await expectNoOrder(jti, "consent.resumed");
    await post(`/api/v1/consents/${jti}/revoke`);
    expect(await orderOf(jti, "consent.revoked")).toEqual(expected);
  });

  test("for a consent that was given for one dataset: the works of it that stand on this consent", async () => {
    const creator = await enrolCreator(platform);
    const work = await registerWork(platform, creator.creatorId);
    const beside = await registerWork(platform, creator.creatorId);
    const { jti: former } = await giveConsent(creator);
    const { dataset_id } = await publishDataset(platform, [work, beside]);
    const { jti } = await giveConsent(creator, { subject: `dataset:${dataset_id}` });
    await post(`/api/v1/consents/${former}/revoke`);
    await publishDataset(platform, [work], { dataset_id });
    await post(`/api/v1/consents/${jti}/revoke`);
    expect((await orderOf(jti, "consent.revoked")).tags).toEqual(
      withTags(cacheTags.signals, cacheTags.dataset(dataset_id), cacheTags.content(work)),
    );
  });

  test("for a dataset: its documents and its bit, and nothing that holds its works", async () => {
    const { datasetId } = await publishCollection(platform, 1);
    await expectNoOrder(datasetId, "dataset.published");
    const expected = { tags: withTags(cacheTags.signals, cacheTags.dataset(datasetId)), urls: [], paths: [isList] };
    await post(`/api/v1/datasets/${datasetId}/suspend`);
    expect(await orderOf(datasetId, "dataset.suspended")).toEqual(expected);
    await post(`/api/v1/datasets/${datasetId}/resume`);
    await post(`/api/v1/datasets/${datasetId}/withdraw`);
    expect(await orderOf(datasetId, "dataset.withdrawn")).toEqual(expected);
  });

  test("for a further version: the dataset's documents, since older versions end with it", async () => {
    const { datasetId, contentIds } = await publishCollection(platform, 2);
    await publishDataset(platform, contentIds.slice(0, 1), { dataset_id: datasetId });
    expect(await orderOf(datasetId, "dataset.published", 1)).toEqual({
      tags: [cacheTags.dataset(datasetId), cacheTags.signals].toSorted(),
      urls: [],
      paths: [],
    });
  });

  test("for a license: the list that has its bit", async () => {
    const { datasetId } = await publishCollection(platform, 1);
    const marketplace = await registerMarketplace(platform);
    await offerDataset(platform, datasetId, marketplace);
    const { license_id } = await licenseDataset(platform, datasetId, marketplace);
    await post(`/api/v1/licenses/${license_id}/revoke`, { reason: "not_paid" });
    expect(await orderOf(license_id, "license.revoked")).toEqual({ tags: withTags(), urls: [], paths: [isList] });
  });

  test("for a key of the platform's: everything, since all of it is signed again", async () => {
    const { body } = expectStatus(await operator.get("/api/v1/keys"), 200);
    const { kid } = body.keys.find((key: { purpose: string; status: string }) => key.purpose === "document");
    await post(`/api/v1/keys/${kid}/revoke`);
    const { tags, paths } = await orderOf(kid, "key.revoked");
    expect(tags).toEqual([cacheTags.all]);
    expect(paths).toContain("/.well-known/keys.json");
    expect(paths).toContainEqual(isList);
  });
});

test("what no cache confirms for a day is given up, told of, and kept for ninety days with the rest", async () => {
  const collection = await publishCollection(platform, 1);
  suffer(...Array.from({ length: 100 }, () => "server-error" as const));
  const event = await withdraw(platform, collection, collection.contentIds[0] ?? "");
  const states = async () =>
    (await purgesOf(platform, event))
      .filter(({ round }) => round === 1)
      .map(({ target, state }) => `${target.slice(0, 4)} ${state}`);
  await expect.poll(async () => (await states()).toSorted()).toEqual(["clou waiting", "edge confirmed"]);
  platform.clock.advance(DAY);
  await expect
    .poll(async () => (await states()).toSorted(), { timeout: 10_000 })
    .toEqual(["clou given_up", "edge confirmed"]);
  recover();
  const { purges } = expectStatus(await operator.get("/api/v1/purges?state=given_up&limit=1"), 200).body;
  expect(purges).toMatchObject([{ event_id: event, round: 1, last_error: expect.stringContaining("500") }]);
  platform.clock.advance(90 * DAY);
  await forgetPurges(platform.server.ctx);
  expect(await purgesOf(platform, event)).toEqual([]);
  expect(await db.selectFrom("purge_order").selectAll().where("event_id", "=", event).execute()).toEqual([]);
});
