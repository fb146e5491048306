import { formatInstant } from "@licet/protocol";
import { describe, expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  giveConsent,
  offerDataset,
  publishDataset,
  registerMarketplace,
  registerWork,
} from "../../../test/fixtures/actors.ts";
import { setPolicy } from "../../../test/fixtures/licenses.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { licenseFor, linesOf, postBatch, receiptContent, signAnyReceipt } from "../../../test/fixtures/receipts.ts";

const platform = await startPlatform();
const { ctx } = platform.server;

describe("use that a version lost something before, within or after", () => {
  async function losing({ isWhole }: { readonly isWhole: boolean }) {
    const [leaving, staying] = [await enrolCreator(platform), await enrolCreator(platform)];
    const left = await registerWork(platform, leaving.creatorId);
    const stayed = await registerWork(platform, isWhole ? leaving.creatorId : staying.creatorId);
    const { jti } = await giveConsent(leaving);
    if (!isWhole) await giveConsent(staying);
    const published = await publishDataset(platform, [left, stayed]);
    const marketplace = await registerMarketplace(platform);
    await offerDataset(platform, published.dataset_id, marketplace);
    const dataset = await licenseFor(platform, marketplace, published);
    platform.clock.advance(40);
    expectStatus(await leaving.caller.post(`/api/v1/consents/${jti}/revoke`), 200);
    const lost = Math.floor(platform.clock.nowMs() / 1_000);
    const at = (seconds: number): string => formatInstant(lost + seconds);
    platform.clock.advance(10);
    const caller = await marketplace.call();
    /** Flags of a use between two seconds, counted from the loss. */
    const flags = async (from: number, to: number, licensed = from) => {
      const content = receiptContent(platform, marketplace, dataset, {
        period: { from: at(from), to: at(to) },
        licensed_at: at(licensed),
      });
      const answer = await caller.post(
        "/api/v1/usage-receipts",
        await signAnyReceipt(content, marketplace.receiptSigner),
      );
      const { body } = expectStatus(answer, 201);
      const read = (await leaving.caller.get(`/api/v1/usage-receipts/${body.receipt_id}`)).body;
      expect(read.acceptance.flags).toEqual(body.countersignature.flags ?? []);
      expect(BigInt(read.acceptance.charged_micros)).toBe(120_000n);
      const breaches = await ctx.db
        .selectFrom("event")
        .select("id")
        .where("aggregate", "=", body.receipt_id)
        .where("type", "=", "receipt.breach")
        .execute();
      return { flags: read.acceptance.flags, breaches: breaches.length, valid: read.valid_for_future_training };
    };
    return { flags };
  }

  test("is accepted, owed, and flagged for what it is; afterwards it is a breach when nothing was left", async () => {
    const { flags } = await losing({ isWhole: true });
    expect(await flags(-20, -10)).toEqual({ flags: ["late"], breaches: 0, valid: false });
    expect(await flags(-5, 3)).toEqual({ flags: ["spans_revocation"], breaches: 0, valid: false });
    expect(await flags(4, 8)).toEqual({ flags: ["after_revocation"], breaches: 1, valid: false });
  });

  test("of the rest is fine for whoever looked before it began, and a breach for whoever did not", async () => {
    const { flags } = await losing({ isWhole: false });
    expect(await flags(4, 6)).toEqual({ flags: [], breaches: 0, valid: true });
    expect(await flags(6, 8, -20)).toEqual({ flags: ["after_revocation"], breaches: 1, valid: false });
  });
});

describe("use under a license", () => {
  async function licensed() {
    const creator = await enrolCreator(platform);
    const work = await registerWork(platform, creator.creatorId);
    await giveConsent(creator);
    const published = await publishDataset(platform, [work]);
    const marketplace = await registerMarketplace(platform);
    await offerDataset(platform, published.dataset_id, marketplace);
    return { marketplace, published };
  }

  test("that is over its cap is owed and flagged, and the license says since when; up to the cap it is neither", async () => {
    const { marketplace, published } = await licensed();
    expectStatus(await setPolicy(platform, published.dataset_id), 200);
    const dataset = await licenseFor(platform, marketplace, published);
    // The policy of the fixture names no cap; a license keeps the one it was issued with.
    await ctx.db
      .updateTable("license")
      .set({ spend_cap_micros: "240000" })
      .where("license_id", "=", dataset.license_id)
      .execute();
    const receipts = await Promise.all(
      [1, 2, 3, 4].map(() => signAnyReceipt(receiptContent(platform, marketplace, dataset), marketplace.receiptSigner)),
    );
    const flags = linesOf(await postBatch(marketplace, receipts)).map(
      ({ receipt }) => Object(receipt?.["countersignature"]).flags,
    );
    expect(flags).toEqual([undefined, undefined, ["over_cap"], ["over_cap"]]);
    expect((await platform.operator.get(`/api/v1/licenses/${dataset.license_id}`)).body).toMatchObject({
      charged_micros: "480000",
      over_cap_at: expect.any(String),
    });
    expect(await (await marketplace.call()).post(`/api/v1/licenses/${dataset.license_id}/renew`)).toMatchObject({
      status: 409,
      body: { code: "license_over_cap" },
    });
  });

  test("after the license's end is owed and flagged, and use before it is not", async () => {
    const { marketplace, published } = await licensed();
    const dataset = await licenseFor(platform, marketplace, published);
    const caller = await marketplace.call();
    const path = `/api/v1/licenses/${dataset.license_id}/revoke`;
    expectStatus(await caller.post(path, { reason: "the model was given up" }), 200);
    const ended = Math.floor(platform.clock.nowMs() / 1_000);
    platform.clock.advance(10);
    const flagsOf = async (from: number, to: number) => {
      const members = { period: { from: formatInstant(ended + from), to: formatInstant(ended + to) } };
      const receipt = receiptContent(platform, marketplace, dataset, members);
      const answer = await caller.post(
        "/api/v1/usage-receipts",
        await signAnyReceipt(receipt, marketplace.receiptSigner),
      );
      const { body } = expectStatus(answer, 201);
      const breaches = await ctx.db
        .selectFrom("event")
        .select("id")
        .where("aggregate", "=", body.receipt_id)
        .where("type", "=", "receipt.breach")
        .execute();
      return [body.countersignature.flags, breaches.length];
    };
    expect(await flagsOf(-20, -10)).toEqual([undefined, 0]);
    expect(await flagsOf(-5, 5)).toEqual([["spans_revocation", "license_ended"], 0]);
    expect(await flagsOf(6, 7)).toEqual([["license_ended"], 1]);
  });
});
