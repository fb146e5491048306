import { type Result, accept, formatInstant, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { type Page, cutPage } from "../http/parameters.ts";
import { payoutFileName } from "./csv-adapter.ts";
import {
  type BatchRow,
  type BatchSum,
  type PayoutRow,
  findBatch,
  readBatchSums,
  readBatches,
  readPayoutsOfBatch,
  readPayoutsOfCreator,
} from "./store.ts";

/** A payout as its creator and the operator see it. */
export function payoutView(row: PayoutRow) {
  return {
    payout_id: row.payout_id,
    batch_id: row.batch_id,
    creator_id: row.creator_id,
    adapter: row.adapter,
    currency: row.currency,
    amount_micros: String(row.amountMicros),
    returned_micros: String(row.returnedMicros),
    state: row.state,
    destination: row.hint,
    external_id: row.external_id,
    reason: row.reason,
    attempts: row.attempts,
    created_at: formatInstant(row.created_at),
    settled_at: row.settled_at === null ? null : formatInstant(row.settled_at),
    next_attempt_at: row.next_attempt_at_ms === null ? null : formatInstant(Math.ceil(row.next_attempt_at_ms / 1_000)),
  };
}

export function batchView(row: BatchRow, sums: readonly BatchSum[]) {
  const own = sums.filter((sum) => sum.batch_id === row.batch_id);
  return {
    batch_id: row.batch_id,
    adapter: row.adapter,
    currency: row.currency,
    created_at: formatInstant(row.created_at),
    created_by: row.created_by,
    schedule: row.schedule,
    has_more: row.left_count > 0,
    file: row.adapter === "csv" ? payoutFileName(row.batch_id) : null,
    amount_micros: String(own.reduce((sum, { amount }) => sum + BigInt(amount), 0n)),
    payouts_count: own.reduce((sum, { count }) => sum + count, 0),
    states: Object.fromEntries(own.map(({ state, count }) => [state, count])),
  };
}

export async function listBatches(ctx: Context, page: Page) {
  const { rows, next } = cutPage(await readBatches(ctx.db, page), page.limit, (row) => row.batch_id);
  const sums = await readBatchSums(
    ctx.db,
    rows.map((row) => row.batch_id),
  );
  return { payout_batches: rows.map((row) => batchView(row, sums)), next };
}

export type BatchWithPayouts = ReturnType<typeof batchView> & {
  readonly payouts: readonly ReturnType<typeof payoutView>[];
};

/** A batch with all of its payouts. Refuses `not_found`. */
export async function readBatch(ctx: Context, batchId: string): Promise<Result<BatchWithPayouts>> {
  const row = await findBatch(ctx.db, batchId);
  if (row === undefined) return refuse("not_found", `there is no payout batch ${batchId}`);
  const payouts = await readPayoutsOfBatch(ctx.db, batchId);
  return accept({
    ...batchView(row, await readBatchSums(ctx.db, [batchId])),
    payouts: payouts.map(payoutView),
  });
}

export async function listPayouts(ctx: Context, creatorId: string, page: Page) {
  const found = await readPayoutsOfCreator(ctx.db, creatorId, page);
  const { rows, next } = cutPage(found, page.limit, (row) => row.payout_id);
  return { payouts: rows.map(payoutView), next };
}
