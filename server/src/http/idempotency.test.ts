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
import { datasetBody, registerWorks } from "../../../test/fixtures/datasets.ts";
import { startFurtherServer, startPlatform } from "../../../test/fixtures/platform.ts";
import { engine } from "../../../test/fixtures/settings.ts";
import { forgetKeys } from "./idempotency.ts";

const platform = await startPlatform();
const { ctx } = platform.server;
const under = (key: string) => ({ "idempotency-key": key });

async function readRow(key: string) {
  return ctx.db.selectFrom("idempotency_key").selectAll().where("key", "=", key).executeTakeFirst();
}

/** The transaction that locked a dataset's row last: the preparation of a large publication does nothing else to it. */
async function lastLockOf(datasetId: string): Promise<string | undefined> {
  const { rows } = await sql<{
    by: string;
  }>`select xmax::text as by from dataset where dataset_id = ${datasetId}`.execute(ctx.db);
  return rows[0]?.by;
}

describe("the same request under the same key", () => {
  test("is carried out once and gets the first answer again", async () => {
    const key = uniqueId("key-");
    const body = { name: "Backend", scopes: ["content:read"] };
    const first = expectStatus(await platform.operator.post("/api/v1/clients", body, under(key)), 201);
    const again = expectStatus(await platform.operator.post("/api/v1/clients", body, under(key)), 201);
    expect(again.text).toBe(first.text);
    expect(first.headers.get("idempotent-replayed")).toBeNull();
    expect(again.headers.get("idempotent-replayed")).toBe("true");
    for (const name of ["content-type", "cache-control"]) expect(again.headers.get(name)).toBe(first.headers.get(name));
    expect(again.headers.get("x-request-id")).not.toBe(first.headers.get("x-request-id"));
    const row = await readRow(key);
    expect(Buffer.from(row?.sealed_answer ?? []).toString("latin1")).not.toContain(first.body.client_secret);
    expect(JSON.stringify({ ...row, sealed_answer: "" })).not.toContain(first.body.client_secret);
  });

  test("gets a refusal again too, although it might go through by now", async () => {
    const key = uniqueId("key-");
    const creatorId = uniqueId("user:");
    const path = `/api/v1/creators/${creatorId}/sessions`;
    expectStatus(await platform.operator.post(path, undefined, under(key)), 404);
    expectStatus(await platform.operator.post("/api/v1/creators", { creator_id: creatorId }), 201);
    expectStatus(await platform.operator.post(path, undefined, under(key)), 404);
    expectStatus(await platform.operator.post(path, undefined, under(`"${key}-2"`)), 201);
    expectStatus(await platform.operator.post(path, undefined, under(`${key}-2`)), 201);
  });

  test("is another one for another caller, at another route, and after a day", async () => {
    const key = uniqueId("key-");
    const [ada, eve] = [await enrolCreator(platform), await enrolCreator(platform)];
    const challenge = (creator: typeof ada) =>
      creator.caller.post(`/api/v1/creators/${creator.creatorId}/key-challenges`, undefined, under(key));
    const first = expectStatus(await challenge(ada), 201);
    expect((await challenge(ada)).body).toEqual(first.body);
    expect(expectStatus(await challenge(eve), 201).body).not.toEqual(first.body);
    expectStatus(await platform.operator.post("/api/v1/creators", { creator_id: uniqueId("user:") }, under(key)), 201);
    await ctx.db
      .updateTable("idempotency_key")
      .set({ created_at_ms: sql`created_at_ms - 86400001` })
      .execute();
    expect(expectStatus(await challenge(ada), 201).body).not.toEqual(first.body);
  });

  test("at the same time waits: one is carried out", async () => {
    const key = uniqueId("key-");
    const body = { name: "Backend", scopes: ["content:read"] };
    const answers = await Promise.all(
      Array.from({ length: 6 }, () => platform.operator.post("/api/v1/clients", body, under(key))),
    );
    const done = answers.filter((answer) => answer.status === 201);
    expect(done.length).toBeGreaterThan(0);
    expect(new Set(done.map((answer) => answer.body.client_id)).size).toBe(1);
    for (const answer of answers.filter((other) => other.status !== 201)) {
      expect(answer).toMatchObject({ status: 409, body: { code: "idempotency_in_progress" } });
      expect(answer.headers.get("retry-after")).toMatch(/^\d+$/);
    }
  });

  test.runIf(engine === "postgres")("gets the first answer from another server too", async () => {
    const further = await startFurtherServer(platform);
    const key = uniqueId("key-");
    const body = { name: "Backend", scopes: ["content:read"] };
    const first = expectStatus(await platform.operator.post("/api/v1/clients", body, under(key)), 201);
    const again = expectStatus(await further.operator.post("/api/v1/clients", body, under(key)), 201);
    expect(again.text).toBe(first.text);
    expect(again.headers.get("idempotent-replayed")).toBe("true");
  });

  test("revokes once and says so twice", async () => {
    const creator = await enrolCreator(platform);
    await registerWork(platform, creator.creatorId);
    const { jti } = await giveConsent(creator);
    const revoke = () => creator.caller.post(`/api/v1/consents/${jti}/revoke`, undefined, under(`revoke ${jti}`));
    const first = expectStatus(await revoke(), 200);
    expect((await revoke()).body).toEqual(first.body);
  });
});

