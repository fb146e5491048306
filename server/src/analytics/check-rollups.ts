import type { Context } from "../context.ts";
import {
  type Compared,
  compareCharges,
  compareEarnings,
  comparePools,
  compareReceipts,
  holdRollups,
} from "./check-store.ts";
import { type ProgressRow, readProgress } from "./store.ts";

export const CHECKS = ["receipts", "charges", "pools", "earnings"] as const;
export type CheckName = (typeof CHECKS)[number];

export interface RollupCheck {
  /** Receipts and transactions up to here were compared. */
  readonly progress: ProgressRow;
  readonly checks: Readonly<Record<CheckName, Compared>>;
}

/**
 * Adds up receipts and the ledger once more, from scratch and as far as the rollups are counted, and
 * compares: receipts and units, what marketplaces were charged, what came into pools, what creators
 * got. Everything is as it was at one instant. Reads every receipt and every entry, so it takes its time.
 */
export async function checkRollups(ctx: Context): Promise<RollupCheck> {
  return ctx.db
    .transaction()
    .setIsolationLevel("repeatable read")
    .execute(async (trx) => {
      await holdRollups(trx);
      const progress = await readProgress(trx);
      return {
        progress,
        checks: {
          receipts: await compareReceipts(trx, progress),
          charges: await compareCharges(trx, progress),
          pools: await comparePools(trx, progress),
          earnings: await compareEarnings(trx, progress),
        },
      };
    });
}

export function isAgreed({ checks }: RollupCheck): boolean {
  return CHECKS.every((name) => checks[name].differing === 0);
}
