import { accept, refuse } from "@licet/protocol";
import { sql } from "kysely";
import { describe, expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  giveConsent,
  publishDataset,
  registerWork,
  uniqueId,
} from "../../../test/fixtures/actors.ts";
import { datasetBody } from "../../../test/fixtures/datasets.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { engine } from "../../../test/fixtures/settings.ts";
import { documentPaths } from "../documents/document-paths.ts";
import { type Fact, writeFact } from "./write-fact.ts";

const platform = await startPlatform();
const { ctx } = platform.server;

/** Written beside facts, also for requests that are refused, or taken away by a sweep. */
const BESIDE_FACTS =
  /^(interaction|rate_limit|idempotency_key|journal_entry|event_feed|unsequenced_event|event_commit)/;
const WAITING = ["unhandled_event", "content_status_order", "signal_mark"];

/** How many rows each of our tables has. */
async function countRows(): Promise<Readonly<Record<string, number>>> {
  const { rows } = await sql<{
    name: string;
  }>`select table_name as name from information_schema.tables where table_schema = 'public' order by table_name`.execute(
    ctx.db,
  );
  const counts: Record<string, number> = {};
  for (const { name } of rows.filter((row) => !BESIDE_FACTS.test(row.name)))
    counts[name] = Number(
      (await sql<{ count: number }>`select count(*) as count from ${sql.table(name)}`.execute(ctx.db)).rows[0]?.count,
    );
  return counts;
}

/** What is still to be done because of facts that were written. */
async function countWaiting(): Promise<number> {
  const counts = await countRows();
  return WAITING.reduce((sum, table) => sum + (counts[table] ?? 0), 0);
}

async function countJobs(): Promise<number> {
  return Number(
    (await sql<{ count: number }>`select count(*) as count from pgboss.job`.execute(ctx.db)).rows[0]?.count,
  );
}

describe("a refused operation", () => {
  test("leaves no row anywhere, whatever it had written before it was refused", async () => {
    const [mine, theirs] = [await enrolCreator(platform), await enrolCreator(platform)];
    const work = await registerWork(platform, mine.creatorId, { content_id: uniqueId("Work-") });
    const uncovered = await registerWork(platform, theirs.creatorId);
    const { jti, token } = await giveConsent(mine);
    const { dataset_id } = await publishDataset(platform, [work], { dataset_id: uniqueId("Ds-") });
    await expect.poll(countWaiting, { timeout: 10_000 }).toBe(0);
    const before = await countRows();
    const refusals = [
      platform.operator.post("/api/v1/datasets", datasetBody([work, uncovered])),
      platform.operator.post("/api/v1/datasets", datasetBody([work], { dataset_id: dataset_id.toLowerCase() })),
      platform.operator.post("/api/v1/datasets", datasetBody([work], { consent_jwt: `${token}A` })),
      platform.operator.post(`/api/v1/datasets/${dataset_id}/offers`, { marketplace_id: "mkt_nobody" }),
      platform.operator.post("/api/v1/creators", { creator_id: mine.creatorId.toUpperCase() }),
      mine.caller.post("/api/v1/consents", { token }),
      mine.caller.post("/api/v1/consents/drafts", { subject: `content:${uncovered}`, scope: ["training"] }),
      mine.caller.post("/api/v1/consents/drafts", {
        subject: `creator:${mine.creatorId}`,
        scope: ["training"],
        license: "nobody_wrote:1.0",
      }),
      theirs.caller.post(`/api/v1/consents/${jti}/revoke`),
      theirs.caller.post(`/api/v1/creators/${theirs.creatorId}/revocations`, { content_id: work }),
      platform.operator.post("/api/v1/marketplaces", {
        name: "Plain",
        base_url: "http://plain.example",
        webhook_url: "https://plain.example/hook",
      }),
      platform.operator.post("/api/v1/content", {
        creator_id: mine.creatorId,
        content_id: work.toLowerCase(),
        canonical_url: "https://works.example/x",
        sha256: "00".repeat(32),
        mime_type: "text/plain",
        created_at: "2025-11-01T12:00:00Z",
      }),
    ];
    for (const refusal of refusals) expect((await refusal).status).toBeGreaterThanOrEqual(400);
    expect(await countRows()).toEqual(before);
  });

  test("sends no job and publishes no document, also when it fails for a fault of ours", async () => {
    const [before, jobs] = [await countRows(), await countJobs()];
    const write = async (fact: Fact) => {
      fact.record({ type: "consent.revoked", aggregate: "ctok_AAAAAAAAAAAAAAAAAAAAAA", body: { dataset_ids: [] } });
      fact.publish(documentPaths.datasetStatus("ds-never"), async () => ({
        kind: "dataset-status",
        content: {},
        tags: [],
      }));
    };
    await writeFact(ctx, async (fact) => {
      await write(fact);
      return refuse("conflict", "changed our mind");
    });
    await expect(
      writeFact(ctx, async (fact) => {
        await write(fact);
        throw new Error("a fault");
      }),
    ).rejects.toThrow("a fault");
    await expect(
      writeFact(ctx, async (fact) => {
        await write(fact);
        fact.publish(documentPaths.datasetStatus("ds-broken"), () => Promise.reject(new Error("cannot be rendered")));
        return accept(undefined);
      }),
    ).rejects.toThrow("cannot be rendered");
    expect(await countRows()).toEqual(before);
    expect(await countJobs()).toBe(jobs);
    expect((await platform.anonymous.get(documentPaths.datasetStatus("ds-never"))).status).toBe(404);
  });
});

