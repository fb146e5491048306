import { accept } from "@licet/protocol";
import type { Context } from "../context.ts";
import type { PayoutAdapterName } from "../db/payment-tables.ts";
import { BY_RESTORE } from "../events/journal-entry.ts";
import { writeFact } from "../events/write-fact.ts";
import { postTransactions } from "../ledger/post-transactions.ts";
import { payoutTransaction } from "./create-batch.ts";
import { type NewPayout, holdRows, holdUnsent, insertBatch, insertPayouts, readHeld } from "./store.ts";

/** After a restore servers start, and Stripe answers for what the lost one asked last. */
const LOOK_AFTER_SECONDS = 300;

/** What the journal keeps of a payout that was made after a backup. */
export interface LostPayout {
  readonly payoutId: string;
  readonly batchId: string;
  readonly creatorId: string;
  readonly adapter: PayoutAdapterName;
  readonly currency: string;
  readonly amountMicros: bigint;
}

/**
 * Writes payouts again that were made after the backup: out of the balance, so that no other batch
 * pays them, and held, because they may have been sent. Answers how many were not known.
 */
export async function restorePayouts(then: Context, lost: readonly LostPayout[], lookAtMs: number): Promise<number> {
  const restored = await writeFact(then, async (fact) => {
    const known = new Set(
      (
        await holdRows(
          fact.trx,
          lost.map((payout) => payout.payoutId),
        )
      ).map((row) => row.payout_id),
    );
    const missing = lost.filter(({ payoutId }) => !known.has(payoutId));
    for (const { batchId, adapter, currency } of missing)
      await insertBatch(fact.trx, {
        batch_id: batchId,
        adapter,
        currency,
        created_at: fact.now,
        created_by: BY_RESTORE,
        schedule: null,
        left_count: 0,
      });
    const rows = missing.map((payout): NewPayout => ({
      payout_id: payout.payoutId,
      batch_id: payout.batchId,
      creator_id: payout.creatorId,
      adapter: payout.adapter,
      currency: payout.currency,
      amountMicros: payout.amountMicros,
      sealed_destination: null,
      hint: null,
      state: "unknown",
      created_at: fact.now,
      next_attempt_at_ms: payout.adapter === "stripe" ? lookAtMs : null,
    }));
    await insertPayouts(fact.trx, rows);
    if (rows.length > 0) postTransactions(fact, rows.map(payoutTransaction));
    for (const { payout_id } of rows)
      fact.record({ type: "payout.held", aggregate: payout_id, body: { payout_id, by: BY_RESTORE } });
    return accept(rows.length);
  });
  return restored.ok ? restored.value : 0;
}

/** When what is held may be looked for first. */
export function lookAtMsOf(ctx: Pick<Context, "clock">): number {
  return ctx.clock.nowMs() + LOOK_AFTER_SECONDS * 1_000;
}

/**
 * Holds what a backup calls unsent: it may have been sent since. Stripe is asked before anything is
 * sent again; of a file the operator says what became of it. Answers the ids of all that are held.
 */
export async function holdPayouts(ctx: Context): Promise<readonly string[]> {
  const held = await writeFact(ctx, async (fact) => {
    const ids = await holdUnsent(fact.trx, lookAtMsOf(ctx));
    for (const payout_id of ids)
      fact.record({ type: "payout.held", aggregate: payout_id, body: { payout_id, by: BY_RESTORE } });
    return accept(await readHeld(fact.trx));
  });
  return held.ok ? held.value : [];
}
