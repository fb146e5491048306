import { cacheTags, isCacheTag } from "@licet/protocol";
import { expect, test } from "vitest";
import { buildCalls, countAffordable } from "./build-calls.ts";
import { refill, waitMs } from "./meter.ts";

const numbered = (prefix: string, count: number): readonly string[] =>
  Array.from({ length: count }, (_, index) => `${prefix}${index}`);
const partOf = (items: { readonly tags?: readonly string[]; readonly urls?: readonly string[] }) => ({
  tags: [],
  urls: [],
  paths: [],
  ...items,
});
const target = { limits: { tags: 100, urls: 100 }, mayHold: (url: string) => !url.includes("other") };

test("250 tags of three facts are three calls of at most a hundred, each tag once", () => {
  const tags = numbered("tag-", 250);
  const parts = [tags.slice(0, 100), tags.slice(50, 150), tags.slice(150)].map((some) => partOf({ tags: some }));
  const calls = buildCalls(target, parts);
  expect(calls.map(({ items }) => items.length)).toEqual([100, 100, 50]);
  expect(calls.flatMap(({ items }) => items)).toEqual(tags);
});

test("URLs that a cache cannot hold are not sent to it, nor is what it does not take", () => {
  const part = {
    tags: ["a"],
    urls: ["https://works.example/1", "https://other.example/1"],
    paths: ["/status-lists/1"],
  };
  expect(buildCalls(target, [part])).toEqual([
    { kind: "tags", items: ["a"] },
    { kind: "urls", items: ["https://works.example/1"] },
  ]);
  expect(buildCalls({ limits: { paths: 500 }, mayHold: () => false }, [part])).toEqual([
    { kind: "paths", items: ["/status-lists/1"] },
  ]);
});

test("as many parts are taken as an account can afford together", () => {
  const parts = Array.from({ length: 5 }, (_, index) =>
    partOf({ tags: numbered(`${index}-`, 60), urls: [`u${index}`] }),
  );
  expect(countAffordable(target, parts, { calls: 2, urls: 100 })).toBe(3);
  expect(countAffordable(target, parts, { calls: 100, urls: 2 })).toBe(2);
  expect(countAffordable(target, parts, { calls: 0.9, urls: 100 })).toBe(0);
});

test("a bucket fills at its rate and no further than it holds", () => {
  const rates = { calls: { perSecond: 5 / 60, burst: 25 }, urls: { perSecond: 800, burst: 800 } };
  expect(refill(undefined, rates, 0)).toEqual({ calls: 25, urls: 800 });
  const empty = { calls: 0, urls: 0, metered_at_ms: 1_000 };
  expect(refill(empty, rates, 61_000).calls).toBeCloseTo(5);
  expect(refill(empty, rates, 10_000_000)).toEqual({ calls: 25, urls: 800 });
  expect(refill(empty, rates, 0)).toEqual({ calls: 0, urls: 0 });
  expect(waitMs({ calls: 0, urls: 0 }, { calls: 1, urls: 80 }, rates)).toBe(12_000);
  expect(waitMs({ calls: 1, urls: 0 }, { calls: 1, urls: 80 }, rates)).toBe(100);
});

test.each(["user:12345", "work.*", "a)(|", "x".repeat(128), "WORK~1"])(
  "whatever an identifier holds (%s), its tags are safe in every cache",
  (id) => {
    expect(isCacheTag(cacheTags.content(id))).toBe(true);
    expect(isCacheTag(cacheTags.dataset(id))).toBe(true);
    expect(cacheTags.content(id)).toBe(cacheTags.content(id.toUpperCase()));
  },
);
