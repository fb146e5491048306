import { describe, expect, test } from "vitest";
import {
  type Creator,
  enrolCreator,
  expectStatus,
  giveConsent,
  publishDataset,
  registerWork,
  uniqueId,
} from "../../../test/fixtures/actors.ts";
import { datasetBody, readDocument, registerWorks } from "../../../test/fixtures/datasets.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";

const platform = await startPlatform();

/** A creator with works that a consent covers. */
async function preparedCreator(
  works = 1,
): Promise<{ readonly creator: Creator; readonly works: readonly string[]; readonly token: string }> {
  const creator = await enrolCreator(platform);
  const ids = await registerWorks(platform, creator.creatorId, works);
  const { token } = await giveConsent(creator);
  return { creator, works: ids, token };
}

describe("the brief's request", () => {
  test("is answered with the brief's response", async () => {
    const { works, token } = await preparedCreator(2);
    const dataset_id = uniqueId("dataset_20260118_");
    const request = {
      dataset_id,
      name: "Creator Collection - January 2026",
      provenance: {
        dataset_id,
        content_items: works.map((content_id) => ({ content_id })),
        consent_scope: ["training"],
      },
      consent_jwt: token,
      pricing: { model_use: "per-token:0.0001" },
    };
    const answer = await platform.operator.post("/api/v1/datasets", request);
    expect(answer).toMatchObject({
      status: 201,
      body: {
        dataset_id: request.dataset_id,
        status: "published",
        published_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      },
    });
    expect(answer.body).toMatchObject({
      version: 1,
      items_count: 2,
      consents_count: 1,
      manifest_url: `${platform.origin}/datasets/${request.dataset_id}/manifest.json`,
    });
  });

  test("is refused when its provenance is another dataset's", async () => {
    const { works } = await preparedCreator();
    const provenance = { dataset_id: "another-one", content_items: works.map((content_id) => ({ content_id })) };
    const request = datasetBody([], { dataset_id: uniqueId("ds-"), content_items: undefined, provenance });
    expect(await platform.operator.post("/api/v1/datasets", request)).toMatchObject({
      status: 409,
      body: { code: "conflict" },
    });
  });

  test.each([
    ["no works", { content_items: undefined }],
    ["works in two places", { provenance: { content_items: [{ content_id: "a" }] } }],
    ["an empty list of works", { content_items: [] }],
    ["a work without an id", { content_items: [{ sha256: "00".repeat(32) }] }],
    ["an id with dots", { content_items: [{ content_id: "a..b" }] }],
    ["a price of thirteen decimals", { pricing: { model_use: "per-token:0.0000000000001" } }],
    ["a negative price", { pricing: { model_use: "per-token:-1" } }],
    ["a price that is no number", { pricing: { model_use: "per-token:NaN" } }],
    ["another currency's sign", { currency: "€" }],
    ["a currency that nobody has", { currency: "ZZZ" }],
    ["a name of spaces", { name: "   " }],
    ["a name that is too long", { name: "x".repeat(257) }],
    ["a license without a version", { license: "paid_training" }],
    ["a member nobody knows", { colour: "blue" }],
    ["a status of its own", { status: "revoked" }],
  ])("is refused with %s", async (_what, members) => {
    const answer = await platform.operator.post("/api/v1/datasets", datasetBody(["some-work"], members));
    expect(answer).toMatchObject({ status: 422, body: { code: "input_invalid" } });
  });

  test.each([
    [["training", "world_domination"]],
    [["commercial"]],
    [["training", "training"]],
    [["training ", "commercial"]],
    [["commercial", "non_commercial", "training"]],
  ])("is refused with the scope %j", async (scope) => {
    const answer = await platform.operator.post("/api/v1/datasets", datasetBody(["some-work"], { scope }));
    expect(answer).toMatchObject({
      status: 400,
      body: { code: expect.stringMatching(/^scope_(unknown|contradictory)$/) },
    });
  });

  test.each(["..", "a..b", "../../etc/passwd", "a/b", ".hidden", "a b", "a\u0000b", "ä", "x".repeat(129), ""])(
    "is refused with the dataset id %j",
    async (dataset_id) => {
      const { works } = await preparedCreator();
      const answer = await platform.operator.post("/api/v1/datasets", datasetBody(works, { dataset_id }));
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(answer.status).toBeLessThan(500);
    },
  );
});

