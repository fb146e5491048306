import { type JsonObject, formatInstant } from "@licet/protocol";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type RegisteredMarketplace,
  enrolCreator,
  expectStatus,
  giveConsent,
  offerDataset,
  publishDataset,
  registerMarketplace,
  registerWork,
  uniqueId,
} from "../../../test/fixtures/actors.ts";
import { checkPlatform } from "../../../test/fixtures/check-platform.ts";
import { createClient } from "../../../test/fixtures/sdk.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import {
  type LicensedDataset,
  licenseFor,
  linesOf,
  postBatch,
  receiptContent,
  signAnyReceipt,
} from "../../../test/fixtures/receipts.ts";
import { startSink } from "../../../test/fixtures/webhook-sink.ts";
import { MAX_BATCH_LINES } from "./accept-batch.ts";

const sink = await startSink();
const platform = await startPlatform({ allowedHosts: [sink.host] });
const db = platform.server.ctx.db;
const creator = await enrolCreator(platform);
const work = await registerWork(platform, creator.creatorId);
await giveConsent(creator);

/** A marketplace that can be asked, with a license of a dataset at a price. */
async function licensed(price = "per-token:0.0001") {
  const path = `/${uniqueId("m")}`;
  const marketplace = await registerMarketplace(platform, {
    base_url: sink.url(path),
    platform_token: "platform-token-of-ours-0123456789",
  });
  const published = await publishDataset(platform, [work], { pricing: { model_use: price } });
  await offerDataset(platform, published.dataset_id, marketplace);
  return { marketplace, path, dataset: await licenseFor(platform, marketplace, published) };
}

function receiptOf(marketplace: RegisteredMarketplace, dataset: LicensedDataset, count: number, members = {}) {
  const usage = { usage: { unit: "tokens", count }, tokens_used: count };
  return signAnyReceipt(
    receiptContent(platform, marketplace, dataset, { ...usage, ...members }),
    marketplace.receiptSigner,
  );
}

async function licenseOf({ license_id }: LicensedDataset) {
  return expectStatus(await platform.operator.get(`/api/v1/licenses/${license_id}`), 200).body;
}

/** What a marketplace owes, by the ledger. */
async function owedBy({ marketplaceId }: RegisteredMarketplace): Promise<bigint> {
  const path = `/api/v1/ledger/accounts?kind=marketplace&owner=${marketplaceId}`;
  const { accounts } = expectStatus(await platform.operator.get(path), 200).body;
  return BigInt(accounts[0]?.balance_micros ?? "0");
}

