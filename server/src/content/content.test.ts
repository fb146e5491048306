import { type JsonObject, sha256Hex } from "@licet/protocol";
import { describe, expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  giveConsent,
  publishDataset,
  registerWork,
  uniqueId,
} from "../../../test/fixtures/actors.ts";
import type { Answer } from "../../../test/fixtures/caller.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { readStatusBit } from "../../../test/fixtures/status-bit.ts";

const platform = await startPlatform();
const ana = await enrolCreator(platform);
const bram = await enrolCreator(platform);

function workOf(members: JsonObject = {}): JsonObject {
  const name = uniqueId("work-");
  return {
    creator_id: ana.creatorId,
    canonical_url: `https://works.example/${name}`,
    sha256: sha256Hex(name),
    mime_type: "audio/flac",
    created_at: "2025-11-01T12:00:00Z",
    ...members,
  };
}

async function register(work: JsonObject): Promise<Answer> {
  return platform.operator.post("/api/v1/content", work);
}

async function countWorks(): Promise<number> {
  return (await platform.server.ctx.db.selectFrom("content_item").select("content_id").execute()).length;
}

async function withdraw(contentId: string): Promise<void> {
  expectStatus(await ana.caller.post(`/api/v1/creators/${ana.creatorId}/revocations`, { content_id: contentId }), 200);
}

describe("a work", () => {
  test("is registered with an id, a revision, a salt and a status that is valid", async () => {
    const work = workOf();
    const { status, body } = await register(work);
    expect({ status, body }).toMatchObject({
      status: 201,
      body: { ...work, revision: 1, state: "standing", license: "paid_training:1.0", lineage: [] },
    });
    expect(body.content_id).toMatch(/^content_[0-9A-HJKMNP-TV-Z]{26}$/);
    expect(Buffer.from(body.salt, "base64url").length).toBe(16);
    expect(await readStatusBit(platform, body)).toBe(0);
  });

  test("keeps the id that the platform chose", async () => {
    const content_id = uniqueId("track.");
    expect((await register(workOf({ content_id }))).body.content_id).toBe(content_id);
  });

  test.each([
    [0, 0],
    [1, 1],
    [999, 1],
    [1_000, 1],
    [1_001, 2],
    [183_420, 184],
  ])("of %i ms lasts %i s, rounded up", async (length_ms, length_seconds) => {
    expect((await register(workOf({ length_ms }))).body).toMatchObject({ length_ms, length_seconds });
  });

  test("of unknown length has none", async () => {
    const { body } = await register(workOf());
    expect([body.length_ms, body.length_seconds, body.size_bytes]).toEqual([undefined, undefined, undefined]);
  });

  test.each(["text/plain", "application/pdf", "audio/mpeg", "image/webp", "video/mp4"])(
    "may be %s",
    async (mime_type) => {
      expect((await register(workOf({ mime_type }))).status).toBe(201);
    },
  );

  test("is seen by its creator and the platform, and not by another creator", async () => {
    const contentId = await registerWork(platform, ana.creatorId);
    expect((await ana.caller.get(`/api/v1/content/${contentId}`)).body.content_id).toBe(contentId);
    const hidden = await bram.caller.get(`/api/v1/content/${contentId}`);
    expect(hidden).toMatchObject({ status: 403, body: { code: "not_yours" } });
    expect(hidden.text).not.toContain(ana.creatorId);
    expect((await platform.operator.get("/api/v1/content/nothing")).status).toBe(404);
  });

  test("is in the list of its creator alone", async () => {
    const contentId = await registerWork(platform, bram.creatorId);
    const { body } = await bram.caller.get("/api/v1/content?limit=1000");
    expect(body.content_items.map((item: { content_id: string }) => item.content_id)).toEqual([contentId]);
    expect(await bram.caller.get(`/api/v1/content?creator_id=${ana.creatorId}`)).toMatchObject({
      status: 403,
      body: { code: "not_yours" },
    });
    const firstPage = await platform.operator.get(`/api/v1/content?creator_id=${ana.creatorId}&limit=1`);
    expect(firstPage.body).toMatchObject({ content_items: [{ creator_id: ana.creatorId }], next: expect.any(String) });
  });
});

