import { type Result, accept, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { findMarketplace } from "../marketplaces/lookup.ts";
import { postTransactions } from "./post-transactions.ts";
import {
  type TransactionRow,
  findReversal,
  readAccounts,
  readEntriesOf,
  readTransactionsByReference,
} from "./store.ts";

export interface Payment {
  readonly marketplaceId: string;
  readonly amountMicros: bigint;
  readonly currency: string;
  /** The bank's, unique for the marketplace. */
  readonly reference: string;
  readonly by: string;
}

export interface RecordedPayment {
  readonly isNew: boolean;
  readonly transactionId: string;
}

/**
 * Records money that came in from a marketplace. The same payment again is answered as before.
 *
 * Refuses `not_found`, `currency_wrong` where the marketplace never owed anything in that currency,
 * and `payment_reference_reused`, also for a payment that was reversed.
 */
export async function recordPayment(
  ctx: Context,
  { marketplaceId, amountMicros, currency, reference, by }: Payment,
): Promise<Result<RecordedPayment>> {
  return writeFact<RecordedPayment>(ctx, async (fact) => {
    const { trx } = fact;
    if ((await findMarketplace(trx, marketplaceId)) === undefined)
      return refuse("not_found", `there is no marketplace ${marketplaceId}`);
    const account = { kind: "marketplace" as const, owner: marketplaceId };
    const ours = await readAccounts(trx, { ...account, after: undefined, limit: MAX_CURRENCIES });
    if (!ours.some((row) => row.currency === currency))
      return refuse(
        "currency_wrong",
        `expected ${ours.map((row) => row.currency).join(" or ") || "something to be owed"}, got ${currency}`,
      );
    const [known] = await readTransactionsByReference(trx, "payment", [`${marketplaceId}/${reference}`]);
    if (known !== undefined) return answerAgain(fact, known, { amountMicros, currency, reference });
    const body = { marketplace_id: marketplaceId, amount_micros: String(amountMicros), currency, reference, by };
    const [transactionId = ""] = postTransactions(fact, [
      {
        kind: "payment",
        reference: `${marketplaceId}/${reference}`,
        currency,
        explanation: body,
        entries: [
          { account: { kind: "cash", owner: "" }, amountMicros },
          { account, amountMicros: -amountMicros },
        ],
      },
    ]);
    fact.record({
      type: "payment.recorded",
      aggregate: marketplaceId,
      body: { ...body, transaction_id: transactionId },
    });
    return accept({ isNew: true, transactionId });
  });
}

async function answerAgain(
  { trx }: Fact,
  known: TransactionRow,
  { amountMicros, currency, reference }: Pick<Payment, "amountMicros" | "currency" | "reference">,
): Promise<Result<RecordedPayment>> {
  const reversal = await findReversal(trx, known.transaction_id);
  if (reversal !== undefined)
    return refuse(
      "payment_reference_reused",
      `${reference} stands for a payment that was reversed by ${reversal.transaction_id}: record it under a new reference`,
    );
  const paid = (await readEntriesOf(trx, known.transaction_id)).find((entry) => entry.kind === "cash");
  return paid?.amountMicros === amountMicros && known.currency === currency
    ? accept({ isNew: false, transactionId: known.transaction_id })
    : refuse("payment_reference_reused", `${reference} stands for ${paid?.amountMicros} ${known.currency}`);
}

/** Accounts of one owner; there are fewer currencies in the world. */
const MAX_CURRENCIES = 200;
