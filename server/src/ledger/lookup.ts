import type { Db, Trx } from "../db/open-database.ts";
import { readPeriods } from "./store.ts";

/** What other slices may ask of the ledger. */
export { type PeriodBounds, boundsAround, boundsOf, periodOf } from "./periods.ts";
export { poolOf, versionOfPool } from "./split-pool.ts";
export { type AccountRow, findNewestPeriod, readAccounts, readBalanceBefore } from "./store.ts";

/** Whether nothing is counted for a month any more. */
export async function isPeriodClosed(db: Db | Trx, period: string): Promise<boolean> {
  return (await readPeriods(db)).some((row) => row.period === period);
}
