import type { Context } from "../context.ts";
import { turnPartitions } from "../interactions/partitions.ts";
import { deleteBatches } from "./store.ts";

/** A batch that an edge sends again comes within days: as old as what it holds may be. */
const BATCH_RETENTION_MS = 8 * 86_400_000;

/** Makes the coming months' partitions, drops the months whose time is over, and forgets the names of old batches. */
export async function turnEdgeMonths(ctx: Context): Promise<void> {
  const nowMs = ctx.clock.nowMs();
  const dropped = await turnPartitions(ctx.db, "edge_event", { nowMs, days: ctx.config.interactionRetentionDays });
  if (dropped.length > 0) ctx.log.info({ months: dropped }, "months of edges' events were dropped");
  await deleteBatches(ctx.db, nowMs - BATCH_RETENTION_MS);
}
