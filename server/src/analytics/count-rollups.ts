import { type Context, nowSeconds } from "../context.ts";
import {
  addCharges,
  addEarnings,
  addReceipts,
  findLedgerEnd,
  findReceiptsEnd,
  holdProgress,
  readNewest,
  readProgress,
  saveProgress,
} from "./store.ts";

/** Receipts that are counted in one transaction: what the embedded database is done with before anybody minds. */
const MAX_RECEIPTS = 5_000;
/** Transactions of the ledger that are counted with them; one that is larger than the entries allowed is counted alone. */
const MAX_LEDGER = { transactions: 5_000, entries: 20_000 } as const;
/** Batches of one run; the next run goes on. */
const MAX_BATCHES = 1_000;

/** Counts what came since the last time into the rollups, batch by batch. Of several servers one counts. */
export async function countRollups(ctx: Context, signal: AbortSignal): Promise<void> {
  for (let batch = 0; batch < MAX_BATCHES && !signal.aborted; batch += 1) {
    const progress = await readProgress(ctx.db);
    const { waiting_since } = await readNewest(ctx.db, progress);
    if (waiting_since === null || !(await countBatch(ctx))) return;
  }
}

/** One transaction: a batch of receipts, one of the ledger, and how far they go. False while another server counts. */
async function countBatch(ctx: Context): Promise<boolean> {
  return ctx.db.transaction().execute(async (trx) => {
    const progress = await holdProgress(trx, { wait: false });
    if (progress === undefined) return false;
    const receiptsEnd = await findReceiptsEnd(trx, progress.receipt_sequence, MAX_RECEIPTS);
    if (receiptsEnd !== undefined) await addReceipts(trx, { after: progress.receipt_sequence, end: receiptsEnd });
    const ledgerEnd = await findLedgerEnd(trx, progress.ledger_sequence, MAX_LEDGER);
    if (ledgerEnd !== undefined) {
      const range = { after: progress.ledger_sequence, end: ledgerEnd };
      await addCharges(trx, range);
      await addEarnings(trx, range);
    }
    await saveProgress(trx, {
      ...progress,
      receipt_sequence: receiptsEnd ?? progress.receipt_sequence,
      ledger_sequence: ledgerEnd ?? progress.ledger_sequence,
      counted_at: nowSeconds(ctx),
    });
    return true;
  });
}