describe("many creators", () => {
  test("stand in one dataset, each with a consent of their own", async () => {
    const creators = await Promise.all(Array.from({ length: 5 }, () => preparedCreator(3)));
    const dataset = await publishDataset(
      platform,
      creators.flatMap(({ works }) => works),
    );
    expect(dataset).toMatchObject({ items_count: 15, consents_count: 5 });
    const { body } = await platform.operator.get(`/api/v1/datasets/${dataset.dataset_id}/provenance`);
    expect(body.consents.map((consent: { creator_id: string }) => consent.creator_id).toSorted()).toEqual(
      creators.map(({ creator }) => creator.creatorId).toSorted(),
    );
  });
});

describe("a version", () => {
  test("is the same for the same content, and the next for any other", async () => {
    const { creator, works } = await preparedCreator(2);
    const dataset_id = uniqueId("ds-");
    const post = (ids: readonly string[], members = {}) =>
      platform.operator.post("/api/v1/datasets", datasetBody(ids, { dataset_id, ...members }));
    const first = expectStatus(await post(works), 201).body;
    expect(await post(works)).toMatchObject({ status: 200, body: first });
    const dearer = { pricing: { model_use: "per-token:0.0002" } };
    expect(await post(works, { currency: "EUR" })).toMatchObject({ status: 422, body: { code: "currency_wrong" } });
    expect(await post(works, dearer)).toMatchObject({ status: 201, body: { version: 2 } });
    expect(await post(works, { ...dearer, name: "Another name" })).toMatchObject({
      status: 201,
      body: { version: 3, name: "Another name" },
    });
    expect(await post(works.toReversed(), { ...dearer, name: "Another name" })).toMatchObject({
      status: 201,
      body: { version: 4 },
    });
    expect(await post(works, { pricing: { model_use: "per-token:0.0002" } })).toMatchObject({
      status: 201,
      body: { version: 5 },
    });
    expect(await post(works, { scope: ["training_text"] })).toMatchObject({ status: 201, body: { version: 6 } });
    const more = await registerWork(platform, creator.creatorId);
    await giveConsent(creator, { subject: `content:${more}` });
    expect(await post([...works, more])).toMatchObject({ status: 201, body: { version: 7, items_count: 3 } });
    expect(await post(works)).toMatchObject({ status: 201, body: { version: 8, items_root: first.items_root } });
  });

  test("names the hash of the one before it, and never changes", async () => {
    const { works } = await preparedCreator(3);
    const dataset_id = uniqueId("ds-");
    const first = await publishDataset(platform, works, { dataset_id });
    const bytes = (await platform.anonymous.get(`/datasets/${dataset_id}/versions/1/manifest.json`)).text;
    const second = await publishDataset(platform, works.slice(1), { dataset_id });
    expect(await readDocument(platform, `/datasets/${dataset_id}/versions/2/manifest.json`)).toMatchObject({
      version: 2,
      previous_manifest_sha256: first.manifest_sha256,
    });
    expect(await readDocument(platform, `/datasets/${dataset_id}/versions/1/manifest.json`)).not.toHaveProperty(
      "previous_manifest_sha256",
    );
    expect((await platform.anonymous.get(`/datasets/${dataset_id}/versions/1/manifest.json`)).text).toBe(bytes);
    expect(await readDocument(platform, `/datasets/${dataset_id}/manifest.json`)).toMatchObject({
      version: 2,
      manifest_sha256: second.manifest_sha256,
    });
    expect(await readDocument(platform, `/.well-known/dataset-status/${dataset_id}`)).toMatchObject({
      status: "active",
      current_version: 2,
      min_valid_version: 1,
    });
  });

  test("is the next when a work has a new revision, and pins the old one until then", async () => {
    const { creator, works } = await preparedCreator();
    const { body: work } = await platform.operator.get(`/api/v1/content/${works[0]}`);
    const dataset_id = uniqueId("ds-");
    await publishDataset(platform, works, { dataset_id });
    const { content_id, creator_id, canonical_url, sha256, mime_type, created_at } = work;
    expectStatus(
      await platform.operator.post("/api/v1/content", {
        content_id,
        creator_id,
        canonical_url,
        sha256,
        mime_type,
        created_at,
        size_bytes: 12,
      }),
      200,
    );
    const read = async () =>
      (await platform.operator.get(`/api/v1/datasets/${dataset_id}/provenance`)).body.provenance.content_items;
    expect(await read()).toMatchObject([{ revision: 1 }]);
    expect(await publishDataset(platform, works, { dataset_id })).toMatchObject({ version: 2 });
    expect(await read()).toMatchObject([{ revision: 2, size_bytes: 12, creator_id: creator.creatorId }]);
  });

  test("is one, however many publish the same at the same time", async () => {
    const { works } = await preparedCreator(5);
    const dataset_id = uniqueId("ds-");
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => platform.operator.post("/api/v1/datasets", datasetBody(works, { dataset_id }))),
    );
    const statuses = answers.map((answer) => answer.status).toSorted();
    expect(statuses).toEqual([...Array.from({ length: 99 }, () => 200), 201]);
    expect(new Set(answers.map((answer) => JSON.stringify(answer.body))).size).toBe(1);
    expect(await readDocument(platform, `/.well-known/dataset-status/${dataset_id}`)).toMatchObject({
      current_version: 1,
      seq: 1,
    });
    expect((await platform.anonymous.get(`/datasets/${dataset_id}/versions/2/manifest.json`)).status).toBe(404);
  });

  test("gets a number of its own, however many publish something else at the same time", async () => {
    const { works } = await preparedCreator(10);
    const dataset_id = uniqueId("ds-");
    const answers = await Promise.all(
      works.map((_, index) =>
        platform.operator.post("/api/v1/datasets", datasetBody(works.slice(0, index + 1), { dataset_id })),
      ),
    );
    expect(answers.map((answer) => answer.body.version).toSorted((left, right) => left - right)).toEqual([
      1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
    ]);
    const manifests = await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        readDocument(platform, `/datasets/${dataset_id}/versions/${index + 1}/manifest.json`),
      ),
    );
    const hashes = new Map(answers.map((answer) => [answer.body.version, answer.body.manifest_sha256]));
    for (const manifest of manifests.slice(1))
      expect(manifest["previous_manifest_sha256"]).toBe(hashes.get(Number(manifest["version"]) - 1));
  });
});

