import { type JsonObject, sha256Hex } from "@licet/protocol";
import { sql } from "kysely";
import { describe, expect, onTestFinished, test } from "vitest";
import { enrolCreator, expectStatus, uniqueId } from "../../../test/fixtures/actors.ts";
import type { Answer } from "../../../test/fixtures/caller.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";

const platform = await startPlatform();
const ana = await enrolCreator(platform);

function workOf(members: JsonObject = {}): JsonObject {
  const name = uniqueId("work-");
  return {
    creator_id: ana.creatorId,
    canonical_url: `https://works.example/${name}`,
    sha256: sha256Hex(name),
    mime_type: "image/png",
    created_at: "2025-11-01T12:00:00Z",
    ...members,
  };
}

async function sendLines(lines: readonly string[], contentType = "application/x-ndjson"): Promise<Answer> {
  return platform.operator.send("POST", "/api/v1/content/bulk", {
    body: lines.join("\n"),
    headers: { "content-type": contentType },
  });
}

function resultsOf(
  answer: Answer,
): readonly { line: number; status: string; content_id?: string; problem?: { code: string; detail: string } }[] {
  expectStatus(answer, 200);
  return answer.text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}

describe("a bulk registration", () => {
  test("answers each line, and a refused line stops nobody", async () => {
    const [first, second, third] = [workOf(), workOf(), workOf()];
    const lines = [first, { ...second, sha256: "ab" }, third, first, { ...first, sha256: sha256Hex("other") }].map(
      (work) => JSON.stringify(work),
    );
    const answer = await sendLines([
      ...lines,
      "{",
      '{"creator_id":"a","creator_id":"b"}',
      "[]",
      JSON.stringify(workOf({ creator_id: "nobody" })),
      JSON.stringify(workOf({ length_ms: 1.5 })),
    ]);
    expect(answer.headers.get("content-type")).toBe("application/x-ndjson");
    const results = resultsOf(answer);
    expect(results.map(({ line, status, problem }) => [line, status, problem?.code])).toEqual([
      [1, "created", undefined],
      [2, "refused", "input_invalid"],
      [3, "created", undefined],
      [4, "unchanged", undefined],
      [5, "revised", undefined],
      [6, "refused", "body_malformed"],
      [7, "refused", "body_malformed"],
      [8, "refused", "body_malformed"],
      [9, "refused", "not_found"],
      [10, "refused", "body_malformed"],
    ]);
    expect(results[1]?.problem?.detail).toContain("sha256");
    expect(new Set([results[0], results[3], results[4]].map((result) => result?.content_id)).size).toBe(1);
  });

  test("counts lines as an editor does, leaves empty ones out, and takes CRLF", async () => {
    const lines = ["", JSON.stringify(workOf()) + "\r", "", "  ", JSON.stringify(workOf()), ""];
    expect(resultsOf(await sendLines(lines)).map(({ line, status }) => [line, status])).toEqual([
      [2, "created"],
      [5, "created"],
    ]);
  });

  test("of nothing answers nothing", async () => {
    expect(await sendLines(["", ""])).toMatchObject({ status: 200, text: "" });
  });

  test("takes 1 000 lines and no more; of more none is registered", async () => {
    const lines = Array.from({ length: 1_001 }, () => JSON.stringify(workOf({ sha256: "short" })));
    expect(resultsOf(await sendLines(lines.slice(1))).length).toBe(1_000);
    const good = [JSON.stringify(workOf({ content_id: "too-many" })), ...lines.slice(1)];
    expect(await sendLines(good)).toMatchObject({ status: 413 });
    expect((await platform.operator.get("/api/v1/content/too-many")).status).toBe(404);
  });

  test("takes 8 MiB and no more", async () => {
    const answer = await sendLines([JSON.stringify(workOf({ p_hash: "A".repeat(8_388_608), p_hash_alg: "pdq" }))]);
    expect(answer).toMatchObject({ status: 413, body: { code: "body_too_large" } });
  });

  test.each(["application/json", "text/plain", "application/x-ndjsonx", ""])(
    "does not take %j for NDJSON",
    async (contentType) => {
      expect(await sendLines([JSON.stringify(workOf())], contentType)).toMatchObject({
        status: 415,
        body: { code: "media_type_wrong" },
      });
    },
  );

  test("takes parameters of the media type", async () => {
    expect(resultsOf(await sendLines([JSON.stringify(workOf())], "application/x-ndjson; charset=utf-8"))).toMatchObject(
      [{ status: "created" }],
    );
  });

  test("is not for creators", async () => {
    const answer = await ana.caller.send("POST", "/api/v1/content/bulk", {
      body: JSON.stringify(workOf()),
      headers: { "content-type": "application/x-ndjson" },
    });
    expect(answer).toMatchObject({ status: 403, body: { code: "forbidden" } });
  });
});

describe("a bulk registration that the database has no room for", () => {
  const { db } = platform.server.ctx;

  /** From this work on the database says what it says when its disk is full. */
  async function fillDiskAt(url: string): Promise<() => Promise<void>> {
    await sql`create function no_room() returns trigger language plpgsql as $$
      begin
        if new.canonical_url = ${sql.lit(url)} then
          raise exception 'could not extend file: No space left on device' using errcode = '53100';
        end if;
        return new;
      end $$`.execute(db);
    await sql`create trigger no_room before insert on content_item for each row execute function no_room()`.execute(db);
    const makeRoom = async (): Promise<void> => {
      await sql`drop function if exists no_room() cascade`.execute(db);
    };
    onTestFinished(makeRoom);
    return makeRoom;
  }

  test("at its first line is answered 503", async () => {
    const work = workOf();
    await fillDiskAt(String(work["canonical_url"]));
    expect(await sendLines([JSON.stringify(work)])).toMatchObject({ status: 503, body: { code: "unavailable" } });
  });

  test("later breaks off, so that nobody takes it for whole, and is carried on by the same lines again", async () => {
    const works = [workOf(), workOf(), workOf()];
    const makeRoom = await fillDiskAt(String(works[1]?.["canonical_url"]));
    const lines = works.map((work) => JSON.stringify(work));
    await expect(sendLines(lines)).rejects.toThrow("terminated");
    await makeRoom();
    expect(resultsOf(await sendLines(lines)).map(({ status }) => status)).toEqual(["unchanged", "created", "created"]);
  });
});
