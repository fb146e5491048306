import { describe, expect, test } from "vitest";
import { type Creator, enrolCreator, expectStatus, uniqueId } from "../../../test/fixtures/actors.ts";
import { type Site, createSites, journalOf } from "../../../test/fixtures/backups.ts";
import { credit, makeBatch, putDetails } from "../../../test/fixtures/payouts.ts";
import { startStripeSimulator } from "../../../test/fixtures/stripe-simulator.ts";
import { readBalances } from "./read-balance.ts";
import { sendDuePayouts } from "./send-payouts.ts";
import { readPayoutsOfCreator } from "./store.ts";
import type { Context } from "../context.ts";

const sites = createSites();
const stripe = await startStripeSimulator();
const DAY = 86_400;

/** A server's context that knows Stripe, as its settings would have it. */
function withStripe({ platform }: Pick<Site, "platform">): Context {
  const { ctx } = platform.server;
  const settings = { secretKey: stripe.secretKey, webhookSecret: undefined, api: new URL(stripe.api) };
  return { ...ctx, config: { ...ctx.config, payments: { ...ctx.config.payments, stripe: settings } } };
}

describe("a restore of a backup, after payouts were sent", () => {
  test("pays none of them again: they are out of the balance, held, and settled by what was or is found", async () => {
    const site = await sites.open(await sites.createDatabase());
    const { platform } = site;
    const owed = async (): Promise<Creator> => {
      const creator = await enrolCreator(platform);
      await credit(platform.server, creator.creatorId, 20_000_000n);
      const details = { adapter: "csv", currency: "EUR", holder: "A", account: uniqueId("acc-") };
      expectStatus(await putDetails(creator.caller, creator.creatorId, details), 200);
      return creator;
    };
    const [early, sent, settled, free] = [await owed(), await owed(), await owed(), await owed()];
    site.clock.advance(8 * DAY);
    // The sender waits for the journal's sweep, so that a backup can be taken in between.
    const earlyBatch = await makeBatch(platform.operator, { creator_ids: [early.creatorId] });
    const path = await site.backUp();
    const states = async (batchId: string) =>
      (await platform.operator.get(`/api/v1/payout-batches/${batchId}`)).body.states;
    await expect.poll(() => states(earlyBatch.batch_id), { timeout: 30_000 }).toEqual({ sent: 1 });
    const sentBatch = await makeBatch(platform.operator, { creator_ids: [sent.creatorId] });
    const settledBatch = await makeBatch(platform.operator, { creator_ids: [settled.creatorId] });
    await expect.poll(() => states(sentBatch.batch_id), { timeout: 30_000 }).toEqual({ sent: 1 });
    await expect.poll(() => states(settledBatch.batch_id), { timeout: 30_000 }).toEqual({ sent: 1 });
    const answers = { payouts: [{ payout_id: settledBatch.payouts[0].payout_id, outcome: "paid" }] };
    expectStatus(
      await platform.operator.post(`/api/v1/payout-batches/${settledBatch.batch_id}/settlements`, answers),
      200,
    );
    await site.stop();

    const database = await sites.createDatabase();
    const report = await sites.restore(site, { path, journals: [journalOf(site.database)], database });
    expect(report.replayed).toMatchObject({ "payout.created": 2, "payout.paid": 1 });
    const restored = await sites.open(database, { ...site, origin: platform.origin });
    const { operator, server } = restored.platform;
    const stateOf = async ({ creatorId }: Creator) =>
      (await readPayoutsOfCreator(server.ctx.db, creatorId, { after: undefined, limit: 9 })).map(({ state }) => state);
    expect([await stateOf(early), await stateOf(sent), await stateOf(settled)]).toEqual([["sent"], ["sent"], ["paid"]]);
    expect(await readBalances(server.ctx, settled.creatorId)).toMatchObject([
      { available_micros: "0", in_payout_micros: "0", paid_micros: "20000000" },
    ]);
    const again = await makeBatch(operator, {});
    expect(again.payouts.map((row: { creator_id: string }) => row.creator_id)).toEqual([free.creatorId]);
  });

  test("asks Stripe before it sends what the backup calls unsent, and returns what Stripe does not know", async () => {
    const site = await sites.open(await sites.createDatabase(), { settings: { allowedHosts: [stripe.host] } });
    const { platform } = site;
    const ctx = withStripe(site);
    const { createBatch } = await import("./create-batch.ts");
    const { putPayoutDetails } = await import("./payout-details.ts");
    const owed = async (): Promise<string> => {
      const { creatorId } = await enrolCreator(platform);
      await credit(platform.server, creatorId, 20_000_000n);
      const stripe_account = uniqueId("acct_");
      stripe.addAccount(stripe_account);
      const input = { adapter: "stripe", currency: "EUR", stripe_account } as const;
      expect((await putPayoutDetails(ctx, creatorId, { input, principal: { kind: "operator" } })).ok).toBe(true);
      return creatorId;
    };
    const creators = [await owed(), await owed()];
    site.clock.advance(8 * DAY);
    const request = { currency: "EUR", adapter: "stripe", by: "operator" } as const;
    const batch = await createBatch(ctx, { ...request, creatorIds: creators });
    expect(batch.ok).toBe(true);
    // Its own sweep knows no key of Stripe's, so nothing is sent before the backup.
    const path = await site.backUp();
    stripe.suffer("lose");
    await ctx.journal.sweep({ beforeMs: Number.MAX_SAFE_INTEGER });
    await ctx.journal.sweep({ beforeMs: Number.MAX_SAFE_INTEGER });
    await sendDuePayouts(ctx, new AbortController().signal);
    const paid = stripe.transfers().map((transfer) => transfer.transfer_group ?? "");
    expect(paid).toHaveLength(2);
    stripe.pruneKeys();
    stripe.forget(paid[1] ?? "");
    await site.stop();

    const database = await sites.createDatabase();
    const report = await sites.restore(site, { path, journals: [journalOf(site.database)], database });
    expect(report.held_payouts.count).toBeGreaterThan(0);
    const restored = await sites.open(database, {
      ...site,
      origin: platform.origin,
      settings: { allowedHosts: [stripe.host] },
    });
    restored.clock.advance(600);
    const after = withStripe(restored);
    await sendDuePayouts(after, new AbortController().signal);
    const states = await Promise.all(
      creators.map(async (creatorId) =>
        (await readPayoutsOfCreator(after.db, creatorId, { after: undefined, limit: 9 })).map((row) => [
          row.payout_id === paid[1] ? "forgotten" : "known",
          row.state,
        ]),
      ),
    );
    expect(states.flat().every(([known, state]) => known === "forgotten" || state === "paid")).toBe(true);
    expect(stripe.transfers()).toHaveLength(1);
  });

  test("forgets payout details that were changed since, and names whose", async () => {
    const site = await sites.open(await sites.createDatabase());
    const { platform } = site;
    const [moved, calm] = [await enrolCreator(platform), await enrolCreator(platform)];
    const put = async ({ caller, creatorId }: Creator, account: string) =>
      expectStatus(await putDetails(caller, creatorId, { adapter: "csv", currency: "EUR", holder: "A", account }), 200);
    await put(moved, "NR-OLD1");
    await put(calm, "NR-SAME");
    const path = await site.backUp();
    await put(moved, "NR-NEW2");
    await site.stop();

    const database = await sites.createDatabase();
    const report = await sites.restore(site, { path, journals: [journalOf(site.database)], database });
    expect(report.lost_credentials).toEqual({ count: 1, named: [`${moved.creatorId}, payout details for EUR`] });
    const back = await sites.open(database, { ...site, origin: platform.origin });
    const detailsOf = async ({ creatorId }: Creator) =>
      (await back.platform.operator.get(`/api/v1/creators/${creatorId}/payout-details`)).body.payout_details;
    expect(await detailsOf(moved)).toEqual([]);
    expect(await detailsOf(calm)).toMatchObject([{ hint: "…SAME" }]);
  });
});
