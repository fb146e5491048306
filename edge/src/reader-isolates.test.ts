import { STATUS, statusAt } from "@licet/protocol";
import { expect, onTestFinished, test } from "vitest";
import { createDocumentReader, createReaderMemory } from "./documents.ts";
import { memoryDocuments } from "./memory.ts";
import type { DocumentCache } from "./ports.ts";
import { PLACES, type TestPlatform, openPlatform } from "./testing/test-platform.ts";

const LIST = "/status-lists/1";
const REVOKED = { [PLACES.consent]: STATUS.revoked };

/** An isolate with a memory of its own, on a cache that it shares with others. Answers what the consent's place says. */
function openIsolate(platform: TestPlatform, documents: DocumentCache, ttlSeconds = 0) {
  const reader = createDocumentReader(
    {
      origin: platform.origin,
      address: platform.origin,
      ttlSeconds,
      timeoutMs: 5_000,
      allowsTest: false,
      ports: {
        nowMs: Date.now,
        randomId: () => crypto.randomUUID(),
        fetch: (url, init) => fetch(url, init),
        fetchPublic: () => Promise.reject(new Error("no directory is asked")),
        documents,
        directories: memoryDocuments(),
        memory: undefined,
        isFirstUse: async () => true,
        defer: () => undefined,
        log: () => undefined,
      },
    },
    createReaderMemory(),
  );
  return async () => {
    const list = await reader.statusList(platform.listUri);
    if (list.state !== "known") return list.state;
    const status = statusAt(list.value.bits, PLACES.consent);
    return status.ok ? status.value : status.refusal;
  };
}

test("an isolate that comes late with an older list neither uses it nor writes it over the newer one", async () => {
  const platform = await openPlatform();
  const documents = memoryDocuments();
  const [early, late] = [openIsolate(platform, documents), openIsolate(platform, documents)];
  // Held by the shared cache, so that only the list is waited for.
  expect(await early()).toBe(STATUS.valid);
  await documents.forget(LIST);
  await platform.publishList({}, { delayMs: 1_500 });
  const asking = late();
  await expect
    .poll(async () => (await platform.stand.requests()).filter(({ url }) => url === LIST).length)
    .toBeGreaterThan(1);
  await platform.publishList(REVOKED, { seq: 2 });
  expect(await early()).toBe(STATUS.revoked);
  // What the other one brought is as good for it.
  expect(await asking).toBe(STATUS.revoked);
  const another = openIsolate(platform, documents, 15);
  expect(await another()).toBe(STATUS.revoked);
});

test("an isolate that asks in vain does not go on with the copy it had when another one has brought a newer", async () => {
  const platform = await openPlatform();
  const documents = memoryDocuments();
  const [early, late] = [openIsolate(platform, documents), openIsolate(platform, documents)];
  expect(await early()).toBe(STATUS.valid);
  expect(await late()).toBe(STATUS.valid);
  const countAsked = async (): Promise<number> =>
    (await platform.stand.requests()).filter(({ url }) => url === LIST).length;
  const before = await countAsked();
  await platform.publish({ [LIST]: { status: 500, delayMs: 1_500 } });
  const asking = late();
  await expect.poll(countAsked).toBeGreaterThan(before);
  await platform.publishList(REVOKED, { seq: 2 });
  expect(await early()).toBe(STATUS.revoked);
  expect(await asking).toBe(STATUS.revoked);
});

/** Counts the signatures that are verified from now until the test is done; each is verified all the same. */
function countFromNow(): () => number {
  const { subtle } = crypto;
  const verify = subtle.verify.bind(subtle);
  let count = 0;
  const value: typeof verify = (...given) => {
    count += 1;
    return verify(...given);
  };
  Object.defineProperty(subtle, "verify", { value, configurable: true });
  onTestFinished(() => void Reflect.deleteProperty(subtle, "verify"));
  return () => count;
}

test("the same bytes are verified once, and others by themselves", async () => {
  const platform = await openPlatform();
  const ask = openIsolate(platform, memoryDocuments());
  const countVerified = countFromNow();
  for (let time = 0; time < 5; time += 1) expect(await ask()).toBe(STATUS.valid);
  // The keys, and the list.
  expect(countVerified()).toBe(2);
  await platform.publishList(REVOKED, { seq: 2 });
  expect(await ask()).toBe(STATUS.revoked);
  expect(countVerified()).toBe(3);
  await platform.publishList(REVOKED, { seq: 2, signer: "stranger" });
  expect(await ask()).toBe(STATUS.revoked);
  await platform.publishKeys({ seq: 2 });
  expect(await ask()).toBe(STATUS.revoked);
});

test("an isolate that has seen a list in the cache takes no older one from anywhere", async () => {
  const platform = await openPlatform();
  const documents = memoryDocuments();
  await platform.publishList({}, { seq: 2 });
  await openIsolate(platform, documents)();
  const older = await documents.read(LIST);
  await documents.forget(LIST);
  await platform.publishList(REVOKED, { seq: 3 });
  await openIsolate(platform, documents)();
  const seen = openIsolate(platform, documents, 15);
  expect(await seen()).toBe(STATUS.revoked);
  await documents.forget(LIST);
  await platform.publishList({}, { seq: 2 });
  expect(await seen()).toBe("missing");
  if (older !== undefined) await documents.write(LIST, { ...older, fetchedAtMs: Date.now() }, undefined);
  expect(await seen()).toBe("missing");
  await platform.publishList(REVOKED, { seq: 4 });
  await expect.poll(seen).toBe(STATUS.revoked);
});
