import { describe, expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  giveConsent,
  offerDataset,
  publishDataset,
  registerMarketplace,
  uniqueId,
} from "../../../test/fixtures/actors.ts";
import { checkPlatform } from "../../../test/fixtures/check-platform.ts";
import { datasetBody, readDocument, readLines, registerWorks } from "../../../test/fixtures/datasets.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";

const AFTER_SECONDS = 3_600;
const platform = await startPlatform({ compactionSeconds: AFTER_SECONDS });
const { operator, anonymous } = platform;
const now = () => Math.floor(platform.clock.nowMs() / 1_000);
const statusOf = (id: string) => readDocument(platform, `/.well-known/dataset-status/${id}`);
const compact = (id: string) => operator.post(`/api/v1/datasets/${id}/compact`);

async function prepare(count = 4) {
  const creator = await enrolCreator(platform);
  const works = await registerWorks(platform, creator.creatorId, count);
  const consents: Awaited<ReturnType<typeof giveConsent>>[] = [];
  for (const work of works) consents.push(await giveConsent(creator, { subject: `content:${work}` }));
  const { dataset_id } = await publishDataset(platform, works);
  const revoke = async (index: number) =>
    expectStatus(await creator.caller.post(`/api/v1/consents/${consents[index]?.jti}/revoke`), 200);
  return { creator, works, jtis: consents.map((consent) => consent.jti), dataset_id, revoke };
}

describe("a version that is published by hand", () => {
  const publish = async (works: readonly string[], dataset_id: string, members: object = {}) =>
    expectStatus(await operator.post("/api/v1/datasets", { ...datasetBody(works, { dataset_id }), ...members }), 201)
      .body;

  test("without what is gone for good, and with all the rest, ends the validity of the one before", async () => {
    const { works, dataset_id, revoke, creator } = await prepare();
    await revoke(1);
    const [added = ""] = await registerWorks(platform, creator.creatorId, 1);
    await giveConsent(creator, { subject: `content:${added}` });
    const rest = works.filter((_work, index) => index !== 1);
    const published = await publish([added, ...rest.toReversed()], dataset_id);
    expect(published).toMatchObject({ version: 2, min_valid_version: 2, state: "active" });
    expect(await statusOf(dataset_id)).toMatchObject({ min_valid_version: 2, revoked_jtis: [] });
    await checkPlatform({ ...platform, now });
  });

  test("as another selection, on other terms, or while nothing is gone, leaves the one before valid", async () => {
    const selected = await prepare();
    await selected.revoke(1);
    expect(await publish([selected.works[0] ?? ""], selected.dataset_id)).toMatchObject({ min_valid_version: 1 });
    const suspended = await prepare();
    await suspended.revoke(1);
    expectStatus(await operator.post(`/api/v1/content/${suspended.works[3]}/suspend`), 200);
    expect(
      await publish(
        [0, 2].map((index) => suspended.works[index] ?? ""),
        suspended.dataset_id,
      ),
    ).toMatchObject({
      min_valid_version: 1,
    });
    const whole = await prepare();
    expect(await publish(whole.works.slice(1), whole.dataset_id)).toMatchObject({ version: 2, min_valid_version: 1 });
    const renamed = await prepare();
    await renamed.revoke(1);
    const rest = renamed.works.filter((_work, index) => index !== 1);
    expect(await publish(rest, renamed.dataset_id, { pricing: { model_use: "per-token:0.0002" } })).toMatchObject({
      min_valid_version: 1,
    });
    await checkPlatform({ ...platform, now });
  });

  test("does not end an older version that still has what it lacks, and neither does a compaction", async () => {
    const byHand = await prepare();
    await publish(byHand.works.slice(0, 2), byHand.dataset_id);
    await byHand.revoke(1);
    expect(await publish(byHand.works.slice(0, 1), byHand.dataset_id)).toMatchObject({
      version: 3,
      min_valid_version: 1,
    });
    const compacted = await prepare();
    await publish(compacted.works.slice(0, 2), compacted.dataset_id);
    await compacted.revoke(1);
    expect(await compact(compacted.dataset_id)).toMatchObject({
      status: 201,
      body: { version: 3, min_valid_version: 1, items_count: 1 },
    });
    expect(await statusOf(compacted.dataset_id)).toMatchObject({ status: "active", revoked_jtis: [compacted.jtis[1]] });
    await checkPlatform({ ...platform, now });
  });

  test("does not end a version that pins another revision of a work", async () => {
    const { creator, dataset_id, works, revoke } = await prepare(2);
    const { body: held } = expectStatus(await operator.get(`/api/v1/content/${works[0]}`), 200);
    const { canonical_url, mime_type, created_at } = held;
    const changed = await operator.post("/api/v1/content", {
      creator_id: creator.creatorId,
      canonical_url,
      mime_type,
      created_at,
      sha256: "b".repeat(64),
    });
    expect(changed.body).toMatchObject({ content_id: works[0], revision: 2 });
    await giveConsent(creator, { subject: `content:${works[0]}` });
    await revoke(1);
    expect(await publish(works.slice(0, 1), dataset_id)).toMatchObject({ version: 2, min_valid_version: 1 });
  });

  test("ends what it replaces, up to the first version that must stay", async () => {
    const { works, dataset_id, revoke } = await prepare();
    await publish(works.slice(0, 3), dataset_id);
    await revoke(0);
    await revoke(3);
    expectStatus(await compact(dataset_id), 201);
    expect(await statusOf(dataset_id)).toMatchObject({ current_version: 3, min_valid_version: 3 });
    await publish(works.slice(1, 3), dataset_id, { pricing: { model_use: "per-token:0.0002" } });
    await revoke(1);
    expect(await compact(dataset_id)).toMatchObject({ status: 201, body: { version: 5, min_valid_version: 3 } });
    await checkPlatform({ ...platform, now });
  });
});

