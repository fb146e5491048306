import { formatInstant } from "@licet/protocol";
import { expect, test } from "vitest";
import {
  type RegisteredMarketplace,
  enrolCreator,
  expectStatus,
  giveConsent,
  offerDataset,
  publishDataset,
  registerMarketplace,
  registerWork,
} from "../../../test/fixtures/actors.ts";
import type { Answer } from "../../../test/fixtures/caller.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import {
  licenseFor,
  linesOf,
  postBatch,
  postReceipt,
  receiptContent,
  signAnyReceipt,
} from "../../../test/fixtures/receipts.ts";

const platform = await startPlatform();
const ana = await enrolCreator(platform);
const work = await registerWork(platform, ana.creatorId);
await giveConsent(ana);
const dataset = await publishDataset(platform, [work]);

async function offered(): Promise<RegisteredMarketplace> {
  const marketplace = await registerMarketplace(platform);
  await offerDataset(platform, dataset.dataset_id, marketplace);
  return marketplace;
}

async function end(marketplace: RegisteredMarketplace, how: "retire" | "revoke", body?: object): Promise<Answer> {
  const { marketplaceId, receiptSigner } = marketplace;
  return (await marketplace.call()).post(
    `/api/v1/marketplaces/${marketplaceId}/receipt-keys/${receiptSigner.kid}/${how}`,
    body,
  );
}

test("a retired receipt key signs no more receipts, and those it signed stand", async () => {
  const marketplace = await offered();
  const { body: kept } = expectStatus(await postReceipt(platform, marketplace, dataset), 201);
  const { body: retired } = expectStatus(await end(marketplace, "retire"), 200);
  expect(retired).toMatchObject({ kid: marketplace.receiptSigner.kid, not_after: expect.any(String) });
  expect(await postReceipt(platform, marketplace, dataset)).toMatchObject({
    status: 401,
    body: { code: "key_not_in_force" },
  });
  expectStatus(await platform.operator.get(`/api/v1/usage-receipts/${kept.receipt_id}`), 200);
  expect(expectStatus(await end(marketplace, "retire"), 200).body).toEqual(retired);
});

test.each(["retire", "revoke"] as const)(
  "the same bytes are the first answer again after their key's %s, and other bytes are not",
  async (how) => {
    const marketplace = await offered();
    const licensed = await licenseFor(platform, marketplace, dataset);
    const sign = async () => signAnyReceipt(receiptContent(platform, marketplace, licensed), marketplace.receiptSigner);
    const [receipt, other] = [await sign(), await sign()];
    const caller = await marketplace.call();
    const first = expectStatus(await caller.post("/api/v1/usage-receipts", receipt), 201).body;
    expectStatus(await end(marketplace, how, how === "revoke" ? {} : undefined), 200);
    expect(await caller.post("/api/v1/usage-receipts", receipt)).toMatchObject({ status: 200, body: first });
    expect(await caller.post("/api/v1/usage-receipts", other)).toMatchObject({ body: { code: "key_not_in_force" } });
    expect(linesOf(await postBatch(marketplace, [other, receipt])).map(({ status }) => status)).toEqual([
      "refused",
      "known",
    ]);
    const forged = { ...receipt, tokens_used: 1, usage: { unit: "tokens", count: 1 } };
    expect(await caller.post("/api/v1/usage-receipts", forged)).toMatchObject({ body: { code: "key_not_in_force" } });
  },
);

test("a revoked receipt key is refused, and the answer names the receipts in doubt", async () => {
  const marketplace = await offered();
  const since = formatInstant(Math.floor(platform.clock.nowMs() / 1_000));
  const { body: kept } = expectStatus(await postReceipt(platform, marketplace, dataset), 201);
  expect(expectStatus(await end(marketplace, "revoke", { compromised_since: since }), 200).body).toMatchObject({
    key: { compromised_since: since, revoked_at: expect.any(String) },
    doubtful_receipt_ids: [kept.receipt_id],
  });
  expect(await postReceipt(platform, marketplace, dataset)).toMatchObject({ body: { code: "key_not_in_force" } });
  const future = { compromised_since: "2999-01-01T00:00:00Z" };
  expect(await end(marketplace, "revoke", future)).toMatchObject({ status: 422, body: { code: "input_invalid" } });
});

test("a receipt key is its marketplace's to end, and the operator's", async () => {
  const [one, other] = [await offered(), await offered()];
  const path = `/api/v1/marketplaces/${one.marketplaceId}/receipt-keys/${one.receiptSigner.kid}/retire`;
  expect(await (await other.call()).post(path)).toMatchObject({ status: 403, body: { code: "not_yours" } });
  const wrong = `/api/v1/marketplaces/${other.marketplaceId}/receipt-keys/${one.receiptSigner.kid}/retire`;
  expect((await (await other.call()).post(wrong)).status).toBe(404);
  expectStatus(await platform.operator.post(path), 200);
});
