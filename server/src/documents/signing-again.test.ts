import { decodeJwt } from "jose";
import { beforeAll, describe, expect, test } from "vitest";
import { enrolCreator, giveConsent, publishDataset, registerWork } from "../../../test/fixtures/actors.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { readStatusBit } from "../../../test/fixtures/status-bit.ts";
import { type Documents, createDocuments } from "./documents.ts";
import type { ServedDocument } from "./render-document.ts";

const platform = await startPlatform();
const { ctx } = platform.server;
const ana = await enrolCreator(platform);
const work = await registerWork(platform, ana.creatorId);
const consent = await giveConsent(ana);
const { dataset_id } = await publishDataset(platform, [work]);

const HALF_LIFE_SECONDS = 150;
const STATUS_DOCUMENTS = [
  "/.well-known/consent-revocations.json",
  "/status-lists/1",
  `/.well-known/dataset-status/${dataset_id}`,
  `/datasets/${dataset_id}/manifest.json`,
];

interface Seen {
  readonly text: string;
  readonly seq: number;
  /** Seconds since the epoch. */
  readonly checkedAt: number;
  readonly expiresAt: number;
}

async function look(path: string): Promise<Seen> {
  const { text, body } = await platform.anonymous.get(path);
  if (body !== undefined)
    return {
      text,
      seq: body.seq,
      checkedAt: Date.parse(body.checked_at) / 1_000,
      expiresAt: Date.parse(body.expires_at) / 1_000,
    };
  const { iat = 0, exp = 0, ...claims } = decodeJwt<{ seq: number }>(text);
  return { text, seq: claims.seq, checkedAt: iat, expiresAt: exp };
}

function advanceTo(epochSeconds: number): void {
  platform.clock.advance(epochSeconds - platform.clock.nowMs() / 1_000);
}

describe.each(STATUS_DOCUMENTS)("%s", (path) => {
  test("stays the same until half of its life is over, and is signed again then", async () => {
    advanceTo((await look(path)).checkedAt + HALF_LIFE_SECONDS + 1);
    const first = await look(path);
    expect(first.expiresAt - first.checkedAt).toBe(300);
    advanceTo(first.checkedAt + HALF_LIFE_SECONDS - 30);
    expect((await look(path)).text).toBe(first.text);
    advanceTo(first.checkedAt + HALF_LIFE_SECONDS + 1);
    const second = await look(path);
    expect(second.seq).toBe(first.seq + 1);
    expect(second.checkedAt).toBeGreaterThanOrEqual(first.checkedAt + HALF_LIFE_SECONDS + 1);
    expect((await look(path)).text).toBe(second.text);
  });

  test("is signed once for all who read at the same moment", async () => {
    const { checkedAt, seq } = await look(path);
    advanceTo(checkedAt + HALF_LIFE_SECONDS + 1);
    const seen = await Promise.all(Array.from({ length: 20 }, () => look(path)));
    expect(new Set(seen.map((document) => document.text)).size).toBe(1);
    expect(seen[0]?.seq).toBe(seq + 1);
  });

  test("is never read after it expired, however long nobody asked", async () => {
    platform.clock.advance(86_400);
    const { checkedAt, expiresAt } = await look(path);
    const now = platform.clock.nowMs() / 1_000;
    expect(now - checkedAt).toBeLessThan(HALF_LIFE_SECONDS);
    expect(expiresAt - now).toBeGreaterThan(HALF_LIFE_SECONDS);
  });
});

test("signing again changes nothing but clocks, seq and signature", async () => {
  const path = `/.well-known/dataset-status/${dataset_id}`;
  const { body: before } = await platform.anonymous.get(path);
  platform.clock.advance(HALF_LIFE_SECONDS + 1);
  const { body: after } = await platform.anonymous.get(path);
  const changed = Object.keys(after).filter(
    (member) => JSON.stringify(after[member]) !== JSON.stringify(before[member]),
  );
  expect(changed.sort()).toEqual(["checked_at", "expires_at", "seq", "signatures"]);
});