describe("the same URL again", () => {
  test("with the same record changes nothing", async () => {
    const work = workOf({ length_ms: 1_500 });
    const first = await register(work);
    const again = await register(work);
    expect(again.status).toBe(200);
    expect(again.body).toEqual(first.body);
    expect((await register({ ...work, content_id: first.body.content_id })).body).toEqual(first.body);
  });

  test("with other bytes is a new revision, with a new salt and the same status index", async () => {
    const work = workOf();
    const { body: first } = await register(work);
    const { status, body: second } = await register({ ...work, sha256: sha256Hex("other bytes") });
    expect({ status, body: second }).toMatchObject({
      status: 200,
      body: { content_id: first.content_id, revision: 2, sha256: sha256Hex("other bytes"), status: first.status },
    });
    expect(second.salt).not.toBe(first.salt);
    const kept = await platform.server.ctx.db
      .selectFrom("content_revision")
      .select(["revision", "sha256"])
      .where("content_id", "=", first.content_id)
      .orderBy("revision")
      .execute();
    expect(kept).toEqual([
      { revision: 1, sha256: work["sha256"] },
      { revision: 2, sha256: sha256Hex("other bytes") },
    ]);
  });

  test("with other bytes counts as registered now, with the same bytes as registered then", async () => {
    const work = workOf();
    const { body: first } = await register(work);
    platform.clock.advance(3_600);
    expect((await register({ ...work, length_ms: 5 })).body).toMatchObject({
      revision: 2,
      registered_at: first.registered_at,
    });
    expect(Date.parse((await register({ ...work, sha256: sha256Hex("newer") })).body.registered_at)).toBeGreaterThan(
      Date.parse(first.registered_at),
    );
  });

  test("under another id is refused, and so is another URL under the same id, in whatever case", async () => {
    const work = workOf({ content_id: uniqueId("Track-A") });
    expectStatus(await register(work), 201);
    const clash = { status: 409, body: { code: "already_exists" } };
    expect(await register({ ...work, content_id: uniqueId("track-b") })).toMatchObject(clash);
    expect(await register({ ...work, canonical_url: "https://works.example/elsewhere" })).toMatchObject(clash);
    expect(await register(workOf({ content_id: String(work["content_id"]).toLowerCase() }))).toMatchObject(clash);
  });

  test("for another creator is refused", async () => {
    const work = workOf();
    expectStatus(await register(work), 201);
    expect(await register({ ...work, creator_id: bram.creatorId })).toMatchObject({
      status: 409,
      body: { code: "conflict" },
    });
  });

  test("after it was withdrawn is refused, and the work says so", async () => {
    const work = workOf();
    const { body } = await register(work);
    await withdraw(body.content_id);
    expect(await register(work)).toMatchObject({ status: 422, body: { code: "item_withdrawn" } });
    expect((await ana.caller.get(`/api/v1/content/${body.content_id}`)).body.state).toBe("withdrawn");
    expect(await readStatusBit(platform, body)).toBe(1);
  });

  test("twenty times at once is one work with one revision", async () => {
    const work = workOf();
    const answers = await Promise.all(Array.from({ length: 20 }, () => register(work)));
    expect(answers.map((answer) => answer.status).sort()).toEqual([...Array<number>(19).fill(200), 201]);
    expect(new Set(answers.map((answer) => JSON.stringify(answer.body))).size).toBe(1);
  });
});

