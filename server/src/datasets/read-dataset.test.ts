import {
  type JsonObject,
  consentLeafHash,
  documentSha256,
  itemLeafHash,
  merkleRoot,
  readConsentLine,
  readContentItem,
  readCreatorKey,
  readItemLine,
  readManifest,
  verifyCreatorKey,
  verifyDocument,
} from "@licet/protocol";
import { createClient, verifyDataset } from "../../../test/fixtures/sdk.ts";
import { beforeAll, describe, expect, test } from "vitest";
import {
  type Creator,
  enrolCreator,
  expectStatus,
  fetchAccessToken,
  giveConsent,
  offerDataset,
  publishDataset,
  type RegisteredMarketplace,
  registerMarketplace,
  registerWork,
  uniqueId,
} from "../../../test/fixtures/actors.ts";
import type { Caller } from "../../../test/fixtures/caller.ts";
import {
  datasetBody,
  parseObject,
  readDocument,
  readKeys,
  readLines,
  registerWorks,
} from "../../../test/fixtures/datasets.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { rawRequest } from "../../../test/fixtures/raw-request.ts";

const platform = await startPlatform();

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const bytesOf = (text: unknown): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(String(text), "hex"));
const now = (): number => Math.floor(platform.clock.nowMs() / 1_000);

interface Prepared {
  readonly creators: readonly Creator[];
  readonly works: readonly string[];
  readonly datasetId: string;
  readonly marketplace: RegisteredMarketplace;
  readonly caller: Caller;
}

/** Three creators, one of them with a work-by-work consent, offered to one marketplace. */
async function prepare(): Promise<Prepared> {
  const creators = [
    await enrolCreator(platform),
    await enrolCreator(platform, { alg: "ES256" }),
    await enrolCreator(platform),
  ];
  const works: string[] = [];
  for (const creator of creators) {
    works.push(...(await registerWorks(platform, creator.creatorId, 7)));
    await giveConsent(creator);
  }
  const { dataset_id } = await publishDataset(platform, works);
  const marketplace = await registerMarketplace(platform);
  await offerDataset(platform, dataset_id, marketplace);
  return { creators, works, datasetId: dataset_id, marketplace, caller: await marketplace.call() };
}

