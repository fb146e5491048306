import type { JsonObject } from "@licet/protocol";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  giveConsent,
  offerDataset,
  publishDataset,
  registerMarketplace,
  registerWork,
  uniqueId,
} from "../../../test/fixtures/actors.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { licenseFor, receiptContent, signAnyReceipt } from "../../../test/fixtures/receipts.ts";
import { type ReceivedRequest, type Reply, startSink } from "../../../test/fixtures/webhook-sink.ts";
import { pullDueReceipts, pullReceipts } from "./pull-receipts.ts";
import { readDuePulls } from "./pull-store.ts";

const sink = await startSink();
const platform = await startPlatform({ allowedHosts: [sink.host] });
const { ctx } = platform.server;
const PLATFORM_TOKEN = "platform-token-of-ours-0123456789";
const creator = await enrolCreator(platform);
const work = await registerWork(platform, creator.creatorId);
await giveConsent(creator);

/** A marketplace that keeps its receipts in pages of two, as the sink answers. */
async function askable() {
  const path = `/${uniqueId("m")}`;
  const marketplace = await registerMarketplace(platform, {
    base_url: sink.url(path),
    platform_token: PLATFORM_TOKEN,
  });
  const published = await publishDataset(platform, [work]);
  await offerDataset(platform, published.dataset_id, marketplace);
  const dataset = await licenseFor(platform, marketplace, published);
  const kept: unknown[] = [];
  const asked: (string | null)[] = [];
  const list = `${path}/api/v1/usage-receipts`;
  const answerPage = (request: ReceivedRequest): Reply => {
    const query = new URLSearchParams(request.path.slice(list.length + 1));
    if (request.headers["authorization"] !== `Bearer ${PLATFORM_TOKEN}`) return { status: 401 };
    const after = Number(query.get("after") ?? 0);
    asked.push(query.get("after"));
    const next = after + 2 < kept.length ? String(after + 2) : null;
    return { status: 200, body: JSON.stringify({ receipts: kept.slice(after, after + 2), next }) };
  };
  sink.reply(list, answerPage);
  const make = async (members: Record<string, unknown> = {}): Promise<JsonObject> =>
    signAnyReceipt(receiptContent(platform, marketplace, dataset, members), marketplace.receiptSigner);
  const pull = async () => platform.operator.post(`/api/v1/marketplaces/${marketplace.marketplaceId}/receipt-pulls`);
  const stateOf = async () =>
    ctx.db
      .selectFrom("receipt_pull")
      .selectAll()
      .where("marketplace_id", "=", marketplace.marketplaceId)
      .executeTakeFirst();
  const take = async (changes: {
    readonly cursor: string;
    readonly lease_until_ms: number;
    readonly next_at_ms?: number;
  }) =>
    ctx.db.updateTable("receipt_pull").set(changes).where("marketplace_id", "=", marketplace.marketplaceId).execute();
  return { marketplace, dataset, kept, asked, make, pull, stateOf, list, answerPage, take };
}

function hangOn(asked: (string | null)[]): Reply {
  asked.push("hangs");
  return "hang";
}

