import { beforeAll, describe, expect, test } from "vitest";
import {
  type Creator,
  enrolCreator,
  expectStatus,
  giveConsent,
  offerDataset,
  publishDataset,
  registerMarketplace,
  registerWork,
  uniqueId,
} from "../../../test/fixtures/actors.ts";
import type { Answer } from "../../../test/fixtures/caller.ts";
import { datasetBody, registerWorks } from "../../../test/fixtures/datasets.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";

const platform = await startPlatform();
const TRAINING_AND_COMMERCIAL = { scope: ["training", "commercial"] };

async function publish(contentIds: readonly string[], members = {}): Promise<Answer> {
  return platform.operator.post("/api/v1/datasets", datasetBody(contentIds, members));
}

/** The answer to a publication of one work that is refused for one reason. */
function refusedFor(contentId: string, code: string, detail: unknown = expect.any(String)) {
  return { status: 422, body: { code: "items_not_covered", errors: [{ at: contentId, code, detail }] } };
}

describe("a work is not covered", () => {
  test("without any consent of its creator", async () => {
    const { creatorId } = await enrolCreator(platform);
    const work = await registerWork(platform, creatorId);
    expect(await publish([work])).toMatchObject(refusedFor(work, "no_consent"));
  });

  test("by a consent about another work, by another creator's, or by one for another dataset", async () => {
    const creator = await enrolCreator(platform);
    const [work, other] = [
      await registerWork(platform, creator.creatorId),
      await registerWork(platform, creator.creatorId),
    ];
    await giveConsent(creator, { subject: `content:${other}` });
    await giveConsent(creator, { subject: "dataset:another-dataset" });
    await giveConsent(await enrolCreator(platform));
    expect(await publish([work])).toMatchObject(refusedFor(work, "no_consent"));
  });

  test("when it was registered after a consent that does not reach into the future", async () => {
    const creator = await enrolCreator(platform);
    const { jti } = await giveConsent(creator);
    platform.clock.advance(2);
    const work = await registerWork(platform, creator.creatorId);
    expect(await publish([work])).toMatchObject(
      refusedFor(work, "registered_after_consent", expect.stringContaining(jti)),
    );

    await giveConsent(creator, { future_works: true });
    platform.clock.advance(2);
    const later = await registerWork(platform, creator.creatorId);
    expect(await publish([work, later])).toMatchObject({ status: 201 });
  });

  test("when its bytes changed after the consent: that is another work", async () => {
    const creator = await enrolCreator(platform);
    const name = uniqueId("film-");
    const item = { content_id: name, canonical_url: `https://works.example/${name}` };
    await registerWork(platform, creator.creatorId, item);
    await giveConsent(creator);
    platform.clock.advance(2);
    const revised = {
      creator_id: creator.creatorId,
      ...item,
      sha256: "ab".repeat(32),
      mime_type: "text/plain",
      created_at: "2025-11-01T12:00:00Z",
    };
    expectStatus(await platform.operator.post("/api/v1/content", revised), 200);
    expect(await publish([name])).toMatchObject(refusedFor(name, "registered_after_consent"));
  });

  test.each([
    ["text", "text/plain", "training_audio"],
    ["audio", "audio/flac", "training_text"],
    ["image", "image/png", "training_video"],
    ["video", "video/mp4", "training_image"],
  ])("when it is %s and the consent grants another modality", async (modality, mime_type, granted) => {
    const creator = await enrolCreator(platform);
    const work = await registerWork(platform, creator.creatorId, { mime_type });
    await giveConsent(creator, { scope: [granted] });
    expect(await publish([work], { scope: ["training"] })).toMatchObject(
      refusedFor(work, "scope_not_granted", expect.stringContaining(`training of ${modality}`)),
    );

    await giveConsent(creator, { scope: [`training_${modality}`] });
    expect(await publish([work], { scope: ["training"] })).toMatchObject({ status: 201 });
  });

  test("when the dataset offers more than the consent grants: another use, commercial use, derivatives", async () => {
    const creator = await enrolCreator(platform);
    const work = await registerWork(platform, creator.creatorId);
    await giveConsent(creator, { scope: ["training"] });
    expect(await publish([work], { scope: ["training", "inference"] })).toMatchObject(
      refusedFor(work, "scope_not_granted", expect.stringContaining("inference")),
    );
    expect(await publish([work], TRAINING_AND_COMMERCIAL)).toMatchObject(
      refusedFor(work, "scope_not_granted", expect.stringContaining("commercial training")),
    );
    expect(await publish([work], { scope: ["training", "derivative"] })).toMatchObject(
      refusedFor(work, "scope_not_granted", expect.stringContaining("derivative")),
    );
    expect(await publish([work], { scope: ["training"] })).toMatchObject({ status: 201 });
  });

  test("when the price is below the creator's floor, or counted in something else", async () => {
    const creator = await enrolCreator(platform);
    const work = await registerWork(platform, creator.creatorId);
    await giveConsent(creator, { price_floor: "per-token:0.0002" });
    expect(await publish([work], { pricing: { model_use: "per-token:0.000199999999" } })).toMatchObject(
      refusedFor(work, "price_below_floor", expect.stringContaining("per-token:0.0002")),
    );
    expect(await publish([work], { pricing: { model_use: "per-image:5" } })).toMatchObject(
      refusedFor(work, "price_below_floor"),
    );
    expect(await publish([work], { pricing: { model_use: "per-token:0.0002" } })).toMatchObject({ status: 201 });
  });

  test("when the dataset is under another license than the consent", async () => {
    const creator = await enrolCreator(platform);
    const work = await registerWork(platform, creator.creatorId);
    await giveConsent(creator);
    expect(await publish([work], { license: "free_research:1.0" })).toMatchObject(refusedFor(work, "license_mismatch"));
  });

  test("when the dataset offers nothing for its modality", async () => {
    const creator = await enrolCreator(platform);
    const song = await registerWork(platform, creator.creatorId, { mime_type: "audio/flac" });
    await giveConsent(creator);
    expect(await publish([song], { scope: ["training_text"] })).toMatchObject(refusedFor(song, "modality_not_offered"));
  });

  test("after it was withdrawn, and neither is what descends from it", async () => {
    const creator = await enrolCreator(platform);
    const original = await registerWork(platform, creator.creatorId);
    const remix = await registerWork(platform, creator.creatorId, { lineage: [`content:${original}`] });
    await giveConsent(creator);
    expectStatus(await publish([original, remix]), 201);
    expectStatus(
      await creator.caller.post(`/api/v1/creators/${creator.creatorId}/revocations`, { content_id: original }),
      200,
    );
    expect(await publish([original])).toMatchObject(refusedFor(original, "item_withdrawn"));
    expect(await publish([remix])).toMatchObject(
      refusedFor(remix, "item_withdrawn", expect.stringContaining(original)),
    );
  });

  test("when nobody has registered it, also under an id in another case", async () => {
    const creator = await enrolCreator(platform);
    const work = await registerWork(platform, creator.creatorId, { content_id: uniqueId("Work-") });
    await giveConsent(creator);
    expect(await publish(["nobody-has-this"])).toMatchObject(refusedFor("nobody-has-this", "not_found"));
    expect(await publish([work.toLowerCase()])).toMatchObject(refusedFor(work.toLowerCase(), "not_found"));
  });

  test("by a consent that was taken back or whose time is over", async () => {
    const creator = await enrolCreator(platform);
    const work = await registerWork(platform, creator.creatorId);
    const { jti } = await giveConsent(creator);
    expectStatus(await creator.caller.post(`/api/v1/consents/${jti}/revoke`), 200);
    expect(await publish([work])).toMatchObject(refusedFor(work, "no_consent"));
    await giveConsent(creator, { duration_days: 1 });
    platform.clock.advance(86_400);
    expect(await publish([work])).toMatchObject(refusedFor(work, "no_consent"));
  });
});

