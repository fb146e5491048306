import type { Db, Trx } from "../db/open-database.ts";
import { type ReceiptRow, readReceipts } from "./store.ts";

/** What other slices may ask of receipts. Charges are numeric: `BigInt(row.charged_micros)`. */
export { type ReceiptRow, flagsOf, readReceiptsCountersignedWith, receiptOf } from "./store.ts";

/** Receipts in one answer; whoever needs more goes on after the last `sequence`. */
const PAGE = 1_000;

/** Receipts of a dataset, a license, a model, a marketplace: a page of at most 1 000, in the order of their acceptance. */
export async function readReceiptsOf(
  db: Db | Trx,
  {
    datasetId,
    ...filter
  }: {
    readonly datasetId?: string | undefined;
    readonly licenseId?: string | undefined;
    readonly modelFingerprint?: string | undefined;
    readonly marketplaceId?: string | undefined;
  },
  after?: number,
): Promise<readonly ReceiptRow[]> {
  const datasetIds = datasetId === undefined ? undefined : [datasetId];
  return readReceipts(db, { marketplaceId: undefined, ...filter, datasetIds, after, limit: PAGE - 1 });
}
