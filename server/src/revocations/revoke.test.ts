import { beforeEach, describe, expect, test } from "vitest";
import {
  type Creator,
  enrolCreator,
  expectStatus,
  giveConsent,
  publishDataset,
  registerWork,
  uniqueId,
} from "../../../test/fixtures/actors.ts";
import type { Answer } from "../../../test/fixtures/caller.ts";
import { checkPlatform } from "../../../test/fixtures/check-platform.ts";
import { datasetBody, readDocument, registerWorks } from "../../../test/fixtures/datasets.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { type StatusPlace, readStatusBit } from "../../../test/fixtures/status-bit.ts";

const platform = await startPlatform();
const db = platform.server.ctx.db;
const REVOKED = 1;

const revoke = (creator: Creator, jti: string, body?: object): Promise<Answer> =>
  creator.caller.post(`/api/v1/consents/${jti}/revoke`, body);
const press = (creator: Creator, target: object): Promise<Answer> =>
  creator.caller.post(`/api/v1/creators/${creator.creatorId}/revocations`, target);

/** What strangers read about consents and a dataset, straight after an answer. */
async function publicWord(datasetId: string, places: readonly StatusPlace[]) {
  const [view, status, manifest] = await Promise.all(
    [
      "/.well-known/consent-revocations.json",
      `/.well-known/dataset-status/${datasetId}`,
      `/datasets/${datasetId}/manifest.json`,
    ].map((path) => platform.anonymous.get(path)),
  );
  return {
    view: view?.body,
    status: status?.body,
    manifest: manifest?.body,
    bits: await Promise.all(places.map((place) => readStatusBit(platform, place))),
  };
}

async function countOf(aggregate: string, type: string): Promise<number> {
  return (
    await db.selectFrom("event").select("id").where("aggregate", "=", aggregate).where("type", "=", type).execute()
  ).length;
}

async function itemOf(contentId: string): Promise<StatusPlace> {
  return (await platform.operator.get(`/api/v1/content/${contentId}`)).body;
}

const PATHS = [
  [
    "/api/v1/consents/{jti}/revoke",
    (creator: Creator, jti: string) => revoke(creator, jti, { reason: "I changed my mind" }),
  ],
  [
    "the brief's path",
    (creator: Creator, jti: string, datasetId: string) =>
      creator.caller.post(`/api/v1/datasets/${datasetId}/consent/revoke`, {
        consent_jwt_id: jti,
        reason: "I changed my mind",
      }),
  ],
] as const;