describe("compaction on demand", () => {
  test("publishes the next version without what is gone, and ends the validity of the one before", async () => {
    const { works, jtis, dataset_id, revoke } = await prepare();
    const marketplace = await registerMarketplace(platform);
    await offerDataset(platform, dataset_id, marketplace);
    const first = (await anonymous.get(`/datasets/${dataset_id}/versions/1/manifest.json`)).text;
    expectStatus(await operator.post(`/api/v1/content/${works[3]}/suspend`), 200);
    await revoke(1);
    expect(await compact(dataset_id)).toMatchObject({
      status: 201,
      body: { version: 2, min_valid_version: 2, items_count: 3, consents_count: 3, state: "partially_revoked" },
    });
    expect(await statusOf(dataset_id)).toMatchObject({
      status: "partially_revoked",
      current_version: 2,
      min_valid_version: 2,
      revoked_jtis: [],
      withdrawn_items_count: 1,
    });
    const { lines } = await readLines(operator, `/datasets/${dataset_id}/versions/2/items`);
    expect(lines.map((line) => line["jti"] ?? "suspended")).toEqual([jtis[0], jtis[2], "suspended"]);
    expectStatus(await operator.post(`/api/v1/content/${works[3]}/resume`), 200);
    expect(await statusOf(dataset_id)).toMatchObject({ status: "active" });
    expect((await anonymous.get(`/datasets/${dataset_id}/versions/1/manifest.json`)).text).toBe(first);
    await expect
      .poll(
        async () =>
          (await operator.get(`/api/v1/webhook-deliveries?dataset_id=${dataset_id}`)).body.deliveries.map(
            (delivery: { change: string }) => delivery.change,
          ),
        { timeout: 30_000 },
      )
      .toEqual(["suspended", "revoked", "published", "resumed"]);
    await checkPlatform({ ...platform, now });
  });

  test("of a dataset of which nothing is gone changes nothing; asked for the rest, the version is the same", async () => {
    const { works, dataset_id, revoke } = await prepare(2);
    expect(await compact(dataset_id)).toMatchObject({ status: 200, body: { version: 1 } });
    await revoke(0);
    expectStatus(await compact(dataset_id), 201);
    const rest = datasetBody(works.slice(1), { dataset_id });
    expect(await operator.post("/api/v1/datasets", rest)).toMatchObject({ status: 200, body: { version: 2 } });
  });

  test("of a dataset of which nothing is left publishes nothing", async () => {
    const { dataset_id, revoke } = await prepare(1);
    await revoke(0);
    expect(await compact(dataset_id)).toMatchObject({ status: 409, body: { code: "conflict" } });
    expect(await statusOf(dataset_id)).toMatchObject({ status: "revoked", current_version: 1, min_valid_version: 1 });
    expect(await compact("nothing-by-this-name")).toMatchObject({ status: 404 });
  });

  test("while everything is taken back leaves no version that says active", { timeout: 60_000 }, async () => {
    for (let round = 0; round < 4; round += 1) {
      const { creator, dataset_id, revoke } = await prepare(3);
      await revoke(0);
      const [compacted, revoked] = await Promise.all([
        compact(dataset_id),
        creator.caller.post(`/api/v1/creators/${creator.creatorId}/revocations`, { all: true }),
      ]);
      expect(revoked.status).toBe(200);
      expect([201, 409]).toContain(compacted.status);
      expect(await statusOf(dataset_id)).toMatchObject({ status: "revoked" });
    }
    await checkPlatform({ ...platform, now });
  });
});

