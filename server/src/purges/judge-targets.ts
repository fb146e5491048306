import { TTL_SECONDS, accept, formatInstant } from "@licet/protocol";
import type { Context } from "../context.ts";
import { writeFact } from "../events/write-fact.ts";
import type { PurgeAdapter } from "./purge-port.ts";
import { type TargetRow, markRecovered, markWarned, readTargets } from "./target-store.ts";

/** From then on a cache that obeys `max-age` has asked again, so the purge is late for everybody: that is told of. */
export const FAILING_MS = TTL_SECONDS * 1_000;

/**
 * Says loudly, once, that something a target was asked for is unconfirmed for long, whatever else it
 * confirms, and that nothing is any more. Answers since when the one is late that is latest; undefined
 * when none is.
 */
export async function judgeTargets(
  ctx: Context,
  adapters: readonly Pick<PurgeAdapter, "target">[],
): Promise<number | undefined> {
  const rows = await readTargets(
    ctx.db,
    adapters.map((adapter) => adapter.target),
  );
  const beforeMs = ctx.clock.nowMs() - FAILING_MS;
  for (const row of rows) {
    if (!isFailing(row, beforeMs) && row.warned_at_ms !== null) await tellRecovered(ctx, row, beforeMs);
    if (isFailing(row, beforeMs) && row.warned_at_ms === null) await tellFailing(ctx, row, beforeMs);
  }
  const since = rows.filter((row) => isFailing(row, beforeMs)).map((row) => row.failing_since_ms ?? beforeMs);
  return since.length === 0 ? undefined : Math.min(...since);
}

function isFailing({ failing_since_ms }: TargetRow, beforeMs: number): boolean {
  return failing_since_ms !== null && failing_since_ms <= beforeMs;
}

async function tellFailing(ctx: Context, { target }: TargetRow, beforeMs: number): Promise<void> {
  const told = await writeFact(ctx, async (fact) => {
    const row = await markWarned(fact.trx, target, { nowMs: ctx.clock.nowMs(), beforeMs });
    if (row === undefined) return accept(undefined);
    const failing_since = formatInstant(Math.floor((row.failing_since_ms ?? beforeMs) / 1_000));
    const error = row.last_error ?? "";
    fact.record({ type: "purge.failing", aggregate: target, body: { target, failing_since, error } });
    return accept({ target, failing_since, error });
  });
  if (told.ok && told.value !== undefined)
    ctx.log.error(told.value, "purges fail: what was taken back is bounded by the clocks alone there");
}

async function tellRecovered(ctx: Context, { target }: TargetRow, beforeMs: number): Promise<void> {
  const told = await writeFact(ctx, async (fact) => {
    const isWell = await markRecovered(fact.trx, target, beforeMs);
    if (isWell) fact.record({ type: "purge.recovered", aggregate: target, body: { target } });
    return accept(isWell);
  });
  if (told.ok && told.value) ctx.log.info({ target }, "purges are confirmed again");
}