describe("a marketplace it was offered to", () => {
  let dataset: Prepared;
  beforeAll(async () => {
    dataset = await prepare();
  });

  test("recomputes both roots of the signed manifest from the lines", async () => {
    const { caller, datasetId, works } = dataset;
    const keys = await readKeys(platform);
    const document = await readDocument(platform, `/datasets/${datasetId}/versions/1/manifest.json`);
    expect(await verifyDocument(document, { type: "manifest", keys, madeAt: now() })).toMatchObject({ ok: true });
    const manifest = readManifest(document);
    if (!manifest.ok) throw new Error(manifest.refusal.detail);

    const items = await readLines(caller, `/datasets/${datasetId}/versions/1/items?limit=4`);
    expect(items.pages).toBe(6);
    expect(items.lines.map((line) => readItemLine(line).ok)).not.toContain(false);
    expect(items.lines.map((line) => line["position"])).toEqual(works.map((_, index) => index));
    const records = items.lines.map((line): JsonObject => parseObject(JSON.stringify(line["item"])));
    expect(records.map((record) => record["content_id"])).toEqual(works);
    expect(records.every((record) => readContentItem(record).ok)).toBe(true);
    expect(hex(merkleRoot(records.map((record) => itemLeafHash(record))))).toBe(manifest.value.items_root);

    const consents = await readLines(caller, `/datasets/${datasetId}/versions/1/consents?limit=1`);
    expect(consents.pages).toBe(3);
    const tokens = consents.lines.map((line) => readConsentLine(line)).map((line) => (line.ok ? line.value.token : ""));
    expect(hex(merkleRoot(tokens.map((token) => consentLeafHash(token))))).toBe(manifest.value.consents_root);
    for (const line of consents.lines) {
      const key = parseObject(JSON.stringify(line["key"]));
      expect(await verifyCreatorKey(key, keys, now())).toMatchObject({ ok: true });
      const owner = readCreatorKey(key);
      expect(dataset.creators.map((creator) => creator.creatorId)).toContain(owner.ok ? owner.value.creator_id : "");
    }
  });

  test("verifies it with the sdk alone", async () => {
    const { marketplace, datasetId } = dataset;
    const token = await fetchAccessToken(platform, {
      clientId: marketplace.clientId,
      clientSecret: marketplace.clientSecret,
      scope: marketplace.scope,
    });
    const client = createClient({ origin: platform.origin, token });
    const report = await verifyDataset(`${platform.origin}/datasets/${datasetId}/manifest.json`, { client, now });
    expect(report.checks.filter((check) => check.outcome === "failed")).toEqual([]);
  });

  test("finds the hash of the immutable manifest in every document that names it", async () => {
    const { datasetId, caller } = dataset;
    const sha256 = documentSha256(await readDocument(platform, `/datasets/${datasetId}/versions/1/manifest.json`));
    expect(await readDocument(platform, `/datasets/${datasetId}/manifest.json`)).toMatchObject({
      manifest_sha256: sha256,
    });
    expect(await readDocument(platform, `/.well-known/dataset-status/${datasetId}`)).toMatchObject({
      manifest_sha256: sha256,
    });
    expect((await caller.get(`/api/v1/datasets/${datasetId}`)).body).toMatchObject({ manifest_sha256: sha256 });
    expect((await caller.get(`/api/v1/datasets/${datasetId}/provenance`)).body).toMatchObject({
      manifest_sha256: sha256,
    });
  });

  test("lists it, and nothing else", async () => {
    const { body } = await dataset.caller.get("/api/v1/datasets");
    expect(body.datasets.map((entry: { dataset_id: string }) => entry.dataset_id)).toEqual([dataset.datasetId]);
  });

  test("is refused pages that make no sense", async () => {
    const path = `/datasets/${dataset.datasetId}/versions/1/items`;
    for (const query of [
      "limit=0",
      "limit=1001",
      "limit=-1",
      "limit=1e3",
      "after=-1",
      "after=abc",
      "after=1.5",
      "after=99999999999999999999",
    ]) {
      expect(await dataset.caller.get(`${path}?${query}`)).toMatchObject({
        status: 422,
        body: { code: "input_invalid" },
      });
    }
    expect((await dataset.caller.get(`${path}?after=1000000`)).text).toBe("");
    for (const version of ["0", "01", "-1", "2", "1.0", "999999999"]) {
      const { status } = await dataset.caller.get(`/datasets/${dataset.datasetId}/versions/${version}/items`);
      expect([400, 404, 422]).toContain(status);
    }
  });
});

describe("what no longer stands", () => {
  test("is only a leaf hash in the lines, and the roots stay what they were", async () => {
    const { creators, works, datasetId, caller } = await prepare();
    const before = await readLines(caller, `/datasets/${datasetId}/versions/1/items`);
    const { body: consents } = (await creators[0]?.caller.get("/api/v1/consents")) ?? { body: undefined };
    expectStatus(await platform.operator.post(`/api/v1/consents/${consents.consents[0].jti}/revoke`), 200);
    expectStatus(
      await platform.operator.post(`/api/v1/creators/${creators[1]?.creatorId}/revocations`, { content_id: works[8] }),
      200,
    );

    const { lines } = await readLines(caller, `/datasets/${datasetId}/versions/1/items?limit=5`);
    const gone = new Set([0, 1, 2, 3, 4, 5, 6, 8]);
    for (const line of lines) {
      const position = Number(line["position"]);
      if (gone.has(position))
        expect(line).toEqual({ position, leaf_hash: expect.stringMatching(/^[0-9a-f]{64}$/), withdrawn: true });
      else expect(line).toEqual(before.lines[position]);
    }
    const leaves = lines.map((line) =>
      line["withdrawn"] === true ? bytesOf(line["leaf_hash"]) : itemLeafHash(parseObject(JSON.stringify(line["item"]))),
    );
    const { items_root } = await readDocument(platform, `/datasets/${datasetId}/versions/1/manifest.json`);
    expect(hex(merkleRoot(leaves))).toBe(items_root);
    expect(lines.filter((line) => line["withdrawn"] === true).map((line) => line["leaf_hash"])).toEqual(
      before.lines
        .filter((line) => gone.has(Number(line["position"])))
        .map((line) => hex(itemLeafHash(parseObject(JSON.stringify(line["item"]))))),
    );
    const { body } = await caller.get(`/api/v1/datasets/${datasetId}/provenance`);
    expect(body.provenance.content_items).toHaveLength(13);
    expect(body.consents.map((consent: { state: string }) => consent.state)).toContain("revoked");
  });
});

