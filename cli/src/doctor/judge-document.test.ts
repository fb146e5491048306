import { formatInstant } from "@licet/protocol";
import { describe, expect, it } from "vitest";
import type { FetchedDocument } from "./fetch-document.ts";
import { judgeAnswer, judgeCaching, judgeFreshness, judgeOrder } from "./judge-document.ts";

const NOW = 1_795_000_000;

function fetchedAt(now: number, seq: number, checkedAt: number, headers: Record<string, string> = {}): FetchedDocument {
  const expiresAt = checkedAt + 300;
  return {
    status: 200,
    headers: new Headers({ "cache-control": "public, max-age=15", "content-type": "application/json", ...headers }),
    text: "",
    members: {
      seq,
      checked_at: formatInstant(checkedAt),
      ttl_seconds: 15,
      expires_at: formatInstant(expiresAt),
    },
    seq,
    checkedAt,
    expiresAt,
    fetchedMs: now * 1_000,
  };
}

describe("a public document's freshness", () => {
  it("is good until half of its life and the time it may be kept are over", () => {
    expect(judgeFreshness(fetchedAt(NOW, 3, NOW - 190))).toEqual([]);
  });

  it("is a warning when nobody signs it again in time, and wrong once readers refuse it", () => {
    expect(judgeFreshness(fetchedAt(NOW, 3, NOW - 200))).toMatchObject([{ outcome: "warning" }]);
    const [ended] = judgeFreshness(fetchedAt(NOW, 3, NOW - 330, { "cf-cache-status": "HIT" }));
    expect(ended).toMatchObject({ outcome: "wrong", sentence: expect.stringMatching(/^it ended 30 s ago.*HIT/) });
  });

  it("is wrong when it comes from the future, or has no clocks", () => {
    expect(judgeFreshness(fetchedAt(NOW, 3, NOW + 120))).toMatchObject([
      { outcome: "wrong", sentence: expect.stringContaining("120 s in the future") },
    ]);
    expect(judgeFreshness({ ...fetchedAt(NOW, 3, NOW), checkedAt: undefined })).toMatchObject([{ outcome: "wrong" }]);
  });
});

describe("the order of what readers get", () => {
  it("is wrong when seq goes back between two readings", () => {
    expect(judgeOrder(fetchedAt(NOW, 4, NOW), fetchedAt(NOW, 3, NOW - 20), undefined)).toMatchObject([
      { outcome: "wrong", sentence: expect.stringContaining("went back from 4 to 3") },
    ]);
  });

  it("allows a cache to be behind the server for as long as it may keep a copy, and no longer", () => {
    const kept = fetchedAt(NOW, 3, NOW - 60);
    expect(judgeOrder(kept, kept, fetchedAt(NOW, 4, NOW - 10))).toEqual([]);
    expect(judgeOrder(kept, kept, fetchedAt(NOW, 4, NOW - 50))).toMatchObject([
      { outcome: "wrong", sentence: expect.stringContaining("the server has had 4 for 50 s") },
    ]);
  });
});

describe("what caches are told", () => {
  it.each([
    ["public, max-age=15", []],
    ["public, max-age=3600", [/allows 3600 s instead of 15 s/]],
    ["public, max-age=5, s-maxage=600", [/allows 600 s instead of 15 s/]],
    ["no-cache", [/expected Cache-Control with max-age, got no-cache/]],
  ])("%s", (said, expected) => {
    const problems = judgeCaching(fetchedAt(NOW, 1, NOW, { "cache-control": said }), "clocked");
    expect(problems.map(({ sentence }) => sentence)).toEqual(
      expected.map((sentence) => expect.stringMatching(sentence)),
    );
  });

  it("is a waste when what never changes may not be kept", () => {
    expect(judgeCaching(fetchedAt(NOW, 1, NOW), "lasting")).toMatchObject([{ outcome: "warning" }]);
  });

  it("is nothing at all when the answer is a redirect", () => {
    const redirected = { ...fetchedAt(NOW, 1, NOW, { location: "https://www.example.org/" }), status: 301 };
    expect(judgeAnswer(redirected, { contentType: "application/json" })).toMatchObject([
      { outcome: "wrong", sentence: expect.stringContaining("a redirect to https://www.example.org/") },
    ]);
  });
});
