import type { Context } from "../context.ts";
import { deleteExpiredSecrets } from "../marketplaces/lookup.ts";
import { deleteDeliveries } from "./store.ts";

/**
 * Deliveries are kept for so long, whatever became of them: far longer than attempts go on. What was
 * held for a disabled endpoint longer than that is gone; its marketplace reads the documents instead.
 */
export const RETENTION_MS = 90 * 86_400_000;
/** Rows in one transaction, and transactions in one sweep. */
const BATCH = 1_000;
const MAX_BATCHES = 100;

/** Forgets old deliveries and secrets that no longer sign. */
export async function forgetDeliveries(ctx: Context): Promise<void> {
  const nowMs = ctx.clock.nowMs();
  await deleteExpiredSecrets(ctx.db, nowMs);
  for (let batch = 0; batch < MAX_BATCHES; batch += 1) {
    if ((await deleteDeliveries(ctx.db, nowMs - RETENTION_MS, BATCH)) < BATCH) return;
  }
}
