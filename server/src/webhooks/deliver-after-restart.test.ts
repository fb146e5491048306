import { startServer } from "@licet/server";
import { afterAll, expect, inject, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  giveConsent,
  offerDataset,
  publishDataset,
  registerMarketplace,
  registerWork,
} from "../../../test/fixtures/actors.ts";
import { createCaller } from "../../../test/fixtures/caller.ts";
import { configFor, createTestDatabase } from "../../../test/fixtures/databases.ts";
import type { Platform } from "../../../test/fixtures/platform.ts";
import { createTestClock } from "../../../test/fixtures/test-clock.ts";
import { startSink } from "../../../test/fixtures/webhook-sink.ts";

const sink = await startSink();
const database = await createTestDatabase(inject("templateFolder"));
const clock = createTestClock();
const first = configFor(database, { allowedHosts: [sink.host] });
let server = await startServer({ config: first, clock });
/** What was signed is signed for one origin: the next server takes the same port. */
const config = { ...first, origin: server.origin, port: Number(new URL(server.origin).port) };
const operatorToken = server.bootstrapToken ?? "";

afterAll(async () => {
  await server.stop();
  await database.drop();
});

function platformOf(): Platform {
  const as = (token: string) => createCaller(server.origin, token);
  return {
    origin: server.origin,
    operatorToken,
    operator: as(operatorToken),
    anonymous: createCaller(server.origin),
    clock,
    database,
    server,
    as,
  };
}

test("what waits when a server stops goes on when it starts again, under the same number and the same signature key", async () => {
  const platform = platformOf();
  sink.reply("/hook", () => ({ status: 503 }));
  const creator = await enrolCreator(platform);
  const work = await registerWork(platform, creator.creatorId);
  const { jti } = await giveConsent(creator);
  const { dataset_id } = await publishDataset(platform, [work]);
  const marketplace = await registerMarketplace(platform, {
    base_url: sink.url("/base"),
    webhook_url: sink.url("/hook"),
  });
  await offerDataset(platform, dataset_id, marketplace);
  expectStatus(await platform.operator.post(`/api/v1/consents/${jti}/revoke`), 200);
  const [before] = await sink.waitFor("/hook", 1);
  await server.stop();

  sink.reply("/hook", () => ({ status: 200 }));
  clock.advance(10);
  server = await startServer({ config, clock });
  expect(server.bootstrapToken).toBeUndefined();
  const [, after] = await sink.waitFor("/hook", 2);
  expect(after?.body).toBe(before?.body);
  const deliveries = async () => (await platformOf().operator.get("/api/v1/webhook-deliveries")).body.deliveries;
  await expect
    .poll(deliveries)
    .toMatchObject([{ sequence: 1, state: "delivered", attempts: [{ status: 503 }, { status: 200 }] }]);
});

test("what a server was sending when it died is sent again once its lease is over", async () => {
  const row = await server.ctx.db.selectFrom("webhook_delivery").selectAll().executeTakeFirstOrThrow();
  await server.ctx.db
    .updateTable("webhook_delivery")
    .set({ state: "waiting", attempts: 3, next_attempt_at_ms: clock.nowMs() + 30_000 })
    .where("message_id", "=", row.message_id)
    .execute();
  const count = sink.received("/hook").length;
  await server.stop();
  server = await startServer({ config, clock });
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  expect(sink.received("/hook")).toHaveLength(count);
  clock.advance(31);
  await sink.waitFor("/hook", count + 1);
});

test("servers that died while they were sending use up none of its attempts", async () => {
  const { db } = server.ctx;
  const readFirst = async () => db.selectFrom("webhook_delivery").selectAll().executeTakeFirstOrThrow();
  await expect.poll(async () => (await readFirst()).state, { timeout: 20_000 }).toBe("delivered");
  const row = await readFirst();
  sink.reply("/hook", () => ({ status: 503 }));
  const count = sink.received("/hook").length;
  await db
    .updateTable("webhook_delivery")
    .set({ state: "waiting", attempts: 30, next_attempt_at_ms: clock.nowMs() })
    .where("message_id", "=", row.message_id)
    .execute();
  await sink.waitFor("/hook", count + 1);
  const attempts = async () =>
    (await db.selectFrom("webhook_attempt").selectAll().where("attempt", "=", 31).execute()).length;
  await expect.poll(attempts, { timeout: 20_000 }).toBe(1);
  expect(await readFirst()).toMatchObject({ state: "waiting", attempts: 31 });
});

test("a stop waits for what is being sent, and starts nothing more", async () => {
  const platform = platformOf();
  sink.reply("/slow", () => "hang");
  const creator = await enrolCreator(platform);
  const work = await registerWork(platform, creator.creatorId);
  const { jti } = await giveConsent(creator);
  const { dataset_id } = await publishDataset(platform, [work]);
  const marketplace = await registerMarketplace(platform, {
    base_url: sink.url("/base"),
    webhook_url: sink.url("/slow"),
  });
  await offerDataset(platform, dataset_id, marketplace);
  expectStatus(await platform.operator.post(`/api/v1/consents/${jti}/revoke`), 200);
  await sink.waitFor("/slow", 1);
  const stopping = server.stop();
  setTimeout(() => sink.letGo(), 500);
  await stopping;
  server = await startServer({ config, clock });
  const { body } = await platformOf().operator.get(`/api/v1/webhook-deliveries?dataset_id=${dataset_id}`);
  expect(body.deliveries).toMatchObject([{ state: "waiting", attempts: [{ error: expect.any(String) }] }]);
});