describe("a batch of receipts", () => {
  test("is answered line by line, and a broken line in the middle hurts nobody", async () => {
    const { marketplace, dataset } = await licensed();
    const [first, second] = [await receiptOf(marketplace, dataset, 3), await receiptOf(marketplace, dataset, 4)];
    const lines = [first, "{", "", await receiptOf(marketplace, dataset, -1), '{"a":1,"a":2}', second, first];
    const answer = expectStatus(await postBatch(marketplace, lines), 200);
    expect(answer.headers.get("content-type")).toBe("application/x-ndjson");
    const results = linesOf(answer);
    expect(results.map(({ line, status, problem }) => [line, status, problem?.code])).toEqual([
      [1, "accepted", undefined],
      [2, "refused", "body_malformed"],
      [4, "refused", "receipt_invalid"],
      [5, "refused", "body_malformed"],
      [6, "accepted", undefined],
      [7, "known", undefined],
    ]);
    expect(results[5]?.receipt).toEqual(results[0]?.receipt);
    expect(await licenseOf(dataset)).toMatchObject({ units_reported: "7", charged_micros: "700" });
    expect(await owedBy(marketplace)).toBe(700n);
  });

  test("sent again is the first answer again, also twice at once, and alone", async () => {
    const { marketplace, dataset } = await licensed();
    const receipts = await Promise.all([1, 2, 3, 4].map((count) => receiptOf(marketplace, dataset, count)));
    const answers = await Promise.all([
      postBatch(marketplace, receipts),
      postBatch(marketplace, receipts.toReversed()),
    ]);
    const kept = new Map<unknown, JsonObject>();
    const statuses = answers
      .flatMap((answer) => linesOf(answer))
      .map(({ status, receipt }) => {
        const before = kept.get(receipt?.["receipt_id"]);
        if (before !== undefined) expect(receipt).toEqual(before);
        kept.set(receipt?.["receipt_id"], receipt ?? {});
        return status;
      });
    expect(statuses.toSorted()).toEqual([...Array(4).fill("accepted"), ...Array(4).fill("known")]);
    const caller = await marketplace.call();
    for (const receipt of receipts)
      expect(await caller.post("/api/v1/usage-receipts", receipt)).toMatchObject({
        status: 200,
        body: kept.get(receipt["receipt_id"]) ?? {},
      });
    expect(await owedBy(marketplace)).toBe(1_000n);
  });

  test("with another id for a nonce, or other bytes for an id, refuses the later one of the same batch", async () => {
    const { marketplace, dataset } = await licensed();
    const [receipt_id, nonce] = [uniqueId("r_"), uniqueId("nonce-0123456789-")];
    const lines = await Promise.all([
      receiptOf(marketplace, dataset, 1, { receipt_id, nonce }),
      receiptOf(marketplace, dataset, 2, { receipt_id }),
      receiptOf(marketplace, dataset, 3, { nonce }),
    ]);
    const results = linesOf(await postBatch(marketplace, lines));
    expect(results.map(({ status, problem }) => problem?.code ?? status)).toEqual([
      "accepted",
      "receipt_id_reused",
      "receipt_nonce_reused",
    ]);
  });

  test("of the sdk says of each receipt what became of it", async () => {
    const { marketplace, dataset } = await licensed();
    const { clientId, clientSecret, scope } = marketplace;
    const client = createClient({ origin: platform.origin, clientId, clientSecret, scope });
    const [receipt, refused] = await Promise.all([
      receiptOf(marketplace, dataset, 5),
      receiptOf(marketplace, dataset, 5, { currency: "EUR" }),
    ]);
    expect(await client.postReceipts([receipt, refused, receipt])).toMatchObject({
      ok: true,
      value: [
        { line: 1, status: "accepted", kept: { receipt: { receipt_id: receipt["receipt_id"] } } },
        { line: 2, status: "refused", problem: { code: "receipt_currency_wrong", status: 422 } },
        { line: 3, status: "known" },
      ],
    });
    expect(await client.getReceipt(String(receipt["receipt_id"]))).toMatchObject({
      value: { acceptance: { flags: [], charged_micros: "500", currency: "USD", pulled: false } },
    });
  });

  test("of too many lines is refused before it begins, and so is one that is no lines", async () => {
    const { marketplace } = await licensed();
    const tooMany = Array.from({ length: MAX_BATCH_LINES + 1 }, () => "{}");
    expect(await postBatch(marketplace, tooMany)).toMatchObject({ status: 413, body: { code: "body_too_large" } });
    const caller = await marketplace.call();
    const headers = { "content-type": "text/plain" };
    expect(await caller.send("POST", "/api/v1/usage-receipts", { body: "{}", headers })).toMatchObject({
      status: 415,
      body: { code: "media_type_wrong" },
    });
  });
});

test("the charges of a license come to the price of all its units, however its receipts are cut, ordered and sent", async () => {
  const wishes = fc.record({
    // At three ten-millionths most receipts alone are worth a fraction of a micro-unit.
    price: fc.constantFrom("0.0000003", "0.000000000007", "0.0001"),
    counts: fc.array(fc.nat(1_000_000), { minLength: 1, maxLength: 12 }),
    ways: fc.array(fc.constantFrom("one" as const, "batch" as const, "pull" as const), { minLength: 3, maxLength: 6 }),
  });
  await fc.assert(
    fc.asyncProperty(wishes, async ({ price, counts, ways }) => {
      const { marketplace, path, dataset } = await licensed(`per-token:${price}`);
      const receipts = await Promise.all(counts.map((count) => receiptOf(marketplace, dataset, count)));
      const size = Math.ceil(receipts.length / ways.length);
      await Promise.all(
        ways.map(async (way, index) => {
          // Neighbours share a receipt, so that some come twice, by two ways, at once.
          const part = receipts.slice(Math.max(index * size - 1, 0), (index + 1) * size);
          if (way === "batch" && part.length > 0) expectStatus(await postBatch(marketplace, part), 200);
          const caller = await marketplace.call();
          if (way === "one") for (const receipt of part) await caller.post("/api/v1/usage-receipts", receipt);
          if (way !== "pull") return;
          sink.reply(`${path}/api/v1/usage-receipts`, () => ({
            status: 200,
            body: JSON.stringify({ receipts: part, next: null }),
          }));
          expectStatus(
            await platform.operator.post(`/api/v1/marketplaces/${marketplace.marketplaceId}/receipt-pulls`),
            200,
          );
        }),
      );
      expectStatus(await postBatch(marketplace, receipts), 200);
      const total = counts.reduce((sum, count) => sum + BigInt(count), 0n);
      const [, fraction = ""] = price.split(".");
      const expected = (BigInt(fraction.padEnd(12, "0")) * total) / 1_000_000n;
      expect(await licenseOf(dataset)).toMatchObject({
        units_reported: String(total),
        charged_micros: String(expected),
      });
      expect(await owedBy(marketplace)).toBe(expected);
      const rows = await db
        .selectFrom("usage_receipt")
        .select("charged_micros")
        .where("license_id", "=", dataset.license_id)
        .execute();
      expect(rows).toHaveLength(counts.length);
      expect(rows.reduce((sum, row) => sum + BigInt(row.charged_micros), 0n)).toBe(expected);
    }),
    { numRuns: 8 },
  );
  await checkPlatform({ ...platform, now: () => Math.floor(platform.clock.nowMs() / 1_000) });
}, 120_000);

