import type { Result } from "@licet/protocol";
import type { PayoutAdapterName } from "../db/payment-tables.ts";

/** A payout as an adapter sends it. It is the same at every attempt. */
export interface PayoutOrder {
  readonly payoutId: string;
  readonly batchId: string;
  readonly creatorId: string;
  readonly currency: string;
  readonly amountMicros: bigint;
  /** Undefined where a restore lost it: then the payout can be looked for and not sent. */
  readonly destination: PayoutDestination | undefined;
}

/** Where money goes: an account of a bank, or of Stripe's. */
export type PayoutDestination =
  | { readonly adapter: "csv"; readonly holder: string; readonly account: string; readonly bank?: string | undefined }
  | { readonly adapter: "stripe"; readonly stripe_account: string };

/** What is known of a payout after an attempt to send it, or to find it. */
export type PayoutOutcome =
  /** It arrived, less what came back since. */
  | { readonly kind: "paid"; readonly externalId: string; readonly returnedMicros: bigint }
  /** It was handed on; somebody says later whether it arrived. */
  | { readonly kind: "sent"; readonly externalId: string }
  /** It did not happen and will not. */
  | { readonly kind: "failed"; readonly reason: string }
  /** It may have happened, or may yet. */
  | { readonly kind: "unclear"; readonly reason: string; readonly retryAfterSeconds?: number | undefined };

/** There is no such payout on the other side. */
export interface Absent {
  readonly kind: "absent";
}

/**
 * A way to pay. `send` may be called again with the same order, also at the same time from another
 * server: it pays once, whatever happened to the attempts before.
 */
export interface PayoutAdapter {
  readonly name: PayoutAdapterName;
  /** Payouts of one batch that are sent at once. */
  readonly maxAtOnce: number;
  /** Sends some payouts of a batch; `readBatch` answers all of it, in the order of the ids. */
  readonly send: (
    orders: readonly PayoutOrder[],
    readBatch: () => Promise<readonly PayoutOrder[]>,
  ) => Promise<ReadonlyMap<string, PayoutOutcome>>;
  /**
   * Looks whether a destination is there, before it is kept. Refuses `input_invalid`; who cannot be
   * asked refuses nothing, since the first payout says the same.
   */
  readonly check: (destination: PayoutDestination) => Promise<Result<true>>;
  /** Looks whether a payout was sent before. */
  readonly find: (order: PayoutOrder) => Promise<PayoutOutcome | Absent>;
}