describe("a key", () => {
  test("that stands for other bytes, or another path, is refused", async () => {
    const key = uniqueId("key-");
    const [ada, eve] = [uniqueId("user:"), uniqueId("user:")];
    expectStatus(await platform.operator.post("/api/v1/creators", { creator_id: ada }, under(key)), 201);
    expect(await platform.operator.post("/api/v1/creators", { creator_id: eve }, under(key))).toMatchObject({
      status: 422,
      body: { code: "idempotency_key_reused" },
    });
    expectStatus(await platform.operator.post(`/api/v1/creators/${ada}/sessions`, undefined, under(key)), 201);
    expect(await platform.operator.post(`/api/v1/creators/${eve}/sessions`, undefined, under(key))).toMatchObject({
      status: 422,
      body: { code: "idempotency_key_reused" },
    });
  });

  test.each([
    ["is empty", '""'],
    ["is too long", "k".repeat(256)],
    ["is no ASCII", "clé"],
  ])("that %s is refused", async (_what, key) => {
    const answer = await platform.operator.post("/api/v1/creators", { creator_id: uniqueId("user:") }, under(key));
    expect(answer).toMatchObject({ status: 400, body: { code: "idempotency_key_invalid" } });
  });

  test("is not taken by a body that cannot be read, nor by a caller who may not call", async () => {
    const key = uniqueId("key-");
    const creator = await enrolCreator(platform);
    expectStatus(
      await platform.operator.post("/api/v1/creators", '{"creator_id": 1, "creator_id": 2}', under(key)),
      400,
    );
    expectStatus(await creator.caller.post("/api/v1/creators", { creator_id: "user:1" }, under(key)), 403);
    expect(await readRow(key)).toBeUndefined();
    expectStatus(await platform.operator.post("/api/v1/creators", { creator_id: uniqueId("user:") }, under(key)), 201);
  });

  /** What a crash between the commit and the answer leaves, once its hold is over. */
  async function loseAnswer(key: string): Promise<void> {
    await ctx.db
      .updateTable("idempotency_key")
      .set({ status: null, sealed_answer: null, held_until_ms: 0 })
      .where("key", "=", key)
      .execute();
  }

  test("whose server died before it carried the request out is free again after a while", async () => {
    const key = uniqueId("key-");
    const path = `/api/v1/creators/${uniqueId("user:")}/sessions`;
    expectStatus(await platform.operator.post(path, undefined, under(key)), 404);
    await ctx.db
      .updateTable("idempotency_key")
      .set({ status: null, sealed_answer: null })
      .where("key", "=", key)
      .execute();
    expect(await platform.operator.post(path, undefined, under(key))).toMatchObject({
      status: 409,
      body: { code: "idempotency_in_progress" },
    });
    await loseAnswer(key);
    const again = expectStatus(await platform.operator.post(path, undefined, under(key)), 404);
    expect(again.headers.get("idempotent-replayed")).toBeNull();
  });

  test("whose server died after it carried the request out is told so, and nothing is done twice", async () => {
    const key = uniqueId("key-");
    const body = { name: uniqueId("Backend "), scopes: ["content:read"] };
    expectStatus(await platform.operator.post("/api/v1/clients", body, under(key)), 201);
    await loseAnswer(key);
    for (let request = 0; request < 2; request += 1)
      expect(await platform.operator.post("/api/v1/clients", body, under(key))).toMatchObject({
        status: 409,
        body: { code: "idempotency_answer_lost" },
      });
    const made = await ctx.db.selectFrom("oauth_client").select("client_id").where("name", "=", body.name).execute();
    expect(made).toHaveLength(1);
  });

  test("whose server died after it took something away has it taken away again, which answers the same", async () => {
    const creator = await enrolCreator(platform);
    await registerWork(platform, creator.creatorId);
    const { jti } = await giveConsent(creator);
    const key = uniqueId("key-");
    const revoke = () => creator.caller.post(`/api/v1/consents/${jti}/revoke`, undefined, under(key));
    const first = expectStatus(await revoke(), 200);
    await loseAnswer(key);
    expect(expectStatus(await revoke(), 200).body.revoked_at).toBe(first.body.revoked_at);
  });

  test.runIf(engine === "postgres")(
    "that another request took over commits nothing for the one that was taken for dead",
    async () => {
      const key = uniqueId("key-");
      const body = { name: uniqueId("Backend "), scopes: ["content:read"] };
      const blocking = Promise.withResolvers<void>();
      const isHeld = Promise.withResolvers<void>();
      const blocker = ctx.db.transaction().execute(async (trx) => {
        await sql`lock table oauth_client in exclusive mode`.execute(trx);
        isHeld.resolve();
        await blocking.promise;
        await sql`update idempotency_key set holder = 'somebody else' where key = ${key}`.execute(trx);
      });
      await isHeld.promise;
      const slow = platform.operator.post("/api/v1/clients", body, under(key));
      await expect.poll(async () => readRow(key), { timeout: 20_000 }).toBeDefined();
      blocking.resolve();
      await blocker;
      expect(await slow).toMatchObject({ status: 409, body: { code: "idempotency_in_progress" } });
      const made = await ctx.db.selectFrom("oauth_client").select("name").where("name", "=", body.name).execute();
      expect(made).toEqual([]);
    },
  );

  test("of a request that was answered with a conflict is free, since the conflict may pass", async () => {
    const key = uniqueId("key-");
    const body = { creator_id: uniqueId("user:") };
    expectStatus(await platform.operator.post("/api/v1/creators", body), 201);
    for (let request = 0; request < 2; request += 1) {
      const answer = expectStatus(await platform.operator.post("/api/v1/creators", body, under(key)), 409);
      expect(answer.headers.get("idempotent-replayed")).toBeNull();
    }
  });

  test(
    "of a large publication that meets a passing conflict after it was prepared is free",
    { timeout: 120_000 },
    async () => {
      const key = uniqueId("key-");
      const ada = await enrolCreator(platform);
      await giveConsent(ada, { future_works: true });
      const works = await registerWorks(platform, ada.creatorId, 501);
      const { dataset_id } = await publishDataset(platform, works.slice(0, 1));
      await ctx.db
        .insertInto("dataset_build")
        .values({ dataset_id, build_id: "another", version: 2, lease_until_ms: ctx.clock.nowMs() + 3_600_000 })
        .execute();
      const publish = () => platform.operator.post("/api/v1/datasets", datasetBody(works, { dataset_id }), under(key));
      const before = await lastLockOf(dataset_id);
      const waiting = publish();
      await expect.poll(() => lastLockOf(dataset_id), { timeout: 60_000 }).not.toBe(before);
      expectStatus(await platform.operator.post(`/api/v1/datasets/${dataset_id}/suspend`), 200);
      await ctx.db.deleteFrom("dataset_build").where("build_id", "=", "another").execute();
      expect(await waiting).toMatchObject({ status: 409, body: { code: "conflict" } });
      expect(await readRow(key)).toBeUndefined();
      expectStatus(await platform.operator.post(`/api/v1/datasets/${dataset_id}/resume`), 200);
      expectStatus(await publish(), 201);
    },
  );

  test("of a request that the server failed is free at once", async () => {
    const key = uniqueId("key-");
    const body = { creator_id: uniqueId("user:") };
    await sql`alter table creator rename to creator_gone`.execute(ctx.db);
    expectStatus(await platform.operator.post("/api/v1/creators", body, under(key)), 500);
    await sql`alter table creator_gone rename to creator`.execute(ctx.db);
    expectStatus(await platform.operator.post("/api/v1/creators", body, under(key)), 201);
  });

  test("of a day ago is forgotten", async () => {
    const key = uniqueId("key-");
    expectStatus(await platform.operator.post("/api/v1/creators", { creator_id: uniqueId("user:") }, under(key)), 201);
    await forgetKeys(ctx);
    expect(await readRow(key)).toBeDefined();
    await forgetKeys({ ...ctx, clock: { nowMs: () => ctx.clock.nowMs() + 86_400_001 } });
    expect(await readRow(key)).toBeUndefined();
  });
});