test("a status list that is signed again still verifies with jose and says the same", async () => {
  expect(await readStatusBit(platform, { status: consent.claims.status })).toBe(0);
  platform.clock.advance(HALF_LIFE_SECONDS + 1);
  expect(await readStatusBit(platform, { status: consent.claims.status })).toBe(0);
});

describe("documents without clocks", () => {
  test.each(["/terms/paid_training/1.0", `/datasets/${dataset_id}/versions/1/manifest.json`])(
    "%s are not signed again",
    async (path) => {
      const { text } = await platform.anonymous.get(path);
      platform.clock.advance(86_400);
      expect((await platform.anonymous.get(path)).text).toBe(text);
    },
  );
});

describe("the copies in memory", () => {
  const path = `/.well-known/dataset-status/${dataset_id}`;
  let stored: ServedDocument;

  beforeAll(async () => {
    const read = await ctx.documents.read(path);
    if (read === undefined) throw new Error("expected a document");
    stored = read;
  });

  function freshDocuments(): Documents {
    return createDocuments(ctx);
  }

  /** A key that cannot be used, as when the store of keys is away. */
  function unableToSign(): Documents {
    const signerIn = (): never => {
      throw new Error("the signing key is away");
    };
    return createDocuments({ ...ctx, signingKeys: { ...ctx.signingKeys, signerIn } });
  }

  test("are never replaced by one with a lower seq", () => {
    const documents = freshDocuments();
    const newer = { ...stored, seq: stored.seq + 5, etag: '"newer"' };
    documents.remember([newer]);
    documents.remember([stored, { ...stored, seq: 0 }]);
    expect(documents.peek(path)).toBe(newer);
  });

  test("answer until half of a document's life is over, and not longer", () => {
    const documents = freshDocuments();
    const now = Math.floor(platform.clock.nowMs() / 1_000);
    documents.remember([{ ...stored, lifetime: { checkedAt: now - 140, expiresAt: now + 160 } }]);
    expect(documents.peek(path)).toBeDefined();
    documents.remember([{ ...stored, seq: stored.seq + 1, lifetime: { checkedAt: now - 150, expiresAt: now + 150 } }]);
    expect(documents.peek(path)).toBeUndefined();
  });

  test("go when there are too many, the ones read from the database longest ago first", () => {
    const documents = freshDocuments();
    documents.remember(
      Array.from({ length: 20_001 }, (_, index) => ({
        ...stored,
        path: `/status-lists/${index}`,
        lifetime: undefined,
      })),
    );
    expect(documents.peek("/status-lists/0")).toBeUndefined();
    expect(documents.peek("/status-lists/1")).toBeDefined();
  });

  test("go when they take too much memory, however few they are", () => {
    const bytes = new Uint8Array(200_000);
    const documents = createDocuments({ ...ctx, config: { documentMemoryBytes: 1_000_000 } });
    const copyAt = (index: number): ServedDocument => ({
      ...stored,
      path: `/status-lists/${index}`,
      bytes,
      lifetime: undefined,
    });
    documents.remember(Array.from({ length: 6 }, (_, index) => copyAt(index)));
    expect(Array.from({ length: 6 }, (_, index) => documents.peek(`/status-lists/${index}`) !== undefined)).toEqual([
      false,
      false,
      true,
      true,
      true,
      true,
    ]);
    documents.remember([{ ...copyAt(7), bytes: new Uint8Array(2_000_000) }]);
    expect(documents.peek("/status-lists/7")).toBeUndefined();
  });

  test("are good for the rest of their life while signing fails, and are refused after it", async () => {
    const documents = unableToSign();
    const now = Math.floor(platform.clock.nowMs() / 1_000);
    await ctx.db
      .updateTable("document")
      .set({ checked_at: now - 200, expires_at: now + 100 })
      .where("path", "=", path)
      .execute();
    expect(await documents.read(path)).toMatchObject({ path, seq: stored.seq });
    await ctx.db
      .updateTable("document")
      .set({ checked_at: now - 301, expires_at: now - 1 })
      .where("path", "=", path)
      .execute();
    await expect(unableToSign().read(path)).rejects.toThrow("the signing key is away");
    expect(await freshDocuments().read(path)).toMatchObject({ path, seq: stored.seq + 1 });
  });
});