describe("a pull", () => {
  test("reads page after page, keeps what it may, says what it refused, and goes on where it ended", async () => {
    const { dataset, kept, asked, make, pull } = await askable();
    const countersigned = { ...(await make()), valid_for_future_training: true, countersignature: { forged: true } };
    kept.push(
      await make(),
      countersigned,
      { receipt_id: "r_broken", usage: { count: 1.5 } },
      await make({ currency: "EUR" }),
    );
    kept.push(await make());
    const first = expectStatus(await pull(), 200).body;
    expect(first.datasets).toMatchObject([
      { dataset_id: dataset.dataset_id, accepted: 3, known: 0, refused: 2, complete: true },
    ]);
    expect(first.datasets[0].refusals.map(({ code }: { code: string }) => code)).toEqual([
      "body_malformed",
      "receipt_currency_wrong",
    ]);
    expect(asked).toEqual([null, "2", "4"]);
    kept.push(await make(), await make());
    expect(expectStatus(await pull(), 200).body.datasets).toMatchObject([{ accepted: 2, known: 1, refused: 0 }]);
    expect(asked.slice(3)).toEqual(["4", "6"]);
    const { receipts } = (await platform.operator.get(`/api/v1/usage-receipts?dataset_id=${dataset.dataset_id}`)).body;
    expect(receipts).toHaveLength(5);
    expect(receipts.every((receipt: { acceptance: { pulled: boolean } }) => receipt.acceptance.pulled)).toBe(true);
  });

  test("of what was pushed before, or is pushed at the same time, gives the first answer", async () => {
    const { marketplace, kept, make, pull } = await askable();
    kept.push(await make(), await make());
    const caller = await marketplace.call();
    const [pushed, pulled] = await Promise.all([caller.post("/api/v1/usage-receipts", Object(kept[0])), pull()]);
    const [counts] = expectStatus(pulled, 200).body.datasets;
    expect([counts.accepted + counts.known, counts.refused]).toEqual([2, 0]);
    expect(counts.accepted + (pushed.status === 201 ? 1 : 0)).toBe(2);
    const again = await caller.post("/api/v1/usage-receipts", Object(kept[0]));
    expect(again).toMatchObject({ status: 200, body: pushed.body });
  });

  test("that nobody asked for keeps what it refused, for the operator to read, until it is accepted", async () => {
    const { marketplace, dataset, kept, make, stateOf } = await askable();
    const early = await make({ period: { from: "2999-01-01T00:00:00Z", to: "2999-01-01T00:00:00Z" } });
    kept.push(early, await make({ currency: "EUR" }));
    await pullDueReceipts(ctx, new AbortController().signal);
    await expect.poll(stateOf).toMatchObject({ last_at: expect.any(Number) });
    const path = `/api/v1/marketplaces/${marketplace.marketplaceId}/receipt-pulls`;
    const read = async () => expectStatus(await platform.operator.get(path), 200).body.datasets;
    expect(await read()).toMatchObject([
      {
        dataset_id: dataset.dataset_id,
        failures: 0,
        refusals: [
          { receipt_id: early["receipt_id"], code: "receipt_period_invalid", at: expect.stringContaining("T") },
          { receipt_id: Object(kept[1]).receipt_id, code: "receipt_currency_wrong" },
        ],
      },
    ]);
    kept[0] = await make({ receipt_id: early["receipt_id"] });
    expectStatus(await platform.operator.post(path), 200);
    expect(await read()).toMatchObject([{ refusals: [{ code: "receipt_currency_wrong" }] }]);
    expect(await (await marketplace.call()).get(path)).toMatchObject({ status: 403 });
    expect((await platform.operator.get("/api/v1/marketplaces/mkt_nobody/receipt-pulls")).status).toBe(404);
  });

  test("of what was accepted under a key that is retired since gives the first answer", async () => {
    const { marketplace, kept, make, pull } = await askable();
    kept.push(await make(), await make());
    expect(expectStatus(await pull(), 200).body.datasets).toMatchObject([{ accepted: 2, known: 0, refused: 0 }]);
    const { marketplaceId, receiptSigner } = marketplace;
    const path = `/api/v1/marketplaces/${marketplaceId}/receipt-keys/${receiptSigner.kid}/retire`;
    expectStatus(await platform.operator.post(path), 200);
    kept.push(await make());
    expect(expectStatus(await pull(), 200).body.datasets).toMatchObject([{ accepted: 0, known: 2, refused: 1 }]);
  });

  test("comes by itself when its time has come, and waits longer after each failure", async () => {
    const { marketplace, kept, make, stateOf, list } = await askable();
    kept.push(await make());
    const { signal } = new AbortController();
    await pullDueReceipts(ctx, signal);
    await expect.poll(stateOf).toMatchObject({ failures: 0, last_error: null, last_at: expect.any(Number) });
    sink.reply(list, () => ({ status: 503 }));
    const waits: number[] = [];
    for (let failures = 1; failures <= 3; failures += 1) {
      const due = { next_at_ms: platform.clock.nowMs() };
      await ctx.db
        .updateTable("receipt_pull")
        .set(due)
        .where("marketplace_id", "=", marketplace.marketplaceId)
        .execute();
      await pullDueReceipts(ctx, signal);
      await expect.poll(stateOf).toMatchObject({ failures, last_error: expect.stringContaining("503") });
      waits.push(((await stateOf())?.next_at_ms ?? 0) - platform.clock.nowMs());
    }
    const hours = waits.map((wait) => Math.round(wait / 3_600_000));
    expect(hours).toEqual([2, 4, 8]);
  });

  test("waits for one that is under way, and goes on where that one came to", async () => {
    const { kept, asked, make, pull, list, answerPage } = await askable();
    kept.push(await make(), await make(), await make());
    sink.reply(list, (request) => (asked.length === 1 ? hangOn(asked) : answerPage(request)));
    const first = pull();
    await expect.poll(() => asked).toEqual([null, "hangs"]);
    const second = pull();
    await sleep(300);
    expect(asked).toHaveLength(2);
    sink.letGo();
    expect(expectStatus(await first, 200).body.datasets).toMatchObject([{ accepted: 2, complete: false }]);
    expect(expectStatus(await second, 200).body.datasets).toMatchObject([{ accepted: 1, known: 0, complete: true }]);
    expect(asked).toEqual([null, "hangs", "2"]);
  });

  test("says so when the one that is under way does not end in time", async () => {
    const { asked, pull, take } = await askable();
    expectStatus(await pull(), 200);
    await take({ cursor: "2", lease_until_ms: platform.clock.nowMs() + 60_000 });
    expect(expectStatus(await pull(), 200).body.datasets).toMatchObject([
      { accepted: 0, complete: false, error: expect.stringContaining("under way") },
    ]);
    expect(asked).toHaveLength(1);
  });

  test.each([
    ["goes on to another page", "took these receipts over", (page: Reply) => page],
    [
      "comes to the last page",
      "took these receipts over",
      () => ({ status: 200, body: `{"receipts":[],"next":null}` }),
    ],
    ["fails", "", () => "break" as const],
  ])("that was taken over leaves alone what the other one has, when it %s", async (_what, says, replyOf) => {
    const { kept, asked, make, pull, stateOf, list, take, answerPage } = await askable();
    kept.push(await make(), await make(), await make());
    const taken = { cursor: "9", lease_until_ms: platform.clock.nowMs() + 60_000 };
    sink.reply(list, async (request) => {
      const page = answerPage(request);
      await take(taken);
      return replyOf(page);
    });
    const [outcome] = expectStatus(await pull(), 200).body.datasets;
    expect(outcome).toMatchObject({ complete: false, error: expect.stringContaining(says) });
    expect(asked).toEqual([null]);
    expect(await stateOf()).toMatchObject({ ...taken, last_at: null, failures: 0 });
  });

  test("that another one has is not due before its lease has ended, and is then", async () => {
    const { asked, pull, stateOf, list, take } = await askable();
    expectStatus(await pull(), 200);
    await take({ cursor: "2", lease_until_ms: platform.clock.nowMs() + 60_000, next_at_ms: 0 });
    const { signal } = new AbortController();
    await pullDueReceipts(ctx, signal);
    expect(asked).toHaveLength(1);
    sink.reply(list, () => ({ status: 503 }));
    platform.clock.advance(60);
    await pullDueReceipts(ctx, signal);
    await expect.poll(stateOf).toMatchObject({ failures: 1, lease_until_ms: 0 });
  });

  test("that breaks off here counts as a failure, and lets go of the receipts", async () => {
    const { marketplace, pull, stateOf } = await askable();
    expectStatus(await pull(), 200);
    const outbound = { ...ctx.outbound, read: () => Promise.reject(new Error("not foreseen")) };
    const pulled = await pullReceipts({ ...ctx, outbound }, marketplace.marketplaceId);
    expect(pulled).toMatchObject({ value: [{ complete: false, error: expect.stringContaining("broke off") }] });
    expect(await stateOf()).toMatchObject({ failures: 1, lease_until_ms: 0 });
    expect(expectStatus(await pull(), 200).body.datasets).toMatchObject([{ complete: true }]);
  });

  test("that was cut off comes behind those that were due by the end of its lease", async () => {
    const [first, second] = [await askable(), await askable()];
    const nowMs = platform.clock.nowMs() - 3_600_000;
    const names = [first, second].map(({ marketplace }) => marketplace.marketplaceId);
    expectStatus(await first.pull(), 200);
    expectStatus(await second.pull(), 200);
    await ctx.db.transaction().execute(async (trx) => {
      const set = async (name: string | undefined, next_at_ms: number, lease_until_ms: number) =>
        trx
          .updateTable("receipt_pull")
          .set({ next_at_ms, lease_until_ms })
          .where("marketplace_id", "=", name ?? "")
          .execute();
      await set(names[0], nowMs - 500_000, nowMs - 1_000);
      await set(names[1], nowMs - 2_000, 0);
      const due = (await readDuePulls(trx, nowMs, 1_000)).map((row) => row.marketplace_id);
      expect(due.filter((id) => names.includes(id))).toEqual(names.toReversed());
      await set(names[0], nowMs + 7_200_000, 0);
      await set(names[1], nowMs + 7_200_000, 0);
    });
  });

  test("keeps what it refused under a name that is cut in the middle of a character", async () => {
    const { kept, pull, stateOf } = await askable();
    kept.push({ receipt_id: `${"r".repeat(127)}🎈` });
    expect(expectStatus(await pull(), 200).body.datasets).toMatchObject([{ refused: 1, complete: true }]);
    expect(JSON.parse((await stateOf())?.refusals ?? "")).toMatchObject([{ receipt_id: `${"r".repeat(127)}\uFFFD` }]);
  });

  test.each([
    ["answers no page", "expected {receipts", { status: 200, body: "[]" }],
    [
      "answers too many at once",
      "expected {receipts",
      { status: 200, body: JSON.stringify({ receipts: Array(1_001).fill(0), next: null }) },
    ],
    ["names no cursor", "to be a cursor", { status: 200, body: JSON.stringify({ receipts: [], next: 7 }) }],
    [
      "names a cursor with U+0000",
      "to be a cursor",
      { status: 200, body: JSON.stringify({ receipts: [], next: "\0" }) },
    ],
    ["names half a character", "to be a cursor", { status: 200, body: String.raw`{"receipts": [], "next": "\ud800"}` }],
    ["names too long a cursor", "to be a cursor", { status: 200, body: `{"receipts":[],"next":"${"1".repeat(257)}"}` }],
    ["talks without end", "", "talk-without-end" as const],
    ["breaks the connection", "", "break" as const],
  ])("of a marketplace that %s fails, and says so", async (_what, says, reply) => {
    const { pull, list } = await askable();
    sink.reply(list, () => reply);
    expect(expectStatus(await pull(), 200).body.datasets).toMatchObject([
      { accepted: 0, complete: false, error: expect.stringContaining(says) },
    ]);
  });

  test("of a marketplace that names the same page for ever ends", async () => {
    const { pull, list } = await askable();
    sink.reply(list, () => ({ status: 200, body: JSON.stringify({ receipts: [], next: "1" }) }));
    expect(expectStatus(await pull(), 200).body.datasets).toMatchObject([
      { complete: false, error: expect.stringContaining("another cursor") },
    ]);
  });

  test("is for the operator, and needs a marketplace that knows us", async () => {
    const { marketplace } = await askable();
    const path = `/api/v1/marketplaces/${marketplace.marketplaceId}/receipt-pulls`;
    expect(await (await marketplace.call()).post(path)).toMatchObject({ status: 403 });
    expect(await platform.operator.post("/api/v1/marketplaces/mkt_nobody/receipt-pulls")).toMatchObject({
      status: 404,
    });
    const stranger = await registerMarketplace(platform);
    expect(await platform.operator.post(`/api/v1/marketplaces/${stranger.marketplaceId}/receipt-pulls`)).toMatchObject({
      status: 409,
      body: { code: "conflict" },
    });
  });
});