describe.each(PATHS)("a consent taken back at %s", (_path, takeBack) => {
  let creator: Creator;
  let works: readonly string[];
  let consent: Awaited<ReturnType<typeof giveConsent>>;
  let datasetId: string;
  beforeEach(async () => {
    creator = await enrolCreator(platform);
    works = await registerWorks(platform, creator.creatorId, 3);
    consent = await giveConsent(creator);
    datasetId = (await publishDataset(platform, works)).dataset_id;
  });

  test("is revoked in every document when the answer comes", async () => {
    const immutable = (await platform.anonymous.get(`/datasets/${datasetId}/versions/1/manifest.json`)).text;
    const answer = await takeBack(creator, consent.jti, datasetId);
    const { view, status, manifest, bits } = await publicWord(datasetId, [consent.claims]);
    expect(answer).toMatchObject({
      status: 200,
      body: {
        revoked: true,
        jti: consent.jti,
        datasets: [{ dataset_id: datasetId, status: "revoked" }],
        still_covered_by: [],
      },
    });
    const { revoked_at } = answer.body;
    expect(view.revocations.at(-1)).toEqual({ jti: consent.jti, revoked_at });
    expect(status).toMatchObject({
      status: "revoked",
      revoked_jtis: [consent.jti],
      revoked_complete: true,
      revoked_count: 1,
      withdrawn_items_count: 3,
      current_version: 1,
      seq: 2,
    });
    expect(manifest).toMatchObject({
      status: "revoked",
      withdrawn: [{ at: revoked_at, jti: consent.jti }],
      withdrawn_complete: true,
      withdrawn_count: 1,
      items_count: 3,
      seq: 2,
    });
    expect(bits).toEqual([REVOKED]);
    expect((await platform.anonymous.get(`/datasets/${datasetId}/versions/1/manifest.json`)).text).toBe(immutable);
    expect((await creator.caller.get(`/api/v1/consents/${consent.jti}`)).body).toMatchObject({
      state: "revoked",
      revoked_at,
      reason: "I changed my mind",
    });
  });

  test("again, later, at both paths, is the same answer and nothing new", async () => {
    const first = await takeBack(creator, consent.jti, datasetId);
    const before = await publicWord(datasetId, [consent.claims]);
    platform.clock.advance(3);
    for (const [, again] of PATHS)
      expect(await again(creator, consent.jti, datasetId)).toMatchObject({ status: 200, body: first.body });
    expect(await countOf(consent.jti, "consent.revoked")).toBe(1);
    expect(await db.selectFrom("revocation").selectAll().where("jti", "=", consent.jti).execute()).toHaveLength(1);
    expect(await publicWord(datasetId, [consent.claims])).toEqual(before);
  });

  test("ten times at once is one revocation", async () => {
    const answers = await Promise.all(Array.from({ length: 10 }, () => takeBack(creator, consent.jti, datasetId)));
    expect(new Set(answers.map((answer) => `${answer.status} ${answer.text}`)).size).toBe(1);
    expect(answers[0]?.status).toBe(200);
    expect(await countOf(consent.jti, "consent.revoked")).toBe(1);
  });

  test("by another creator is refused, and nothing changes", async () => {
    const before = await publicWord(datasetId, [consent.claims]);
    const answer = await takeBack(await enrolCreator(platform), consent.jti, datasetId);
    expect(answer).toMatchObject({ status: 403, body: { code: "not_yours" } });
    expect(await publicWord(datasetId, [consent.claims])).toEqual(before);
    expect((await creator.caller.get(`/api/v1/consents/${consent.jti}`)).body.state).toBe("active");
  });

  test("that nobody knows is not found", async () => {
    expect(await takeBack(creator, "ctok_AAAAAAAAAAAAAAAAAAAAAA", datasetId)).toMatchObject({
      status: 404,
      body: { code: "not_found" },
    });
    expect([400, 422]).toContain((await takeBack(creator, "ctok_short", datasetId)).status);
  });
});

describe("a reason", () => {
  test("may be left out, is at most 500 characters, and is no object", async () => {
    const creator = await enrolCreator(platform);
    const [first, second] = [await giveConsent(creator), await giveConsent(creator)];
    expectStatus(await revoke(creator, first.jti), 200);
    expect((await creator.caller.get(`/api/v1/consents/${first.jti}`)).body.reason).toBe(
      "creator_requested_revocation",
    );
    for (const reason of ["x".repeat(501), { because: 1 }, 7, null, ["a"]])
      expect(await revoke(creator, second.jti, { reason })).toMatchObject({
        status: 422,
        body: { code: "input_invalid" },
      });
    expect(await revoke(creator, second.jti, { reason: "x", extra: true })).toMatchObject({ status: 422 });
    expectStatus(await revoke(creator, second.jti, { reason: "ü".repeat(500) }), 200);
  });
});

describe("the brief's path", () => {
  test("wants a dataset that exists, whose consent it need not be", async () => {
    const creator = await enrolCreator(platform);
    const { jti } = await giveConsent(creator);
    expect(await creator.caller.post("/api/v1/datasets/nothing/consent/revoke", { consent_jwt_id: jti })).toMatchObject(
      { status: 404 },
    );
    expect((await creator.caller.get(`/api/v1/consents/${jti}`)).body.state).toBe("active");
  });
});

