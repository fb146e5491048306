import {
  REVOCATIONS_PER_PAGE,
  REVOCATION_RETENTION_SECONDS,
  type RevocationView,
  accept,
  readRevocationView,
  refuse,
  verifyDocument,
} from "@licet/protocol";
import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { enrolCreator, expectStatus, giveConsent } from "../../../test/fixtures/actors.ts";
import { readDocument, readKeys } from "../../../test/fixtures/datasets.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import type { ConsentRow } from "../consents/lookup.ts";
import { writeFact } from "../events/write-fact.ts";
import { addToView } from "./render-view.ts";

const platform = await startPlatform();
const { ctx } = platform.server;
const NEWEST = "/.well-known/consent-revocations.json";

/** As many ended consents as are wanted, without the trouble of giving them first. */
async function endedConsents(count: number, lastsSeconds = 86_400): Promise<readonly ConsentRow[]> {
  const sample = await ctx.db.selectFrom("consent").selectAll().limit(1).executeTakeFirstOrThrow();
  return Array.from({ length: count }, () => ({
    ...sample,
    jti: `ctok_${randomBytes(16).toString("base64url")}`,
    expires_at: Math.floor(platform.clock.nowMs() / 1_000) + lastsSeconds,
  }));
}

async function list(ended: readonly ConsentRow[]): Promise<readonly string[]> {
  await writeFact(ctx, async (fact) => {
    await addToView(fact, ended);
    return accept(undefined);
  });
  return ended.map((row) => row.jti);
}

/** A page as a stranger verifies it. */
async function readPage(path: string): Promise<RevocationView> {
  const document = await readDocument(platform, path);
  const verified = await verifyDocument(document, {
    type: "consent-revocations",
    keys: await readKeys(platform),
    madeAt: Math.floor(platform.clock.nowMs() / 1_000),
  });
  const view = verified.ok ? readRevocationView(document) : verified;
  if (!view.ok) throw new Error(view.refusal.detail);
  return view.value;
}

/** All pages, newest first. */
async function readPages(): Promise<readonly RevocationView[]> {
  const pages = [await readPage(NEWEST)];
  for (let next = pages[0]?.next; next !== undefined; next = pages.at(-1)?.next)
    pages.push(await readPage(next.slice(platform.origin.length)));
  return pages;
}

const jtisOf = (pages: readonly RevocationView[]): readonly string[] =>
  pages.toReversed().flatMap((page) => page.revocations.map((entry) => entry.jti));

describe("the revocation view", () => {
  const expected: string[] = [];

  test("is there before anything was revoked, and names the status lists", async () => {
    expect(await readPage(NEWEST)).toMatchObject({ revocations: [], seq: 1, ttl_seconds: 15 });
    const creator = await enrolCreator(platform);
    const { jti } = await giveConsent(creator);
    expectStatus(await creator.caller.post(`/api/v1/consents/${jti}/revoke`), 200);
    expected.push(jti);
    expect(await readPage(NEWEST)).toMatchObject({
      revocations: [{ jti }],
      status_lists: [`${platform.origin}/status-lists/1`],
      seq: 2,
    });
  });

  test("fills its first page to the last place, and only the next one opens another", async () => {
    expected.push(...(await list(await endedConsents(REVOCATIONS_PER_PAGE - 1))));
    const full = await readPages();
    expect(full).toHaveLength(1);
    expect(jtisOf(full)).toEqual(expected);

    expected.push(...(await list(await endedConsents(1))));
    const pages = await readPages();
    expect(pages.map((page) => page.revocations.length)).toEqual([1, REVOCATIONS_PER_PAGE]);
    expect(pages[0]?.next).toBe(`${platform.origin}/.well-known/consent-revocations/0.json`);
    expect(jtisOf(pages)).toEqual(expected);
  });

  test("crosses several pages in one fact, newest last, none missing, none twice", async () => {
    expected.push(...(await list(await endedConsents(2_500))));
    const pages = await readPages();
    expect(pages.map((page) => page.revocations.length)).toEqual([501, 1_000, 1_000, 1_000]);
    expect(jtisOf(pages)).toEqual(expected);
    expect(new Set(expected).size).toBe(expected.length);
  });

  test("keeps what many facts add at once in one order, without gaps", async () => {
    const added = await Promise.all(Array.from({ length: 20 }, async () => list(await endedConsents(40))));
    const pages = await readPages();
    const listed = jtisOf(pages);
    expect(listed).toHaveLength(expected.length + 800);
    expect(new Set(listed)).toEqual(new Set([...expected, ...added.flat()]));
    const rows = await ctx.db.selectFrom("revocation").select(["sequence", "jti"]).orderBy("sequence").execute();
    expect(rows.map((row) => row.sequence)).toEqual(rows.map((_, index) => index + 1));
    expect(rows.map((row) => row.jti)).toEqual(listed);
  });

  test("says nothing of a fact that was refused", async () => {
    const before = await readPage(NEWEST);
    const ended = await endedConsents(3);
    const refused = await writeFact(ctx, async (fact) => {
      await addToView(fact, ended);
      return refuse("conflict", "changed our mind");
    });
    expect(refused.ok).toBe(false);
    expect(await readPage(NEWEST)).toEqual(before);
  });

  test("drops a revocation thirty days after the token would have expired anyway", async () => {
    const [short = ""] = await list(await endedConsents(1, 60));
    expect(jtisOf([await readPage(NEWEST)])).toContain(short);
    platform.clock.advance(60 + REVOCATION_RETENTION_SECONDS);
    await list(await endedConsents(1));
    expect(jtisOf([await readPage(NEWEST)])).not.toContain(short);
  });
});