describe("provenance", () => {
  test("of one consent has the brief's members, signed", async () => {
    const creator = await enrolCreator(platform);
    const work = await registerWork(platform, creator.creatorId, {
      mime_type: "video/mp4",
      length_ms: 119_200,
      p_hash: "aGFzaA==",
      p_hash_alg: "phash",
    });
    const consent = await giveConsent(creator);
    const { dataset_id } = await publishDataset(platform, [work]);
    const answer = await platform.operator.get(`/api/v1/datasets/${dataset_id}/provenance`);
    const { body } = answer;
    expect(body).toMatchObject({
      dataset_id,
      consent_jwt: consent.token,
      provenance: {
        dataset_id,
        content_items: [
          {
            content_id: work,
            mime_type: "video/mp4",
            length_seconds: 120,
            length_ms: 119_200,
            p_hash: "aGFzaA==",
            creator_id: creator.creatorId,
            license: "paid_training:1.0",
            lineage: [],
            creator_public_key: expect.stringContaining("BEGIN PUBLIC KEY"),
          },
        ],
        consent_token_id: consent.jti,
        consent_scope: ["training", "commercial"],
      },
      consents: [{ jti: consent.jti, consent_jwt: consent.token, state: "active" }],
    });
    expect(body.signatures).toEqual([{ key_id: expect.any(String), alg: "EdDSA", sig: expect.any(String) }]);
    expect(
      await verifyDocument(parseObject(answer.text), {
        type: "provenance",
        keys: await readKeys(platform),
        madeAt: now(),
      }),
    ).toMatchObject({ ok: true });
  });

  test("of several has no single consent at its head, and pages its works", async () => {
    const { datasetId, works, caller } = await prepare();
    const keys = await readKeys(platform);
    const found: string[] = [];
    const jtis = new Set<string>();
    for (let after = ""; ;) {
      const answer = await caller.get(`/api/v1/datasets/${datasetId}/provenance?limit=8${after}`);
      expect(answer.body).not.toHaveProperty("consent_jwt");
      expect(answer.body.provenance).not.toHaveProperty("consent_token_id");
      expect(answer.body.consents.length).toBeLessThanOrEqual(8);
      for (const { jti } of answer.body.consents) jtis.add(jti);
      expect(await verifyDocument(parseObject(answer.text), { type: "provenance", keys, madeAt: now() })).toMatchObject(
        { ok: true },
      );
      found.push(...answer.body.provenance.content_items.map((item: { content_id: string }) => item.content_id));
      if (answer.body.next === null) break;
      after = `&after=${answer.body.next}`;
    }
    expect(found).toEqual(works);
    expect(jtis.size).toBe(3);
  });
});