describe("the button for one work", () => {
  test("takes the work out and leaves the wider consent standing", async () => {
    const creator = await enrolCreator(platform);
    const works = await registerWorks(platform, creator.creatorId, 3);
    const [out = ""] = works;
    const wide = await giveConsent(creator);
    const { dataset_id, manifest_sha256 } = await publishDataset(platform, works);
    const immutable = (await platform.anonymous.get(`/datasets/${dataset_id}/versions/1/manifest.json`)).text;
    const answer = await press(creator, { content_id: out });
    const { view, status, manifest, bits } = await publicWord(dataset_id, [
      wide.claims,
      await itemOf(out),
      await itemOf(works[1] ?? ""),
    ]);
    expect(answer).toMatchObject({
      status: 200,
      body: {
        revoked: true,
        revoked_jtis: [],
        withdrawn_content_ids: [out],
        datasets: [{ dataset_id, status: "partially_revoked" }],
        still_covered_by: [],
      },
    });
    expect(bits).toEqual([0, REVOKED, 0]);
    expect(status).toMatchObject({
      status: "partially_revoked",
      revoked_jtis: [],
      revoked_count: 0,
      withdrawn_items_count: 1,
      manifest_sha256,
    });
    expect(manifest).toMatchObject({
      status: "partially_revoked",
      withdrawn: [{ at: answer.body.revoked_at, content_id: out }],
      withdrawn_count: 1,
      manifest_sha256,
    });
    expect(JSON.stringify(view.revocations)).not.toContain(wide.jti);
    expect((await platform.anonymous.get(`/datasets/${dataset_id}/versions/1/manifest.json`)).text).toBe(immutable);
    expect((await creator.caller.get(`/api/v1/content/${out}`)).body.state).toBe("withdrawn");
    expect((await creator.caller.get(`/api/v1/consents/${wide.jti}`)).body.state).toBe("active");
  });

  test("also revokes the consents that are about that work alone", async () => {
    const creator = await enrolCreator(platform);
    const [first = "", second = ""] = await registerWorks(platform, creator.creatorId, 2);
    const own = await giveConsent(creator, { subject: `content:${first}` });
    const also = await giveConsent(creator, { subject: `content:${first}`, scope: ["inference"] });
    const other = await giveConsent(creator, { subject: `content:${second}` });
    const { dataset_id } = await publishDataset(platform, [first, second]);
    const answer = await press(creator, { content_id: first });
    expect(answer.body.revoked_jtis.toSorted()).toEqual([own.jti, also.jti].toSorted());
    const { status, manifest, bits } = await publicWord(dataset_id, [
      own.claims,
      also.claims,
      other.claims,
      await itemOf(first),
    ]);
    expect(bits).toEqual([REVOKED, REVOKED, 0, REVOKED]);
    expect(status).toMatchObject({ status: "partially_revoked", revoked_jtis: [own.jti], withdrawn_items_count: 1 });
    expect(manifest.withdrawn).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ jti: own.jti }),
        expect.objectContaining({ content_id: first }),
      ]),
    );
  });

  test("pressed again gives the same answer and does nothing", async () => {
    const creator = await enrolCreator(platform);
    const [work = "", other = ""] = await registerWorks(platform, creator.creatorId, 2);
    const own = await giveConsent(creator, { subject: `content:${work}` });
    await giveConsent(creator, { subject: `content:${other}` });
    const { dataset_id } = await publishDataset(platform, [work, other]);
    const first = await press(creator, { content_id: work });
    const before = await publicWord(dataset_id, [own.claims]);
    platform.clock.advance(2);
    expect(await press(creator, { content_id: work })).toMatchObject({ status: 200, body: first.body });
    expect(await publicWord(dataset_id, [own.claims])).toEqual(before);
    expect(await countOf(work, "content.withdrawn")).toBe(1);
    expect(await countOf(own.jti, "consent.revoked")).toBe(1);
  });

  test("of another creator, or of nobody, is refused", async () => {
    const [mine, theirs] = [await enrolCreator(platform), await enrolCreator(platform)];
    const work = await registerWork(platform, theirs.creatorId);
    expect(await press(mine, { content_id: work })).toMatchObject({ status: 403, body: { code: "not_yours" } });
    expect(
      await mine.caller.post(`/api/v1/creators/${theirs.creatorId}/revocations`, { content_id: work }),
    ).toMatchObject({ status: 403, body: { code: "not_yours" } });
    expect(await press(mine, { content_id: "nothing" })).toMatchObject({ status: 404 });
    expect((await theirs.caller.get(`/api/v1/content/${work}`)).body.state).toBe("standing");
  });
});

