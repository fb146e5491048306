import { startServer } from "@licet/server";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import {
  type Consent,
  enrolCreator,
  expectStatus,
  giveConsent,
  publishDataset,
  registerWork,
} from "./fixtures/actors.ts";
import type { Answer } from "./fixtures/caller.ts";
import { checkPlatform } from "./fixtures/check-platform.ts";
import { LISTENER, startDatabaseProxy } from "./fixtures/database-proxy.ts";
import { configFor, createTestDatabase } from "./fixtures/databases.ts";
import { freePort, startFurtherServer, startPlatform } from "./fixtures/platform.ts";
import { engine } from "./fixtures/settings.ts";

const VIEW = "/.well-known/consent-revocations.json";
const PATIENCE = { timeout: 30_000, interval: 10 };

describe.skipIf(engine === "pglite")("a server beside others (the embedded database takes one)", async () => {
  if (engine === "pglite") return;
  const platform = await startPlatform();
  const proxy = await startDatabaseProxy(platform.database.databaseUrl ?? "");
  const far = await startFurtherServer(platform, { databaseUrl: proxy.url });
  const ana = await enrolCreator(platform);

  async function prepare(): Promise<Consent & { readonly datasetId: string }> {
    const work = await registerWork(platform, ana.creatorId);
    const consent = await giveConsent(ana, { subject: `content:${work}` });
    return { ...consent, datasetId: (await publishDataset(platform, [work])).dataset_id };
  }

  /** Has the far server hold the documents of a dataset in memory, as it holds what it is asked for. */
  async function warm(datasetId: string): Promise<void> {
    const path = `/.well-known/dataset-status/${datasetId}`;
    const { documents } = far.server.ctx;
    await expect
      .poll(async () => {
        expectStatus(await far.anonymous.get(path), 200);
        await far.anonymous.get(VIEW);
        return documents.peek(path)?.seq;
      }, PATIENCE)
      .toBe((await platform.anonymous.get(path)).body.seq);
  }

  async function expectRevokedThere({ jti, datasetId }: { readonly jti: string; readonly datasetId: string }) {
    const path = `/.well-known/dataset-status/${datasetId}`;
    await expect.poll(async () => (await far.anonymous.get(path)).body.status, PATIENCE).toBe("revoked");
    const { body } = await far.anonymous.get(VIEW);
    expect(body.revocations).toContainEqual(expect.objectContaining({ jti }));
  }

  async function revoke(jti: string): Promise<void> {
    expectStatus(await ana.caller.post(`/api/v1/consents/${jti}/revoke`, {}), 200);
  }

  async function expectListening(): Promise<void> {
    await expect.poll(() => far.server.ctx.notices.isCurrent(), PATIENCE).toBe(true);
  }

  test("whose listening connection is cut reads through, listens again and has forgotten what it held", async () => {
    for (let round = 0; round < 3; round += 1) {
      const given = await prepare();
      await expectListening();
      await warm(given.datasetId);
      proxy.cut(LISTENER);
      await revoke(given.jti);
      await expectRevokedThere(given);
    }
    await expectListening();
  });

  test("whose listening connection falls silent without ending reads through", async () => {
    const given = await prepare();
    await expectListening();
    await warm(given.datasetId);
    proxy.freeze(LISTENER);
    await revoke(given.jti);
    await expectRevokedThere(given);
    expect(far.server.ctx.notices.isCurrent()).toBe(false);
    proxy.comeBack();
    proxy.cut(LISTENER);
    await expectListening();
    await warm(given.datasetId);
  });

  test("whose database is gone answers 503 rather than what may be outdated, and comes back by itself", async () => {
    const given = await prepare();
    await expectListening();
    await warm(given.datasetId);
    const immutable = `/datasets/${given.datasetId}/versions/1/manifest.json`;
    expectStatus(await far.anonymous.get(immutable), 200);
    proxy.goAway();
    await expect.poll(async () => (await far.anonymous.get(VIEW)).status, PATIENCE).toBe(503);
    await revoke(given.jti);
    for (const answer of [
      await far.anonymous.get(VIEW),
      await far.anonymous.get(`/.well-known/dataset-status/${given.datasetId}`),
      await far.operator.get("/api/v1/creators"),
      await far.operator.post("/api/v1/creators", { creator_id: "user:nobody" }),
      await far.anonymous.get("/readyz"),
    ])
      expectUnavailable(answer);
    // What never changes is as true as before.
    expectStatus(await far.anonymous.get(immutable), 200);
    expectStatus(await far.anonymous.get("/healthz"), 200);
    proxy.comeBack();
    await expect.poll(async () => (await far.anonymous.get("/readyz")).status, PATIENCE).toBe(200);
    await expectRevokedThere(given);
    expectStatus(await far.operator.get("/api/v1/creators"), 200);
    await expectListening();
    await checkPlatform({
      hasCrashed: true,
      ...platform,
      now: () => Math.floor(platform.clock.nowMs() / 1_000),
      furtherAddresses: [far.address],
    });
  });

  function expectUnavailable(answer: Answer): void {
    expect([answer.status, answer.body?.code, answer.headers.get("content-type")]).toEqual([
      503,
      "unavailable",
      "application/problem+json",
    ]);
    expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
  }
});

describe.skipIf(engine === "pglite")("servers that start for the first time together", () => {
  test("make one key set, one set of terms and one operator's token", async () => {
    const database = await createTestDatabase(inject("templateFolder"));
    const port = await freePort();
    const configs = [port, 0, 0].map((listenOn) =>
      configFor(database, { origin: `http://127.0.0.1:${port}`, port: listenOn }),
    );
    const servers = await Promise.all(configs.map((config) => startServer({ config })));
    onTestFinished(async () => {
      for (const server of servers) await server.stop();
      await database.drop();
    });
    expect(servers.filter(({ bootstrapToken }) => bootstrapToken !== undefined)).toHaveLength(1);
    const texts = await Promise.all(
      servers.map(async ({ ctx }) =>
        Buffer.from((await ctx.documents.read("/.well-known/keys.json"))?.bytes ?? []).toString(),
      ),
    );
    expect(new Set(texts).size).toBe(1);
    expect(JSON.parse(texts[0] ?? "").seq).toBe(1);
    const terms = await servers[0]?.ctx.db
      .selectFrom("event")
      .select("aggregate")
      .where("type", "=", "terms.published")
      .execute();
    expect(new Set(terms?.map((row) => row.aggregate)).size).toBe(terms?.length);
  });
});
