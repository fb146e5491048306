import { type Result, accept, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import type { TransactionKind } from "../db/ledger-tables.ts";
import { writeFact } from "../events/write-fact.ts";
import { postTransactions } from "./post-transactions.ts";
import { findReversal, findTransaction, readEntriesOf } from "./store.ts";

/** What is taken back by its opposite. Payouts come back by themselves when they fail. */
const REVERSIBLE: readonly TransactionKind[] = ["usage_charge", "license_fee", "pool_split", "payment", "compensation"];

/**
 * Takes a transaction back by its opposite, which counts from now: nothing in the ledger is edited.
 * What was charged stays charged as far as later receipts count, so it is not charged a second time.
 *
 * Refuses `not_found` and `ledger_transaction_final`.
 */
export async function reverseTransaction(
  ctx: Context,
  transactionId: string,
  { reason, by }: { readonly reason: string; readonly by: string },
): Promise<Result<{ readonly transactionId: string }>> {
  return writeFact(ctx, async (fact) => {
    const transaction = await findTransaction(fact.trx, transactionId);
    if (transaction === undefined) return refuse("not_found", `there is no transaction ${transactionId}`);
    const reversal = await findReversal(fact.trx, transactionId);
    if (reversal !== undefined)
      return refuse("ledger_transaction_final", `${transactionId} is reversed by ${reversal.transaction_id}`);
    if (!REVERSIBLE.includes(transaction.kind))
      return refuse(
        "ledger_transaction_final",
        `expected one of ${REVERSIBLE.join(", ")}, got ${transactionId}, a ${transaction.kind}`,
      );
    const entries = await readEntriesOf(fact.trx, transactionId);
    const [reversedBy = ""] = postTransactions(fact, [
      {
        kind: "reversal",
        reference: transactionId,
        currency: transaction.currency,
        reverses: transactionId,
        entries: entries.map(({ kind, owner, amountMicros }) => ({
          account: { kind, owner },
          amountMicros: -amountMicros,
        })),
        explanation: { reverses: transactionId, kind: transaction.kind, reference: transaction.reference, reason, by },
      },
    ]);
    const body = { transaction_id: transactionId, reversal_id: reversedBy, reason, by };
    fact.record({ type: "ledger.reversed", aggregate: transactionId, body });
    return accept({ transactionId: reversedBy });
  });
}
