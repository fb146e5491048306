import { type ContentStatus, contentStatusPath, normaliseContentUrl, verifyContentStatus } from "@licet/protocol";
import { sql } from "kysely";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  giveConsent,
  publishDataset,
  registerWork,
  uniqueId,
} from "../../../test/fixtures/actors.ts";
import { datasetBody, readKeys, registerWorks } from "../../../test/fixtures/datasets.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { claimOrder, orderStatuses, releaseOrder } from "./content-status-store.ts";

const platform = await startPlatform({ compactionSeconds: undefined });
const { db } = platform.server.ctx;

const newUrl = (): string => `https://works.example/${uniqueId("w-")}`;

function pathOf(url: string): string {
  const normalised = normaliseContentUrl(url);
  if (!normalised.ok) throw new Error(normalised.refusal.detail);
  return contentStatusPath(normalised.value);
}

/** Until everything that was published and revised is rendered. */
async function rendered(): Promise<void> {
  await expect
    .poll(
      async () => {
        const waiting = await db
          .selectFrom("unhandled_event")
          .select("event_id")
          .where("queue", "=", "content-status")
          .execute();
        return waiting.length + (await db.selectFrom("content_status_order").select("dataset_id").execute()).length;
      },
      { timeout: 30_000, interval: 20 },
    )
    .toBe(0);
}

/** The content status of an address, verified as an edge does. */
async function statusOf(url: string): Promise<ContentStatus> {
  await rendered();
  const keys = await readKeys(platform);
  const answer = expectStatus(await platform.anonymous.get(pathOf(url)), 200);
  const now = Math.floor(platform.clock.nowMs() / 1_000);
  const verified = await verifyContentStatus(answer.text, { url, keys, now });
  if (!verified.ok) throw new Error(`${verified.refusal.code}: ${verified.refusal.detail}`);
  return verified.value;
}

async function publishedWork(url = newUrl()) {
  const creator = await enrolCreator(platform);
  const work = await registerWork(platform, creator.creatorId, { canonical_url: url });
  const { jti, claims } = await giveConsent(creator);
  const { dataset_id } = await publishDataset(platform, [work]);
  return { creator, work, jti, claims, datasetId: String(dataset_id), url };
}