describe("a marketplace it was not offered to", () => {
  test("gets 403 everywhere, and learns nothing that is not public", async () => {
    const { datasetId, works, creators } = await prepare();
    const stranger = await (await registerMarketplace(platform)).call();
    for (const path of [
      `/api/v1/datasets/${datasetId}`,
      `/api/v1/datasets/${datasetId}/provenance`,
      `/datasets/${datasetId}/versions/1/items`,
      `/datasets/${datasetId}/versions/1/consents`,
      `/datasets/${datasetId}/versions/77/items`,
    ]) {
      const answer = await stranger.get(path);
      expect(answer).toMatchObject({ status: 403, body: { code: "not_yours" } });
      expect(answer.headers.get("link")).toBeNull();
      for (const secret of [...works, ...creators.map((creator) => creator.creatorId)])
        expect(answer.text).not.toContain(secret);
    }
    expect((await stranger.get("/api/v1/datasets")).body.datasets).toEqual([]);
    expect((await stranger.get(`/api/v1/datasets/${datasetId}/offers`)).status).toBe(403);
    expect((await stranger.post("/api/v1/datasets", datasetBody(works))).status).toBe(403);
    expect((await stranger.post(`/api/v1/datasets/${datasetId}/offers`, { marketplace_id: "mkt_other" })).status).toBe(
      403,
    );
  });

  test("cannot tell a draft from nothing at all", async () => {
    const dataset_id = uniqueId("ds-secret-");
    expectStatus(
      await platform.operator.post("/api/v1/datasets", datasetBody(["some-work"], { dataset_id, status: "draft" })),
      201,
    );
    const stranger = await (await registerMarketplace(platform)).call();
    for (const suffix of ["", "/provenance"]) {
      const [draft, nothing] = [
        await stranger.get(`/api/v1/datasets/${dataset_id}${suffix}`),
        await stranger.get(`/api/v1/datasets/ds-nothing${suffix}`),
      ];
      expect(draft.status).toBe(404);
      expect(draft.body.detail.replace(dataset_id, "")).toBe(nothing.body.detail.replace("ds-nothing", ""));
    }
  });
});

describe("a version from before the offer", () => {
  test("stays closed when its consents name other marketplaces", async () => {
    const [named, late] = [await registerMarketplace(platform), await registerMarketplace(platform)];
    const creator = await enrolCreator(platform);
    const [open, closed] = [
      await registerWork(platform, creator.creatorId),
      await registerWork(platform, creator.creatorId),
    ];
    await giveConsent(creator, { subject: `content:${open}` });
    await giveConsent(creator, { subject: `content:${closed}`, audience: [named.marketplaceId] });
    const { dataset_id } = await publishDataset(platform, [open, closed]);
    await offerDataset(platform, dataset_id, named);
    await publishDataset(platform, [open], { dataset_id, name: "Open ones" });
    await offerDataset(platform, dataset_id, late);
    const [namedCaller, lateCaller] = [await named.call(), await late.call()];
    expect((await lateCaller.get(`/datasets/${dataset_id}/versions/2/items`)).status).toBe(200);
    for (const lines of ["items", "consents"]) {
      expect(await lateCaller.get(`/datasets/${dataset_id}/versions/1/${lines}`)).toMatchObject({
        status: 403,
        body: { code: "not_yours" },
      });
      expect((await namedCaller.get(`/datasets/${dataset_id}/versions/1/${lines}`)).status).toBe(200);
    }
  });
});

describe("ids in paths", () => {
  test.each([
    "/api/v1/datasets/..",
    "/api/v1/datasets/a..b",
    "/api/v1/datasets/%2e%2e",
    "/api/v1/datasets/a%2Fb",
    "/api/v1/datasets/a%00b",
    "/datasets/../versions/1/items",
    "/datasets/%2e%2e/manifest.json",
    "/.well-known/dataset-status/..%2f..%2fetc",
    "/.well-known/dataset-status/a..b",
  ])("that climb out are refused: %s", async (target) => {
    const answer = await rawRequest(platform.origin, target, {
      headers: { authorization: `Bearer ${platform.operatorToken}` },
    });
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(answer.status).toBeLessThan(500);
  });
});
