import { STATUS } from "@licet/protocol";
import { expect, test } from "vitest";
import { readEdgeConfig } from "./config.ts";
import { type Edge, createEdge } from "./edge.ts";
import { memoryDocuments } from "./memory.ts";
import type { DocumentCache, EdgePorts } from "./ports.ts";
import { PLACES, SITE, type TestPlatform, WORK, openPlatform } from "./testing/test-platform.ts";

/** A cache as a place of Cloudflare's has it: it answers when it does, is purged, and counts who looks. */
interface PlaceCache extends DocumentCache {
  readonly purge: () => Promise<void>;
  readonly looks: () => number;
  /** Holds back what is to be kept while something is done; the call that comes back lets it in. */
  readonly holdWrites: (during: () => Promise<void>) => Promise<() => Promise<void>>;
}

const LIST = "/status-lists/1";
const MEMORY = { dueMs: 250, maxMs: 1_000 };

function openCache(): PlaceCache {
  const documents = memoryDocuments();
  const keys = new Set<string>();
  let looks = 0;
  let held: Parameters<DocumentCache["write"]>[] | undefined;
  return {
    looks: () => looks,
    read: async (key) => {
      if (key === LIST) looks += 1;
      return documents.read(key);
    },
    write: async (...written) => {
      keys.add(written[0]);
      if (held === undefined) await documents.write(...written);
      else held.push(written);
    },
    forget: documents.forget,
    purge: async () => {
      for (const key of keys) await documents.forget(key);
    },
    holdWrites: async (during) => {
      const waiting: Parameters<DocumentCache["write"]>[] = [];
      held = waiting;
      await during();
      held = undefined;
      return async () => {
        for (const written of waiting) await documents.write(...written);
      };
    },
  };
}

interface Clock {
  nowMs: number;
}

function openEdge(platform: TestPlatform, documents: DocumentCache, clock: Clock): Edge {
  const ports: EdgePorts = {
    nowMs: () => clock.nowMs,
    randomId: () => crypto.randomUUID(),
    fetch: (url, init) => fetch(url, init),
    fetchPublic: () => Promise.reject(new Error("expected no directory to be asked for")),
    documents,
    directories: memoryDocuments(),
    memory: MEMORY,
    isFirstUse: async () => true,
    defer: (work) => void work.catch(() => undefined),
    log: () => undefined,
  };
  return createEdge(readEdgeConfig({ LICET_ORIGIN: platform.origin, LICET_EDGE_TTL_SECONDS: "15" }), ports);
}

async function statusOf(edge: Edge, platform: TestPlatform): Promise<number> {
  const headers = new Headers({ authorization: `License ${await platform.license()}` });
  const verdict = await edge.decide({ method: "GET", url: SITE + WORK, headers });
  return verdict.kind === "pass" ? 200 : verdict.response.status;
}

test("what was purged is not let through by memory once the cache is looked into again", async () => {
  const [platform, cache, clock] = [await openPlatform(), openCache(), { nowMs: Date.now() }];
  const edge = openEdge(platform, cache, clock);
  expect(await statusOf(edge, platform)).toBe(200);
  await platform.publishList({ [PLACES.consent]: STATUS.revoked }, { seq: 2 });
  await cache.purge();
  clock.nowMs += MEMORY.dueMs;
  expect(await statusOf(edge, platform)).toBe(403);
});

test("of many requests at once one looks into the cache when memory is due", async () => {
  const [platform, cache, clock] = [await openPlatform(), openCache(), { nowMs: Date.now() }];
  const edge = openEdge(platform, cache, clock);
  expect(await statusOf(edge, platform)).toBe(200);
  const before = cache.looks();
  clock.nowMs += MEMORY.dueMs;
  const statuses = await Promise.all(Array.from({ length: 20 }, () => statusOf(edge, platform)));
  expect([...new Set(statuses), cache.looks() - before]).toEqual([200, 1]);
});

test("of many requests at once one asks the platform when the place was purged, and after it none passes", async () => {
  const [platform, cache, clock] = [await openPlatform(), openCache(), { nowMs: Date.now() }];
  const edge = openEdge(platform, cache, clock);
  expect(await statusOf(edge, platform)).toBe(200);
  await platform.publishList({ [PLACES.consent]: STATUS.revoked }, { seq: 2 });
  await cache.purge();
  clock.nowMs += MEMORY.dueMs;
  await Promise.all(Array.from({ length: 20 }, () => statusOf(edge, platform)));
  expect(await statusOf(edge, platform)).toBe(403);
  const asked = (await platform.stand.requests()).filter(({ url }) => url === LIST);
  expect(asked.length).toBe(2);
});

test("memory lets nothing through for longer than its end, though the cache and the platform are silent", async () => {
  const [platform, cache, clock] = [await openPlatform(), openCache(), { nowMs: Date.now() }];
  const edge = openEdge(platform, cache, clock);
  expect(await statusOf(edge, platform)).toBe(200);
  await platform.publish({ [LIST]: { status: 503 } });
  await cache.purge();
  clock.nowMs += MEMORY.maxMs;
  expect(await statusOf(edge, platform)).toBe(503);
});

test("a fill that was under way while the cache was purged brings nothing back", async () => {
  const [platform, cache, clock] = [await openPlatform(), openCache(), { nowMs: Date.now() }];
  // Another isolate of the same place has asked before, and its answer reaches the cache late.
  const letIn = await cache.holdWrites(async () => {
    expect(await statusOf(openEdge(platform, cache, clock), platform)).toBe(200);
  });
  await platform.publishList({ [PLACES.consent]: STATUS.revoked }, { seq: 2 });
  await cache.purge();
  const edge = openEdge(platform, cache, clock);
  expect(await statusOf(edge, platform)).toBe(403);
  await letIn();
  await platform.publish({ [LIST]: { status: 503 } });
  clock.nowMs += MEMORY.maxMs;
  expect(await statusOf(edge, platform)).not.toBe(200);
});