describe("a fact", () => {
  test("happens at one instant, and does what it has to do in memory only once it is committed", async () => {
    const done: string[] = [];
    const written = await writeFact(ctx, async (fact) => {
      fact.afterCommit(() => done.push("after"));
      fact.record({ type: "creator.registered", aggregate: "user:instant", body: {} });
      fact.record({ type: "creator.registered", aggregate: "user:instant", body: {} });
      done.push("during");
      return accept(fact.now);
    });
    await writeFact(ctx, async (fact) => {
      fact.afterCommit(() => done.push("never"));
      return refuse("conflict", "no");
    });
    expect(done).toEqual(["during", "after"]);
    const rows = await ctx.db.selectFrom("event").select("at_ms").where("aggregate", "=", "user:instant").execute();
    expect(new Set(rows.map((row) => Math.floor(row.at_ms / 1_000)))).toEqual(
      new Set([written.ok ? written.value : 0]),
    );
  });
});

const lockSession = (fact: Fact, id: string) =>
  fact.trx.selectFrom("session_token").select("kind").where("token_sha256", "=", id).forUpdate().execute();
/** A row that two may want to be the first to insert. */
const sessionOf = (token_sha256: string) => ({
  token_sha256,
  kind: "operator" as const,
  creator_id: null,
  created_at: 0,
  expires_at: null,
});
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

let provokedDeadlocks = 0;