describe("a content status", () => {
  test("says of a work's address which datasets hold it, and where their standing is read", async () => {
    const { work, jti, claims, datasetId, url } = await publishedWork();
    const item = expectStatus(await platform.operator.get(`/api/v1/content/${work}`), 200).body;
    const manifest = expectStatus(await platform.anonymous.get(`/datasets/${datasetId}/manifest.json`), 200).body;
    expect(await statusOf(url)).toMatchObject({
      url,
      content_id: work,
      modality: "text",
      status: item.status,
      grants: [
        {
          dataset_id: datasetId,
          version: 1,
          scope: ["training"],
          jti,
          expires_at: new Date(claims.exp * 1_000).toISOString().replace(".000Z", "Z"),
          dataset_status: manifest.status_reference,
          consent_status: claims.status,
        },
      ],
    });
  });

  test("is not there for an address that no dataset holds", async () => {
    const creator = await enrolCreator(platform);
    const url = newUrl();
    await registerWork(platform, creator.creatorId, { canonical_url: url });
    await rendered();
    const answer = expectStatus(await platform.anonymous.get(pathOf(url)), 404);
    expect(answer.headers.get("access-control-allow-origin")).toBe("*");
  });

  test("is not changed by a revocation, which is a bit in a list", async () => {
    const { creator, jti, url } = await publishedWork();
    const before = await statusOf(url);
    expectStatus(await creator.caller.post(`/api/v1/consents/${jti}/revoke`), 200);
    expect(await statusOf(url)).toEqual(before);
  });

  test("names every dataset that holds the work, the newest first, and none once a compacted version lacks it", async () => {
    const { creator, work, datasetId, url } = await publishedWork();
    const stays = await registerWork(platform, creator.creatorId);
    await giveConsent(creator);
    expectStatus(
      await platform.operator.post("/api/v1/datasets", {
        dataset_id: datasetId,
        name: "Sample collection",
        content_items: [{ content_id: work }, { content_id: stays }],
        pricing: { model_use: "per-token:0.0001" },
      }),
      201,
    );
    platform.clock.advance(2);
    const { dataset_id: second } = await publishDataset(platform, [work]);
    const both = await statusOf(url);
    expect(both.grants.map(({ dataset_id, version }) => [dataset_id, version])).toEqual([
      [second, 1],
      [datasetId, 2],
    ]);
    expectStatus(
      await creator.caller.post(`/api/v1/creators/${creator.creatorId}/revocations`, { content_id: work }),
      200,
    );
    expectStatus(await platform.operator.post(`/api/v1/datasets/${datasetId}/compact`), 201);
    expect((await statusOf(url)).grants.map(({ dataset_id }) => dataset_id)).toEqual([second]);
  });

  test("grants nothing where two works are registered at two spellings of one address", async () => {
    const { url } = await publishedWork();
    const other = url.replace("https:", "http:");
    expect((await statusOf(url)).grants).toHaveLength(1);
    await publishedWork(other);
    expect((await statusOf(url)).grants).toEqual([]);
  });

  test("follows a work that becomes one of another kind", async () => {
    const { creator, work, url } = await publishedWork();
    expect(await statusOf(url)).toMatchObject({ modality: "text" });
    const revised = { content_id: work, canonical_url: url, mime_type: "image/png" };
    const item = {
      creator_id: creator.creatorId,
      sha256: "a".repeat(64),
      created_at: "2025-11-01T12:00:00Z",
      ...revised,
    };
    expectStatus(await platform.operator.post("/api/v1/content", item), 200);
    expect(await statusOf(url)).toMatchObject({ modality: "image", content_id: work });
  });
});

describe("a content status is good for a day", () => {
  test("and signed again on reading once half of it is over, or another key signs", async () => {
    const { url } = await publishedWork();
    const first = await statusOf(url);
    expect(Date.parse(first.expires_at) - Date.parse(first.checked_at)).toBe(86_400_000);
    platform.clock.advance(6 * 3_600);
    expect((await statusOf(url)).seq).toBe(first.seq);
    platform.clock.advance(7 * 3_600);
    const second = await statusOf(url);
    expect(second.seq).toBe(first.seq + 1);
    expectStatus(await platform.operator.post("/api/v1/keys/rotations", { purposes: ["document"] }), 201);
    platform.clock.advance(61);
    const third = await statusOf(url);
    expect(third.seq).toBe(second.seq + 1);
    expect(third.grants).toEqual(first.grants);
    expect((await statusOf(url)).seq).toBe(third.seq);
  });
});

describe("an order to render", () => {
  test("that comes while an older one is rendered waits for nobody's lease", async () => {
    const { work, datasetId, url, creator } = await publishedWork();
    await rendered();
    const nowMs = platform.clock.nowMs();
    // What another server has in its hands, and takes its time with.
    await db
      .insertInto("content_status_order")
      .values({ dataset_id: datasetId, ordered_at_ms: nowMs, lease_until_ms: nowMs + 3_600_000 })
      .execute();
    const added = await registerWork(platform, creator.creatorId);
    await giveConsent(creator);
    expectStatus(
      await platform.operator.post("/api/v1/datasets", datasetBody([work, added], { dataset_id: datasetId })),
      201,
    );
    expect((await statusOf(url)).grants).toMatchObject([{ dataset_id: datasetId, version: 2 }]);
  });

  test("that fails holds up no other, and is tried again soon", async () => {
    const [fails, works] = [newUrl(), newUrl()];
    await sql`
      create function refuse_address() returns trigger language plpgsql
          as $$ begin raise exception 'no room for %', new.url; end $$`.execute(db);
    await sql`
      create trigger refuse_address before insert on content_status for each row
        when (new.url = '${sql.raw(fails)}') execute function refuse_address()`.execute(db);
    const mend = () => sql`drop function if exists refuse_address cascade`.execute(db);
    onTestFinished(async () => void (await mend()));
    await publishedWork(fails);
    await publishedWork(works);
    await expect.poll(async () => (await platform.anonymous.get(pathOf(works))).status, { timeout: 30_000 }).toBe(200);
    expectStatus(await platform.anonymous.get(pathOf(fails)), 404);
    await mend();
    expect((await statusOf(fails)).grants).toHaveLength(1);
  });
});

