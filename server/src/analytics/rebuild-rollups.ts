import { type Result, accept } from "@licet/protocol";
import type { Context } from "../context.ts";
import { writeFact } from "../events/write-fact.ts";
import {
  type Newest,
  type ProgressRow,
  emptyRollups,
  holdProgress,
  readNewest,
  readProgress,
  saveProgress,
} from "./store.ts";

/** How far the rollups are, and how far there is to go. */
export interface Progress {
  readonly progress: ProgressRow;
  readonly newest: Newest;
}

/** Empties the rollups and has the worker count everything anew, from the first receipt and the first transaction on. */
export async function rebuildRollups(ctx: Context, by: string): Promise<Result<Progress>> {
  return writeFact(ctx, async (fact) => {
    const held = await holdProgress(fact.trx, { wait: true });
    if (held === undefined) throw new TypeError("expected the row of the rollups' progress");
    const progress = { ...held, receipt_sequence: 0, ledger_sequence: 0, counted_at: fact.now, rebuilt_at: fact.now };
    await emptyRollups(fact.trx);
    await saveProgress(fact.trx, progress);
    fact.record({ type: "analytics.rebuilt", aggregate: "rollups", body: { by } });
    return accept({ progress, newest: await readNewest(fact.trx, progress) });
  });
}

export async function findProgress(ctx: Context): Promise<Progress> {
  const progress = await readProgress(ctx.db);
  return { progress, newest: await readNewest(ctx.db, progress) };
}