describe("an id", () => {
  test("is taken in every case", async () => {
    const { works } = await preparedCreator();
    const dataset_id = uniqueId("Mixed-Case-");
    await publishDataset(platform, works, { dataset_id });
    const answer = await platform.operator.post(
      "/api/v1/datasets",
      datasetBody(works, { dataset_id: dataset_id.toUpperCase() }),
    );
    expect(answer).toMatchObject({ status: 409, body: { code: "already_exists" } });
    expect((await platform.operator.get(`/api/v1/datasets/${dataset_id.toUpperCase()}`)).status).toBe(404);
  });

  test("is ours when the caller has none", async () => {
    const { works } = await preparedCreator();
    expect((await publishDataset(platform, works)).dataset_id).toMatch(/^ds_[0-9A-HJKMNP-TV-Z]{26}$/);
  });
});

describe("a consent token that comes along", () => {
  test("must be an accepted one, to the letter", async () => {
    const { creator, works, token } = await preparedCreator();
    const [header = "", payload = "", signature = ""] = token.split(".");
    const resigned = Buffer.from(await creator.signer.sign(Buffer.from(`${header}.${payload}x`))).toString("base64url");
    const post = (members: object) => platform.operator.post("/api/v1/datasets", datasetBody(works, { ...members }));
    expect(await post({ consent_jwt: token, consent_jwts: [token] })).toMatchObject({ status: 201 });
    expect(await post({ consent_jwt: `${header}.${payload}.${resigned}` })).toMatchObject({
      status: 409,
      body: { code: "consent_unaccepted" },
    });
    expect(
      await post({
        consent_jwts: [token, `${header}.${payload}.${signature.startsWith("A") ? "B" : "A"}${signature.slice(1)}`],
      }),
    ).toMatchObject({
      body: { code: expect.stringMatching(/consent_unaccepted|jws_malformed/) },
    });
    for (const malformed of [`${token} `, `${token}=`, `${token}.`, "nonsense", ""]) {
      expect(await post({ consent_jwt: malformed })).toMatchObject({ status: 400, body: { code: "jws_malformed" } });
    }
  });

  test("is of no use before it was handed in", async () => {
    const { creator, works } = await preparedCreator();
    const { body: draft } = await creator.caller.post("/api/v1/consents/drafts", {
      subject: `creator:${creator.creatorId}`,
      scope: ["training"],
    });
    const signature = Buffer.from(await creator.signer.sign(Buffer.from(draft.signing_input))).toString("base64url");
    const answer = await platform.operator.post(
      "/api/v1/datasets",
      datasetBody(works, { consent_jwt: `${draft.signing_input}.${signature}` }),
    );
    expect(answer).toMatchObject({ body: { code: "consent_unaccepted" } });
  });
});