describe("one consent covers a work", () => {
  test("and never a union of two", async () => {
    const creator = await enrolCreator(platform);
    const work = await registerWork(platform, creator.creatorId);
    await giveConsent(creator, { scope: ["training", "commercial"] });
    await giveConsent(creator, { scope: ["inference", "commercial"] });
    expect(await publish([work], { scope: ["training", "inference", "commercial"] })).toMatchObject(
      refusedFor(work, "scope_not_granted"),
    );
    await giveConsent(creator, { scope: ["training", "inference", "commercial"] });
    expect(await publish([work], { scope: ["training", "inference", "commercial"] })).toMatchObject({
      status: 201,
      body: { consents_count: 1 },
    });
  });

  test("and stays the one when others are given later, so that the same content stays the same version", async () => {
    const creator = await enrolCreator(platform);
    const work = await registerWork(platform, creator.creatorId);
    await giveConsent(creator);
    const dataset_id = uniqueId("ds-");
    expectStatus(await publish([work], { dataset_id }), 201);
    for (let given = 0; given < 8; given += 1) await giveConsent(creator);
    expect(await publish([work], { dataset_id })).toMatchObject({ status: 200, body: { version: 1 } });
  });
});

describe("one among a thousand", () => {
  let creator: Creator;
  let works: readonly string[];
  beforeAll(async () => {
    creator = await enrolCreator(platform);
    works = await registerWorks(platform, creator.creatorId, 1_000);
    await giveConsent(creator);
  });

  test("that is not covered is named, with its reason, and nothing is published", async () => {
    const stranger = await registerWork(platform, (await enrolCreator(platform)).creatorId);
    const dataset_id = uniqueId("ds-");
    expect(await publish([...works.slice(0, 617), stranger, ...works.slice(617)], { dataset_id })).toMatchObject(
      refusedFor(stranger, "no_consent"),
    );
    expect((await platform.operator.get(`/api/v1/datasets/${dataset_id}`)).status).toBe(404);
    expect((await platform.anonymous.get(`/.well-known/dataset-status/${dataset_id}`)).status).toBe(404);
  });

  test("that is listed twice is a conflict", async () => {
    const twice = works[3] ?? "";
    expect(await publish([...works, twice])).toMatchObject(
      refusedFor(twice, "conflict", expect.stringContaining("twice")),
    );
  });

  test("makes no trouble when all are covered", async () => {
    expect(await publish(works)).toMatchObject({
      status: 201,
      body: { items_count: 1_000, consents_count: 1, state: "active" },
    });
  });
});