describe("the button for one dataset", () => {
  test("revokes what this creator gave to it, in whatever version, and nobody else's", async () => {
    const [mine, theirs] = [await enrolCreator(platform), await enrolCreator(platform)];
    const works = await registerWorks(platform, mine.creatorId, 2);
    const foreign = await registerWork(platform, theirs.creatorId);
    const [first, second, unused] = [
      await giveConsent(mine, { subject: `content:${works[0]}` }),
      await giveConsent(mine, { subject: `content:${works[1]}` }),
      await giveConsent(mine, { subject: "dataset:somewhere-else" }),
    ];
    const kept = await giveConsent(theirs);
    const { dataset_id } = await publishDataset(platform, [...works, foreign]);
    await publishDataset(platform, [works[0] ?? "", foreign], { dataset_id });
    const answer = await press(mine, { dataset_id });
    expect(answer).toMatchObject({
      status: 200,
      body: { withdrawn_content_ids: [], datasets: [{ dataset_id, status: "partially_revoked" }] },
    });
    expect(answer.body.revoked_jtis.toSorted()).toEqual([first.jti, second.jti].toSorted());
    const { status, bits } = await publicWord(dataset_id, [first.claims, second.claims, unused.claims, kept.claims]);
    expect(bits).toEqual([REVOKED, REVOKED, 0, 0]);
    expect(status).toMatchObject({ status: "partially_revoked", current_version: 2, revoked_count: 2 });
    expect(status.revoked_jtis.toSorted()).toEqual([first.jti, second.jti].toSorted());

    platform.clock.advance(2);
    expect(await press(mine, { dataset_id })).toMatchObject({ status: 200, body: answer.body });
    expect(await countOf(first.jti, "consent.revoked")).toBe(1);
  });

  test("without a work of this creator does nothing", async () => {
    const [mine, theirs] = [await enrolCreator(platform), await enrolCreator(platform)];
    const work = await registerWork(platform, theirs.creatorId);
    await giveConsent(theirs);
    const { dataset_id } = await publishDataset(platform, [work]);
    expect(await press(mine, { dataset_id })).toMatchObject({ status: 200, body: { revoked_jtis: [], datasets: [] } });
    expect(await readDocument(platform, `/.well-known/dataset-status/${dataset_id}`)).toMatchObject({
      status: "active",
      seq: 1,
    });
    expect(await press(mine, { dataset_id: "nothing" })).toMatchObject({ status: 404 });
  });
});

describe("the button for everything", () => {
  test("revokes every consent of the creator, everywhere, once", async () => {
    const [mine, theirs] = [await enrolCreator(platform), await enrolCreator(platform)];
    const works = await registerWorks(platform, mine.creatorId, 2);
    const foreign = await registerWork(platform, theirs.creatorId);
    const consents = [
      await giveConsent(mine),
      await giveConsent(mine, { subject: `content:${works[0]}` }),
      await giveConsent(mine, { subject: "dataset:not-there-yet" }),
    ];
    await giveConsent(theirs);
    const [alone, together] = [
      await publishDataset(platform, works),
      await publishDataset(platform, [...works, foreign]),
    ];
    const answer = await press(mine, { all: true });
    const expected = [
      { dataset_id: alone.dataset_id, status: "revoked" },
      { dataset_id: together.dataset_id, status: "partially_revoked" },
    ];
    expect(answer).toMatchObject({ status: 200, body: { still_covered_by: [], withdrawn_content_ids: [] } });
    expect(answer.body.datasets).toEqual(expect.arrayContaining(expected));
    expect(answer.body.revoked_jtis.toSorted()).toEqual(consents.map((consent) => consent.jti).toSorted());
    expect(
      (
        await publicWord(
          alone.dataset_id,
          consents.map((consent) => consent.claims),
        )
      ).bits,
    ).toEqual([REVOKED, REVOKED, REVOKED]);

    platform.clock.advance(2);
    expect(await press(mine, { all: true })).toMatchObject({ status: 200, body: answer.body });
    for (const { jti } of consents) expect(await countOf(jti, "consent.revoked")).toBe(1);
  });

  test.each([
    {},
    { all: false },
    { all: true, content_id: "a" },
    { content_id: "a", dataset_id: "b" },
    { content_id: "../a" },
    { everything: true },
  ])("wants exactly one target, not %j", async (target) => {
    expect(await press(await enrolCreator(platform), target)).toMatchObject({
      status: 422,
      body: { code: "input_invalid" },
    });
  });
});