describe("a draft", () => {
  test("is stored, and shown to nobody outside the platform, until it is published", async () => {
    const { works } = await preparedCreator(2);
    const dataset_id = uniqueId("ds-");
    const draft = { dataset_id, status: "draft" };
    expect(await platform.operator.post("/api/v1/datasets", datasetBody(["not-registered-yet"], draft))).toMatchObject({
      status: 201,
      body: { dataset_id, status: "draft", version: 0 },
    });
    expect(
      await platform.operator.post("/api/v1/datasets", datasetBody(works, { ...draft, name: "A better name" })),
    ).toMatchObject({ status: 201, body: { name: "A better name" } });
    expect(await platform.operator.get(`/api/v1/datasets/${dataset_id}`)).toMatchObject({
      status: 200,
      body: { status: "draft", state: "draft", name: "A better name" },
    });
    for (const path of [
      `/.well-known/dataset-status/${dataset_id}`,
      `/datasets/${dataset_id}/manifest.json`,
      `/datasets/${dataset_id}/versions/0/manifest.json`,
    ]) {
      expect((await platform.anonymous.get(path)).status).toBe(404);
    }
    expect(await platform.operator.get(`/api/v1/datasets/${dataset_id}/provenance`)).toMatchObject({
      status: 409,
      body: { code: "dataset_not_published" },
    });
    expect(await publishDataset(platform, works, { dataset_id })).toMatchObject({
      status: "published",
      version: 1,
      state: "active",
    });
  });

  test("of a published dataset leaves what is published as it is", async () => {
    const { works } = await preparedCreator(2);
    const published = await publishDataset(platform, works);
    const { dataset_id } = published;
    const before = (await platform.anonymous.get(`/datasets/${dataset_id}/manifest.json`)).text;
    expectStatus(
      await platform.operator.post(
        "/api/v1/datasets",
        datasetBody(works.slice(1), { dataset_id, name: "Next year", status: "draft" }),
      ),
      201,
    );
    expect((await platform.operator.get(`/api/v1/datasets/${dataset_id}`)).body).toEqual({
      ...published,
      has_draft: true,
    });
    expect((await platform.anonymous.get(`/datasets/${dataset_id}/manifest.json`)).text).toBe(before);
  });
});
