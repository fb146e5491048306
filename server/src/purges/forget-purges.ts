import type { Context } from "../context.ts";
import { deleteOrders } from "./store.ts";

/** What was purged is kept for so long, to be told how long it took. */
export const RETENTION_MS = 90 * 86_400_000;
/** Orders in one transaction, and transactions in one sweep. */
const BATCH = 1_000;
const MAX_BATCHES = 100;

/** Forgets old purges. */
export async function forgetPurges(ctx: Context): Promise<void> {
  const beforeMs = ctx.clock.nowMs() - RETENTION_MS;
  for (let batch = 0; batch < MAX_BATCHES; batch += 1)
    if ((await deleteOrders(ctx.db, beforeMs, BATCH)) < BATCH) return;
}
