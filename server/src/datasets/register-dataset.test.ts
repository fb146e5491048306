import { describe, expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  giveConsent,
  offerDataset,
  publishDataset,
  registerWork,
  uniqueId,
} from "../../../test/fixtures/actors.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { type Sink, startSink } from "../../../test/fixtures/webhook-sink.ts";
import { registerOffers, retryRegistrations } from "./register-dataset.ts";

const sink: Sink = await startSink();
const platform = await startPlatform({ allowedHosts: [sink.host] });
const PLATFORM_TOKEN = "platform-token-of-ours-0123456789";

interface Listening {
  readonly marketplaceId: string;
  /** Where its registrations arrive. */
  readonly path: string;
}

/** A marketplace at a base path of the sink, with a token for us to present. */
async function listeningMarketplace(members: object = { platform_token: PLATFORM_TOKEN }): Promise<Listening> {
  const marketplace_id = uniqueId("mkt_");
  const input = {
    marketplace_id,
    name: "Listening",
    base_url: sink.url(`/${marketplace_id}`),
    webhook_url: sink.url(`/${marketplace_id}/webhooks`),
    ...members,
  };
  expectStatus(await platform.operator.post("/api/v1/marketplaces", input), 201);
  return { marketplaceId: marketplace_id, path: `/${marketplace_id}/api/v1/datasets` };
}

async function publishedDataset(): Promise<string> {
  const creator = await enrolCreator(platform);
  const work = await registerWork(platform, creator.creatorId);
  await giveConsent(creator);
  return (await publishDataset(platform, [work])).dataset_id;
}

async function offer(datasetId: string, { marketplaceId }: Listening) {
  return platform.operator.post(`/api/v1/datasets/${datasetId}/offers`, { marketplace_id: marketplaceId });
}

async function offerOf(datasetId: string) {
  return (await platform.operator.get(`/api/v1/datasets/${datasetId}/offers`)).body.offers[0];
}

async function untilState(datasetId: string, state: string): Promise<void> {
  await expect.poll(async () => offerOf(datasetId), { timeout: 15_000, interval: 20 }).toMatchObject({ state });
}

describe("an offered dataset", () => {
  test("is registered at the marketplace with our token there", async () => {
    const marketplace = await listeningMarketplace();
    sink.reply(marketplace.path, () => ({ status: 201 }));
    const datasetId = await publishedDataset();
    expect(await offer(datasetId, marketplace)).toMatchObject({
      status: 201,
      body: { dataset_id: datasetId, marketplace_id: marketplace.marketplaceId, state: "pending", attempts: 0 },
    });
    const [request] = await sink.waitFor(marketplace.path, 1);
    expect(request).toMatchObject({
      method: "POST",
      headers: { authorization: `Bearer ${PLATFORM_TOKEN}`, "content-type": "application/json" },
    });
    expect(JSON.parse(request?.body ?? "")).toEqual({
      dataset_id: datasetId,
      name: "Sample collection",
      version: 1,
      origin: platform.origin,
      manifest_url: `${platform.origin}/datasets/${datasetId}/manifest.json`,
      marketplace_id: marketplace.marketplaceId,
    });
    await untilState(datasetId, "registered");
    expect(await offerOf(datasetId)).toMatchObject({ attempts: 1, registered_at: expect.any(String) });
    expect(await offerOf(datasetId)).not.toHaveProperty("last_error");
  });

  test("is called for once when it is offered again, and to many at once", async () => {
    const marketplace = await listeningMarketplace();
    const datasetId = await publishedDataset();
    const answers = await Promise.all(Array.from({ length: 10 }, () => offer(datasetId, marketplace)));
    expect(answers.map((answer) => answer.status).toSorted()).toEqual([...Array.from({ length: 9 }, () => 200), 201]);
    await untilState(datasetId, "registered");
    platform.clock.advance(60);
    await retryRegistrations(platform.server.ctx);
    expect(sink.received(marketplace.path)).toHaveLength(1);
  });

  test("goes out without credentials to a marketplace that gave us none", async () => {
    const marketplace = await listeningMarketplace({});
    const datasetId = await publishedDataset();
    await offer(datasetId, marketplace);
    const [request] = await sink.waitFor(marketplace.path, 1);
    expect(request?.headers).not.toHaveProperty("authorization");
  });

  test("must be published, must exist, and so must the marketplace", async () => {
    const marketplace = await listeningMarketplace();
    const dataset_id = uniqueId("ds-");
    expectStatus(
      await platform.operator.post("/api/v1/datasets", {
        dataset_id,
        name: "Draft",
        status: "draft",
        content_items: [{ content_id: "a" }],
        pricing: { model_use: "flat:1" },
      }),
      201,
    );
    expect(await offer(dataset_id, marketplace)).toMatchObject({
      status: 409,
      body: { code: "dataset_not_published" },
    });
    expect(await offer("ds-nothing", marketplace)).toMatchObject({ status: 404 });
    expect(await offer(await publishedDataset(), { marketplaceId: "mkt_nobody", path: "" })).toMatchObject({
      status: 404,
    });
  });
});