describe("members that come along with a work", () => {
  test("must equal what is registered, and each that does not is named", async () => {
    const creator = await enrolCreator(platform);
    const work = await registerWork(platform, creator.creatorId, { length_ms: 1_500 });
    await giveConsent(creator);
    const { body: registered } = await platform.operator.get(`/api/v1/content/${work}`);
    expect(
      await platform.operator.post("/api/v1/datasets", datasetBody([], { content_items: [registered] })),
    ).toMatchObject({ status: 201 });
    for (const wrong of [
      { sha256: "00".repeat(32) },
      { canonical_url: "https://works.example/elsewhere" },
      { license: "free_research:1.0" },
      { length_seconds: 1 },
      { lineage: ["https://elsewhere.example/"] },
      { never_heard_of: 1 },
    ]) {
      const answer = await platform.operator.post(
        "/api/v1/datasets",
        datasetBody([], { content_items: [{ content_id: work, ...wrong }] }),
      );
      expect(answer).toMatchObject(refusedFor(work, "conflict", expect.stringContaining(Object.keys(wrong)[0] ?? "")));
    }
  });

  test("may name the public key the consent was signed with, and no other", async () => {
    const creator = await enrolCreator(platform);
    const work = await registerWork(platform, creator.creatorId);
    await giveConsent(creator);
    const { dataset_id } = await publishDataset(platform, [work]);
    const { body } = await platform.operator.get(`/api/v1/datasets/${dataset_id}/provenance`);
    const [item] = body.provenance.content_items;
    expect(item.creator_public_key).toMatch(/^-----BEGIN PUBLIC KEY-----\n/);
    expect(
      await platform.operator.post("/api/v1/datasets", datasetBody([], { dataset_id, content_items: [item] })),
    ).toMatchObject({ status: 200 });
    const forged = { ...item, creator_public_key: item.creator_public_key.replace("MCow", "MCox") };
    expect(
      await platform.operator.post("/api/v1/datasets", datasetBody([], { dataset_id, content_items: [forged] })),
    ).toMatchObject(refusedFor(work, "conflict"));
  });
});

describe("a consent that names marketplaces", () => {
  test("keeps the dataset from all others", async () => {
    const [named, other] = [await registerMarketplace(platform), await registerMarketplace(platform)];
    const creator = await enrolCreator(platform);
    const work = await registerWork(platform, creator.creatorId);
    const { jti } = await giveConsent(creator, { audience: [named.marketplaceId] });
    const { dataset_id } = await publishDataset(platform, [work]);
    const refused = await platform.operator.post(`/api/v1/datasets/${dataset_id}/offers`, {
      marketplace_id: other.marketplaceId,
    });
    expect(refused).toMatchObject({
      status: 422,
      body: { code: "items_not_covered", errors: [{ at: jti, code: "audience_excluded" }] },
    });
    expect((await platform.operator.get(`/api/v1/datasets/${dataset_id}/offers`)).body.offers).toEqual([]);
    await offerDataset(platform, dataset_id, named);
  });

  test("is no cover for the next version of a dataset that others were offered already", async () => {
    const [named, other] = [await registerMarketplace(platform), await registerMarketplace(platform)];
    const creator = await enrolCreator(platform);
    const [open, closed] = [
      await registerWork(platform, creator.creatorId),
      await registerWork(platform, creator.creatorId),
    ];
    await giveConsent(creator, { subject: `content:${open}` });
    await giveConsent(creator, { subject: `content:${closed}`, audience: [named.marketplaceId] });
    const { dataset_id } = await publishDataset(platform, [open]);
    await offerDataset(platform, dataset_id, other);
    expect(await publish([open, closed], { dataset_id })).toMatchObject(
      refusedFor(closed, "audience_excluded", expect.stringContaining(named.marketplaceId)),
    );

    await giveConsent(creator, { subject: `content:${closed}`, audience: [other.marketplaceId] });
    expect(await publish([open, closed], { dataset_id })).toMatchObject({
      status: 201,
      body: { version: 2, consents_count: 2 },
    });
  });
});