describe("a receipt's amount", () => {
  test("explains itself, from the price to what is owed", async () => {
    const { marketplace, dataset } = await licensed();
    const before = await receiptOf(marketplace, dataset, 7);
    const receipt = await receiptOf(marketplace, dataset, 123_456);
    expectStatus(await postBatch(marketplace, [before, receipt]), 200);
    const { accounts } = (
      await platform.operator.get(`/api/v1/ledger/accounts?kind=marketplace&owner=${marketplace.marketplaceId}`)
    ).body;
    const path = `/api/v1/ledger/accounts/${accounts[0].account_id}/entries`;
    const { entries } = expectStatus(await platform.operator.get(path), 200).body;
    const explained = await platform.operator.get(`/api/v1/ledger/entries/${entries[1].entry_id}/explanation`);
    expect(explained.text).toContain(
      `0.0001 USD a token × 123463 tokens reported under ${dataset.license_id} up to receipt ${String(receipt["receipt_id"])}`,
    );
    expect(explained.text).toContain("less 0.0007 USD charged before: 12.3456 USD.");
  });

  test("cannot outgrow what an amount can be", async () => {
    const { marketplace, dataset } = await licensed("per-token:999999999999");
    const results = linesOf(
      await postBatch(marketplace, [
        await receiptOf(marketplace, dataset, Number.MAX_SAFE_INTEGER),
        await receiptOf(marketplace, dataset, 2),
      ]),
    );
    expect(results.map(({ status, problem }) => problem?.code ?? status)).toEqual([
      "receipt_amount_too_large",
      "accepted",
    ]);
    expect(await owedBy(marketplace)).toBe(1_999_999_999_998_000_000n);
  });

  test("of a flat price was charged with the license, in whatever unit the use is", async () => {
    const { marketplace, dataset } = await licensed("flat:100");
    const usage = { usage: { unit: "bytes", count: 5 }, tokens_used: undefined };
    const { receipt } =
      linesOf(await postBatch(marketplace, [await receiptOf(marketplace, dataset, 5, usage)]))[0] ?? {};
    expect(receipt).toMatchObject({ usage: { unit: "bytes" } });
    const read = await platform.operator.get(`/api/v1/usage-receipts/${String(receipt?.["receipt_id"])}`);
    expect(read.body.acceptance).toMatchObject({ charged_micros: "0" });
  });
});

describe("a period", () => {
  test("is reported once under a license: what overlaps it is refused, what adjoins it is not", async () => {
    const { marketplace, dataset } = await licensed();
    const now = Math.floor(platform.clock.nowMs() / 1_000);
    const during = (from: number, to: number) => {
      const period = { from: formatInstant(now + from), to: formatInstant(now + to) };
      return receiptOf(marketplace, dataset, 1, { period });
    };
    expectStatus(await postBatch(marketplace, [await during(-50, -40)]), 200);
    const tried = [
      [-50, -40, "receipt_period_overlaps"],
      [-45, -44, "receipt_period_overlaps"],
      [-55, -49, "receipt_period_overlaps"],
      [-41, -30, "receipt_period_overlaps"],
      [-45, -45, "receipt_period_overlaps"],
      [-40, -30, "accepted"],
      [-35, -34, "receipt_period_overlaps"],
      [-55, -50, "accepted"],
      [-50, -50, "accepted"],
      [-50, -50, "accepted"],
      [-20, -20, "accepted"],
      [-21, -19, "receipt_period_overlaps"],
    ] as const;
    const lines = await Promise.all(tried.map(async ([from, to]) => during(from, to)));
    // In one chunk they meet each other in memory, one by one in the database.
    const results = [...linesOf(await postBatch(marketplace, lines.slice(0, 7)))];
    for (const line of lines.slice(7)) results.push(...linesOf(await postBatch(marketplace, [line])));
    expect(results.map(({ status, problem }) => problem?.code ?? status)).toEqual(tried.map(([, , code]) => code));
  });
});