describe("a marketplace that does not answer", () => {
  test("is called again after growing waits, and the reason is visible meanwhile", async () => {
    const marketplace = await listeningMarketplace();
    sink.reply(marketplace.path, (_request, count) =>
      count < 3 ? { status: 503, body: "come back later" } : { status: 200 },
    );
    const datasetId = await publishedDataset();
    await offer(datasetId, marketplace);
    await expect
      .poll(() => offerOf(datasetId), { timeout: 10_000 })
      .toMatchObject({ state: "pending", attempts: 1, last_error: expect.stringContaining("503: come back later") });
    platform.clock.advance(3);
    await retryRegistrations(platform.server.ctx);
    expect(sink.received(marketplace.path)).toHaveLength(1);
    platform.clock.advance(3);
    await sink.waitFor(marketplace.path, 2);
    await expect.poll(() => offerOf(datasetId)).toMatchObject({ attempts: 2 });
    platform.clock.advance(10);
    await retryRegistrations(platform.server.ctx);
    expect(sink.received(marketplace.path)).toHaveLength(2);
    platform.clock.advance(21);
    await sink.waitFor(marketplace.path, 3);
    await untilState(datasetId, "registered");
    expect(await offerOf(datasetId)).not.toHaveProperty("last_error");
  });

  test("is given up after the last attempt, visibly", async () => {
    const marketplace = await listeningMarketplace();
    sink.reply(marketplace.path, () => "break");
    const datasetId = await publishedDataset();
    await offer(datasetId, marketplace);
    for (let attempts = 1; attempts <= 9; attempts += 1) {
      await expect.poll(() => offerOf(datasetId), { timeout: 10_000 }).toMatchObject({ attempts });
      await sink.waitFor(marketplace.path, attempts);
      await expect.poll(() => offerOf(datasetId)).toMatchObject({ last_error: expect.any(String) });
      platform.clock.advance(36_001);
      await retryRegistrations(platform.server.ctx);
    }
    await untilState(datasetId, "refused");
    expect(sink.received(marketplace.path)).toHaveLength(9);
  });

  test("is never followed elsewhere", async () => {
    const marketplace = await listeningMarketplace();
    sink.reply(marketplace.path, () => ({
      status: 307,
      headers: { location: sink.url("/elsewhere/api/v1/datasets") },
    }));
    const datasetId = await publishedDataset();
    await offer(datasetId, marketplace);
    await expect
      .poll(() => offerOf(datasetId), { timeout: 10_000 })
      .toMatchObject({ attempts: 1, last_error: expect.stringContaining("307") });
    expect(sink.received("/elsewhere/api/v1/datasets")).toEqual([]);
  });

  test("may say what no database keeps as text", async () => {
    const marketplace = await listeningMarketplace();
    sink.reply(marketplace.path, () => ({ status: 500, body: "a\0b" }));
    const datasetId = await publishedDataset();
    await offer(datasetId, marketplace);
    await expect
      .poll(() => offerOf(datasetId), { timeout: 10_000 })
      .toMatchObject({ state: "pending", last_error: expect.stringContaining("a\uFFFDb") });
  });

  test("keeps no other one waiting", async () => {
    const [hanging, prompt] = [await listeningMarketplace(), await listeningMarketplace()];
    sink.reply(hanging.path, () => "hang");
    const [first, second] = [await publishedDataset(), await publishedDataset()];
    await offer(first, hanging);
    await sink.waitFor(hanging.path, 1);
    await offer(second, prompt);
    await sink.waitFor(prompt.path, 1, 5_000);
    await untilState(second, "registered");
    expect(await offerOf(first)).toMatchObject({ state: "pending" });
    // Whoever calls it again later shall not wait for nothing.
    sink.reply(hanging.path, () => ({ status: 503 }));
    sink.letGo();
  });
});

describe("a marketplace that refuses", () => {
  test.each([400, 422])("with %i is not called again", async (status) => {
    const marketplace = await listeningMarketplace();
    sink.reply(marketplace.path, () => ({ status, body: "the manifest does not verify" }));
    const datasetId = await publishedDataset();
    await offer(datasetId, marketplace);
    await untilState(datasetId, "refused");
    expect(await offerOf(datasetId)).toMatchObject({
      attempts: 1,
      last_error: expect.stringContaining("does not verify"),
    });
    platform.clock.advance(100_000);
    await retryRegistrations(platform.server.ctx);
    expect(sink.received(marketplace.path)).toHaveLength(1);
  });
});

describe("a marketplace that is not ready yet", () => {
  test.each([401, 404, 409, 429])("and says so with %i is called again", async (status) => {
    const marketplace = await listeningMarketplace();
    sink.reply(marketplace.path, (_request, count) => ({ status: count === 1 ? status : 201 }));
    const datasetId = await publishedDataset();
    await offer(datasetId, marketplace);
    await expect.poll(() => offerOf(datasetId), { timeout: 10_000 }).toMatchObject({ last_error: expect.any(String) });
    platform.clock.advance(6);
    await untilState(datasetId, "registered");
  });
});

describe("a job that runs twice", () => {
  test("calls a marketplace once", async () => {
    const marketplace = await listeningMarketplace();
    const datasetId = await publishedDataset();
    await offerDataset(platform, datasetId, {
      ...marketplace,
      clientId: "",
      clientSecret: "",
      scope: "",
      endpointId: "",
      webhookSecret: "",
      receiptSigner: platform.server.ctx.signingKeys.signerFor("receipt"),
      call: () => Promise.reject(new Error("not called")),
    });
    await untilState(datasetId, "registered");
    const { id } = await platform.server.ctx.db
      .selectFrom("event")
      .select("id")
      .where("type", "=", "dataset.offered")
      .where("aggregate", "=", datasetId)
      .executeTakeFirstOrThrow();
    await registerOffers(platform.server.ctx, id);
    expect(sink.received(marketplace.path)).toHaveLength(1);
  });
});
