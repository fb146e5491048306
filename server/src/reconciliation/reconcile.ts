import { type JsonObject, canonicalize } from "@licet/protocol";
import { ulid } from "ulid";
import { type Context, nowSeconds } from "../context.ts";
import { attemptError } from "../jobs/attempt-error.ts";
import { FINDING_KINDS, LOOKS } from "./find-causes.ts";
import { keepFindings } from "./keep-findings.ts";
import { type RunRow, claimRun, endRun, extendLease, findNewestRun, findUnderWay, insertRun } from "./run-store.ts";

/** A run that has done nothing for so long was lost with its server. */
const LEASE_MS = 1_800_000;
/** A run that failed is tried again sooner than the next one is due. */
const RETRY_SECONDS = 3_600;
const MAX_ATTEMPTS = 3;

/** Has everything compared soon; a run that waits or is under way is answered as it is. */
export async function requestReconciliation(
  ctx: Context,
  by: string,
): Promise<{ readonly run: RunRow; readonly isNew: boolean }> {
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
    const run = await insertRun(ctx.db, {
      reconciliation_id: `rec_${ulid(ctx.clock.nowMs())}`,
      requested_by: by,
      requested_at: nowSeconds(ctx),
    });
    if (run !== undefined) return { run, isNew: true };
    const other = await findUnderWay(ctx.db);
    if (other !== undefined) return { run: other, isNew: false };
  }
  throw new Error("expected a reconciliation to wait or to be under way");
}

/** Asks for the run that is due, and does the one that waits. Of several servers one does it. */
export async function reconcileDue(ctx: Context, signal: AbortSignal): Promise<void> {
  if (await isDue(ctx)) await requestReconciliation(ctx, "timer");
  const run = await claimRun(ctx.db, { nowMs: ctx.clock.nowMs(), leaseMs: LEASE_MS });
  if (run !== undefined) await reconcile(ctx, run, signal);
}

async function isDue(ctx: Context): Promise<boolean> {
  const { reconcileSeconds } = ctx.config.money;
  if (reconcileSeconds === undefined) return false;
  const newest = await findNewestRun(ctx.db);
  if (newest === undefined) return true;
  const after = newest.state === "failed" ? Math.min(RETRY_SECONDS, reconcileSeconds) : reconcileSeconds;
  return newest.ended_at !== null && nowSeconds(ctx) >= newest.requested_at + after;
}

async function reconcile(ctx: Context, run: RunRow, signal: AbortSignal): Promise<void> {
  const runId = run.reconciliation_id;
  try {
    const outcome: Record<string, JsonObject> = {};
    for (const kind of FINDING_KINDS) {
      // A server that stops leaves the rest to whoever finds the lease over.
      if (signal.aborted) return await extendLease(ctx.db, runId, 0);
      const causes = await LOOKS[kind](ctx);
      outcome[kind] = { ...(await keepFindings(ctx, { kind, causes, runId })) };
      await extendLease(ctx.db, runId, ctx.clock.nowMs() + LEASE_MS);
    }
    const ending = { state: "done" as const, ended_at: nowSeconds(ctx), outcome: canonicalize(outcome), error: null };
    await endRun(ctx.db, runId, ending);
  } catch (error) {
    const ending = { state: "failed" as const, ended_at: nowSeconds(ctx), outcome: null };
    await endRun(ctx.db, runId, { ...ending, error: attemptError(String(error)) });
    throw error;
  }
}