/** PGlite has one connection, held by one transaction at a time: none can lose against another. */
describe.skipIf(engine === "pglite")("a fact that loses against another one", () => {
  test("in a deadlock is tried again, and both are written", async () => {
    // Rows that no sweep wants: one that did would be drawn into the deadlock, and count as another.
    await ctx.db
      .insertInto("session_token")
      .values([sessionOf("crossed-a"), sessionOf("crossed-b")])
      .execute();
    let attempts = 0;
    const cross = (first: string, second: string) =>
      writeFact(ctx, async (fact) => {
        attempts += 1;
        await lockSession(fact, first);
        await pause(200);
        await lockSession(fact, second);
        fact.record({ type: "dataset.drafted", aggregate: first, body: {} });
        return accept(undefined);
      });
    const results = await Promise.all([cross("crossed-a", "crossed-b"), cross("crossed-b", "crossed-a")]);
    expect(results.every((result) => result.ok)).toBe(true);
    // On a slow machine both may lose before one goes through.
    expect(attempts).toBeGreaterThanOrEqual(3);
    provokedDeadlocks = attempts - 2;
    expect(
      await ctx.db.selectFrom("event").select("id").where("aggregate", "like", "crossed-%").execute(),
    ).toHaveLength(2);
  });

  test("in a serialization failure is tried again", async () => {
    let attempts = 0;
    const skew = (name: string) =>
      writeFact(ctx, async (fact) => {
        attempts += 1;
        await sql`set transaction isolation level serializable`.execute(fact.trx);
        const seen = await fact.trx
          .selectFrom("session_token")
          .select("token_sha256")
          .where("token_sha256", "like", "skew:%")
          .execute();
        await pause(100);
        await fact.trx
          .insertInto("session_token")
          .values(sessionOf(`skew:${name}-${seen.length}`))
          .execute();
        return accept(undefined);
      });
    const results = await Promise.all([skew("a"), skew("b")]);
    expect(results.every((result) => result.ok)).toBe(true);
    expect(attempts).toBeGreaterThan(2);
    const rows = await ctx.db
      .selectFrom("session_token")
      .select("token_sha256")
      .where("token_sha256", "like", "skew:%")
      .execute();
    expect(rows.map((row) => row.token_sha256.at(-1)).toSorted()).toEqual(["0", "1"]);
  });

  test("for a row that both wanted to be the first to insert finds it on the second look", async () => {
    const results = await Promise.all(
      Array.from({ length: 8 }, () =>
        writeFact(ctx, async (fact) => {
          const held = await fact.trx
            .selectFrom("session_token")
            .select("kind")
            .where("token_sha256", "=", "only one")
            .executeTakeFirst();
          if (held !== undefined) return accept("found");
          await pause(50);
          await fact.trx.insertInto("session_token").values(sessionOf("only one")).execute();
          return accept("inserted");
        }),
      ),
    );
    expect(results.map((result) => (result.ok ? result.value : result.refusal.code)).toSorted()).toEqual([
      ...Array.from({ length: 7 }, () => "found"),
      "inserted",
    ]);
  });

  test("is given up when it loses every time, and nothing of it is kept", async () => {
    const before = await countRows();
    let attempts = 0;
    const broken = writeFact(ctx, async (fact) => {
      attempts += 1;
      fact.record({ type: "creator.registered", aggregate: "user:twice", body: {} });
      await fact.trx
        .insertInto("session_token")
        .values([sessionOf("twice"), sessionOf("twice")])
        .execute();
      return accept(undefined);
    });
    await expect(broken).rejects.toThrow(/duplicate key/);
    expect(attempts).toBe(8);
    expect(await countRows()).toEqual(before);
  });
});

describe("many facts at once", () => {
  test("about the same things in every order are all written, and nobody waits for ever", async () => {
    const creator = await enrolCreator(platform);
    const works = await Promise.all(Array.from({ length: 6 }, () => registerWork(platform, creator.creatorId)));
    const consents = [];
    for (const work of works) consents.push(await giveConsent(creator, { subject: `content:${work}` }));
    const ids = works.map(() => uniqueId("ds-"));
    const startedMs = Date.now();
    const answers = await Promise.all([
      ...ids.map((dataset_id, index) =>
        platform.operator.post(
          "/api/v1/datasets",
          datasetBody(index % 2 === 0 ? works : works.toReversed(), { dataset_id }),
        ),
      ),
      ...consents.slice(0, 3).map(({ jti }) => creator.caller.post(`/api/v1/consents/${jti}/revoke`)),
      ...works
        .slice(3, 5)
        .map((content_id) => creator.caller.post(`/api/v1/creators/${creator.creatorId}/revocations`, { content_id })),
      ...works.map(() =>
        creator.caller.post("/api/v1/consents/drafts", {
          subject: `creator:${creator.creatorId}`,
          scope: ["training"],
        }),
      ),
      ...Array.from({ length: 6 }, () => registerWork(platform, creator.creatorId).then(() => ({ status: 201 }))),
    ]);
    expect(answers.filter((answer) => ![200, 201, 422].includes(answer.status))).toEqual([]);
    expect(Date.now() - startedMs).toBeLessThan(15_000);
    for (const dataset_id of ids) {
      const { status, body } = await platform.anonymous.get(`/.well-known/dataset-status/${dataset_id}`);
      if (status === 200) expect(body).toMatchObject({ status: "partially_revoked", revoked_count: 5 });
    }
  });

  test.skipIf(engine === "pglite")(
    "never fall into a deadlock that a second look at the lock order would have avoided (one connection cannot)",
    async () => {
      const { rows } = await sql<{
        deadlocks: number;
      }>`select deadlocks from pg_stat_database where datname = current_database()`.execute(ctx.db);
      expect(rows[0]?.deadlocks).toBeLessThanOrEqual(provokedDeadlocks);
      expectStatus(await platform.operator.get("/api/v1/datasets"), 200);
    },
  );
});