test("orders come in turn, one that failed behind those that have waited since", async () => {
  const { datasetId: failed } = await publishedWork();
  const { datasetId: waits } = await publishedWork();
  await rendered();
  const nowMs = platform.clock.nowMs();
  const undone = new Error("undone");
  const claimed: (string | undefined)[] = [];
  const claiming = db.transaction().execute(async (trx) => {
    await trx
      .insertInto("content_status_order")
      .values([
        { dataset_id: failed, ordered_at_ms: nowMs - 60_000, lease_until_ms: nowMs - 1 },
        { dataset_id: waits, ordered_at_ms: nowMs - 2 },
      ])
      .execute();
    for (let time = 0; time < 3; time += 1)
      claimed.push((await claimOrder(trx, { nowMs, leaseUntilMs: nowMs + 1 }))?.dataset_id);
    throw undone;
  });
  await expect(claiming).rejects.toBe(undone);
  expect(claimed).toEqual([waits, failed, undefined]);
});

test("an order that is let go by whoever held an older one of the same dataset stays held", async () => {
  const { datasetId } = await publishedWork();
  await rendered();
  const nowMs = platform.clock.nowMs();
  const undone = new Error("undone");
  const leases: (number | undefined)[] = [];
  const releasing = db.transaction().execute(async (trx) => {
    await orderStatuses(trx, datasetId, nowMs);
    const lease = { nowMs, leaseUntilMs: nowMs + 60_000 };
    const older = await claimOrder(trx, lease);
    await orderStatuses(trx, datasetId, nowMs);
    const newer = await claimOrder(trx, lease);
    for (const order of [older, newer]) {
      if (order === undefined) throw new Error("expected an order");
      await releaseOrder(trx, order);
      const row = await trx.selectFrom("content_status_order").select("lease_until_ms").executeTakeFirst();
      leases.push(row?.lease_until_ms);
    }
    throw undone;
  });
  await expect(releasing).rejects.toBe(undone);
  expect(leases).toEqual([nowMs + 60_000, 0]);
});

describe("a large dataset", () => {
  test("is rendered in steps, and a crash in the middle loses none of them", async () => {
    const creator = await enrolCreator(platform);
    const works = await registerWorks(platform, creator.creatorId, 250);
    await giveConsent(creator);
    const { dataset_id } = await publishDataset(platform, works);
    await rendered();
    const seqs = async (): Promise<ReadonlyMap<string, number>> => {
      const rows = await db
        .selectFrom("document")
        .innerJoin("content_status", (join) => join.onTrue())
        .select(["content_id", "url", "path", "seq"])
        .where("kind", "=", "content-status")
        .where("content_id", "in", works)
        .execute();
      return new Map(
        rows.filter(({ path, url }) => path === contentStatusPath(url)).map(({ content_id, seq }) => [content_id, seq]),
      );
    };
    const before = await seqs();
    expect(before.size).toBe(250);
    // What a server leaves that died after its second step, and whose lease is over.
    const ordered = works.toSorted();
    await db
      .insertInto("content_status_order")
      .values({ dataset_id, after_content_id: ordered[199] ?? "", ordered_at_ms: 1, lease_until_ms: 1 })
      .execute();
    await rendered();
    const after = await seqs();
    const again = ordered.filter((id) => after.get(id) !== before.get(id));
    expect(again).toEqual(ordered.slice(200));
  });
});