describe("lineage", () => {
  test("names works of ours, datasets of ours, and addresses elsewhere", async () => {
    const ancestor = await registerWork(platform, ana.creatorId);
    await giveConsent(ana);
    const { dataset_id } = await publishDataset(platform, [ancestor]);
    const lineage = [`content:${ancestor}`, `dataset:${dataset_id}`, "https://elsewhere.example/original.wav"];
    expect((await register(workOf({ lineage }))).body.lineage).toEqual(lineage);
  });

  test.each(["content:nothing", "dataset:nothing"])("does not name %s, which is not there", async (ancestor) => {
    const before = await countWorks();
    expect(await register(workOf({ lineage: [ancestor] }))).toMatchObject({
      status: 422,
      body: { code: "lineage_unknown" },
    });
    expect(await countWorks()).toBe(before);
  });

  test.each(["content:..", "content:", "dataset:a/b", "nothing", "ftp://elsewhere.example/a", "javascript:alert(1)"])(
    "does not name %s, which is no ancestor",
    async (ancestor) => {
      expect(await register(workOf({ lineage: [ancestor] }))).toMatchObject({
        status: 422,
        body: { code: "input_invalid" },
      });
    },
  );

  test("does not name a dataset that is only a draft", async () => {
    const dataset_id = uniqueId("ds_draft");
    const contentId = await registerWork(platform, ana.creatorId);
    await publishDataset(platform, [contentId], { dataset_id, status: "draft" });
    expect((await register(workOf({ lineage: [`dataset:${dataset_id}`] }))).body.code).toBe("lineage_unknown");
  });

  test("holds descendants of a withdrawn work back", async () => {
    const ancestor = await registerWork(platform, ana.creatorId);
    await withdraw(ancestor);
    expect((await register(workOf({ lineage: [`content:${ancestor}`] }))).body.code).toBe("item_withdrawn");
  });

  test("does not name the work itself", async () => {
    const work = workOf();
    const { body } = await register(work);
    expect((await register({ ...work, lineage: [`content:${body.content_id}`] })).body.code).toBe("input_invalid");
    expect(
      (await register({ ...work, content_id: body.content_id, lineage: [`content:${body.content_id}`] })).body.code,
    ).toBe("input_invalid");
  });

  test("has at most 64 entries", async () => {
    const ancestors = (count: number) =>
      Array.from({ length: count }, (_, index) => `https://elsewhere.example/${index}`);
    expect((await register(workOf({ lineage: ancestors(64) }))).status).toBe(201);
    expect((await register(workOf({ lineage: ancestors(65) }))).body.code).toBe("input_invalid");
  });
});

describe("nothing is registered for", () => {
  test.each<[what: string, code: string, members: JsonObject]>([
    ["a creator nobody registered", "not_found", { creator_id: "nobody" }],
    ["a creator in another case", "not_found", { creator_id: ana.creatorId.toUpperCase() }],
    ["an id with ..", "input_invalid", { content_id: "a..b" }],
    ["an id with a slash", "input_invalid", { content_id: "a/b" }],
    ["an id with a colon", "input_invalid", { content_id: "a:b" }],
    ["a URL that is none", "input_invalid", { canonical_url: "works/1" }],
    ["a file URL", "input_invalid", { canonical_url: "file:///etc/passwd" }],
    ["a URL with a user name", "input_invalid", { canonical_url: "https://me:secret@works.example/1" }],
    ["a URL with a fragment", "input_invalid", { canonical_url: "https://works.example/1#top" }],
    ["a URL with a space", "input_invalid", { canonical_url: "https://works.example/a b" }],
    ["a URL of 3 000 characters", "input_invalid", { canonical_url: `https://works.example/${"a".repeat(3_000)}` }],
    ["a hash in capitals", "input_invalid", { sha256: "A".repeat(64) }],
    ["a short hash", "input_invalid", { sha256: "ab" }],
    ["a MIME type that is none", "input_invalid", { mime_type: "flac" }],
    ["a MIME type with parameters", "input_invalid", { mime_type: "text/plain; charset=utf-8" }],
    ["a kind of work that is not licensed", "input_invalid", { mime_type: "application/x-msdownload" }],
    ["a creation the day after tomorrow", "input_invalid", { created_at: "2999-01-01T00:00:00Z" }],
    ["a creation on the 30th of February", "input_invalid", { created_at: "2025-02-30T00:00:00Z" }],
    ["a creation in another zone", "input_invalid", { created_at: "2025-02-20T00:00:00+01:00" }],
    ["a negative length", "input_invalid", { length_ms: -1 }],
    ["a length of two years", "input_invalid", { length_ms: 2 * 366 * 86_400_000 }],
    ["a length in fractions", "body_malformed", { length_ms: 0.5 }],
    ["a size beyond 2^53", "body_malformed", { size_bytes: 2 ** 60 }],
    ["a size as text", "input_invalid", { size_bytes: "12" }],
    ["a p_hash without its algorithm", "input_invalid", { p_hash: "AAAA" }],
    ["a p_hash that is no base64", "input_invalid", { p_hash: "<script>", p_hash_alg: "pdq" }],
    ["a revision that the caller chooses", "input_invalid", { revision: 7 }],
    [
      "a status that the caller chooses",
      "input_invalid",
      { status: { status_list: { idx: 0, uri: "https://elsewhere.example" } } },
    ],
  ])("%s (%s)", async (_what, code, members) => {
    const before = await countWorks();
    const answer = await register(workOf(members));
    expect({ code: answer.body.code, detail: answer.body.detail }).toMatchObject({ code });
    expect(answer.text).not.toContain("secret");
    expect(await countWorks()).toBe(before);
  });
});