test("compaction comes by itself when its time has come", { timeout: 60_000 }, async () => {
  const { dataset_id, revoke } = await prepare(2);
  const before = now();
  await revoke(0);
  const { body } = await operator.get(`/api/v1/datasets/${dataset_id}`);
  const fallenAt = Date.parse(body.compaction_due_at) / 1_000 - AFTER_SECONDS;
  expect(fallenAt).toBeGreaterThanOrEqual(before);
  expect(fallenAt).toBeLessThanOrEqual(now());
  platform.clock.advance(AFTER_SECONDS + 1);
  await expect
    .poll(async () => (await operator.get(`/api/v1/datasets/${dataset_id}`)).body, { timeout: 50_000 })
    .toMatchObject({ version: 2, min_valid_version: 2, state: "active", items_count: 1 });
});

test("a token that only an older valid version stands on is named until compaction", async () => {
  const { works, jtis, dataset_id, revoke } = await prepare(3);
  expectStatus(await operator.post("/api/v1/datasets", datasetBody(works.slice(1), { dataset_id })), 201);
  await revoke(0);
  expect(await statusOf(dataset_id)).toMatchObject({ status: "active", revoked_jtis: [jtis[0]], revoked_count: 1 });
  expect(await readDocument(platform, `/datasets/${dataset_id}/manifest.json`)).toMatchObject({ withdrawn: [] });
  await revoke(1);
  expectStatus(await compact(dataset_id), 201);
  expect(await statusOf(dataset_id)).toMatchObject({ min_valid_version: 3, revoked_jtis: [], revoked_count: 0 });
});

describe("a draft", () => {
  const put = (id: string, body: object) =>
    operator.send("PUT", `/api/v1/datasets/${id}/draft`, {
      body: JSON.stringify(body),
      headers: { "content-type": "application/json" },
    });

  test("is stored, replaced, shown and published", async () => {
    const { works } = await prepare(2);
    const id = uniqueId("ds-");
    expect(await put(id, datasetBody(works))).toMatchObject({
      status: 201,
      body: { status: "draft", has_draft: true },
    });
    expect((await put(id, datasetBody(works.slice(1), { name: "Second thoughts" }))).status).toBe(200);
    expect((await operator.get(`/api/v1/datasets/${id}/draft`)).body).toMatchObject({ name: "Second thoughts" });
    expect(await operator.post(`/api/v1/datasets/${id}/publish`)).toMatchObject({
      status: 201,
      body: { dataset_id: id, name: "Second thoughts", version: 1, items_count: 1, has_draft: false },
    });
    expect((await operator.post(`/api/v1/datasets/${id}/publish`)).status).toBe(404);
  });

  test("that is not covered stays a draft, and can be deleted with the dataset that never was", async () => {
    const stranger = await enrolCreator(platform);
    const works = await registerWorks(platform, stranger.creatorId, 1);
    const id = uniqueId("ds-");
    expectStatus(await put(id, datasetBody(works)), 201);
    expect(await operator.post(`/api/v1/datasets/${id}/publish`)).toMatchObject({
      body: { code: "items_not_covered" },
    });
    expect((await operator.send("DELETE", `/api/v1/datasets/${id}/draft`)).status).toBe(204);
    expect((await operator.get(`/api/v1/datasets/${id}`)).status).toBe(404);
    expect((await operator.send("DELETE", `/api/v1/datasets/${id}/draft`)).status).toBe(404);
  });
});

test("a version of more works than are written at once is all there, or not at all", { timeout: 120_000 }, async () => {
  const creator = await enrolCreator(platform);
  const works = await registerWorks(platform, creator.creatorId, 510);
  const { jti } = await giveConsent(creator);
  const id = uniqueId("ds-");
  const [published, revoked] = await Promise.all([
    operator.post("/api/v1/datasets", datasetBody(works, { dataset_id: id })),
    new Promise((resolve) => setTimeout(resolve, 100)).then(() =>
      creator.caller.post(`/api/v1/consents/${jti}/revoke`),
    ),
  ]);
  expect(revoked.status).toBe(200);
  expect([201, 422]).toContain(published.status);
  const after = await operator.get(`/api/v1/datasets/${id}`);
  if (published.status === 201) expect(after.body).toMatchObject({ state: "revoked", items_count: 510 });
  else expect(after.status).toBe(404);
  await giveConsent(creator);
  const again = await operator.post("/api/v1/datasets", datasetBody(works, { dataset_id: id }));
  expect(again).toMatchObject({ status: 201, body: { items_count: 510, state: "active" } });
  const builds = platform.server.ctx.db.selectFrom("dataset_build").selectAll();
  expect(await builds.where("dataset_id", "=", id).execute()).toEqual([]);
  const { lines } = await readLines(operator, `/datasets/${id}/versions/${again.body.version}/items`);
  expect(lines.filter((line) => line["withdrawn"] !== true)).toHaveLength(510);
  await checkPlatform({ ...platform, now });
});