describe("what else covers the same works", () => {
  test("is named in the answer, so that nobody believes to be out who is not", async () => {
    const creator = await enrolCreator(platform);
    const [work = "", other = ""] = await registerWorks(platform, creator.creatorId, 2);
    const wide = await giveConsent(creator);
    const narrow = await giveConsent(creator, { subject: `content:${work}` });
    await giveConsent(creator, { subject: `content:${other}` });
    expect((await revoke(creator, narrow.jti)).body.still_covered_by).toEqual([wide.jti]);
    expect((await press(creator, { content_id: work })).body.still_covered_by).toEqual([]);
  });
});

describe("a work that an older version still holds", () => {
  test("is taken back there too: its dataset is told, though the current version stands", async () => {
    const [leaving, staying] = [await enrolCreator(platform), await enrolCreator(platform)];
    const [left, stayed] = [
      await registerWork(platform, leaving.creatorId),
      await registerWork(platform, staying.creatorId),
    ];
    const { jti } = await giveConsent(leaving);
    await giveConsent(staying);
    const { dataset_id } = await publishDataset(platform, [left, stayed]);
    await publishDataset(platform, [stayed], { dataset_id });
    expect(await revoke(leaving, jti)).toMatchObject({
      status: 200,
      body: { datasets: [{ dataset_id, status: "active" }] },
    });
    const { text } = await platform.operator.get(`/datasets/${dataset_id}/versions/1/items`);
    expect(text).toContain('"withdrawn":true');
  });
});

describe("fifty consents of one dataset taken back at once", () => {
  test("all land, and the documents count every one of them", async () => {
    const creator = await enrolCreator(platform);
    const works = await registerWorks(platform, creator.creatorId, 50);
    const consents = [];
    for (const work of works) consents.push(await giveConsent(creator, { subject: `content:${work}` }));
    const { dataset_id } = await publishDataset(platform, works);
    const listed = (await readDocument(platform, "/.well-known/consent-revocations.json"))["seq"];
    const seqs = await Promise.all(
      consents.map(async ({ jti }) => {
        expectStatus(await revoke(creator, jti), 200);
        const [status, view] = [
          await readDocument(platform, `/.well-known/dataset-status/${dataset_id}`),
          await readDocument(platform, "/.well-known/consent-revocations.json"),
        ];
        expect(status["revoked_jtis"]).toContain(jti);
        expect(JSON.stringify(view["revocations"])).toContain(jti);
        return Number(status["seq"]);
      }),
    );
    expect(Math.max(...seqs)).toBe(51);
    expect(await readDocument(platform, `/.well-known/dataset-status/${dataset_id}`)).toMatchObject({
      status: "revoked",
      revoked_count: 50,
      withdrawn_items_count: 50,
      seq: 51,
    });
    expect((await readDocument(platform, "/.well-known/consent-revocations.json"))["seq"]).toBe(Number(listed) + 50);
    const rows = await db.selectFrom("revocation").select(["sequence", "jti"]).orderBy("sequence").execute();
    expect(rows.map((row) => row.sequence)).toEqual(rows.map((_, index) => index + 1));
    expect(await Promise.all(consents.map(({ claims }) => readStatusBit(platform, claims)))).toEqual(
      consents.map(() => REVOKED),
    );
  });
});

describe("after a revocation", () => {
  test("the same request to publish is refused, and the platform may revoke for a creator", async () => {
    const creator = await enrolCreator(platform);
    const [work = ""] = await registerWorks(platform, creator.creatorId, 1);
    const { jti } = await giveConsent(creator);
    const dataset_id = uniqueId("ds-");
    await publishDataset(platform, [work], { dataset_id });
    expect(await platform.operator.post(`/api/v1/consents/${jti}/revoke`, { reason: "asked by letter" })).toMatchObject(
      { status: 200 },
    );
    const { body } = await creator.caller.get(`/api/v1/consents/${jti}/history`);
    expect(body.history.at(-1)).toMatchObject({ state: "revoked", by: "operator", reason: "asked by letter" });
    expect(await platform.operator.post("/api/v1/datasets", datasetBody([work], { dataset_id }))).toMatchObject({
      status: 422,
      body: { errors: [{ code: "no_consent" }] },
    });
  });

  test("the platform keeps its promises", { timeout: 120_000 }, async () => {
    await checkPlatform({ ...platform, now: () => Math.floor(platform.clock.nowMs() / 1_000) });
  });
});
