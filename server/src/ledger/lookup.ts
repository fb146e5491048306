/** What other slices may ask of the ledger. */
export { type PeriodBounds, boundsAround, boundsOf, periodOf } from "./periods.ts";
export { poolOf, versionOfPool } from "./split-pool.ts";
export {
  type AccountName,
  type AccountRow,
  type EntryRow,
  type TransactionRow,
  findNewestPeriod,
  findTransaction,
  readAccountEntries,
  readAccounts,
  readBalanceBefore,
  readEntriesOf,
  readSumBetween,
  readTransactionsByReference,
} from "./store.ts";
