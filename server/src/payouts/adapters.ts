import { type Result, accept, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import type { PayoutAdapterName } from "../db/payment-tables.ts";
import { csvAdapterOf } from "./csv-adapter.ts";
import type { PayoutAdapter } from "./payout-adapter.ts";

export const PAYOUT_ADAPTERS = ["csv", "stripe"] as const satisfies readonly PayoutAdapterName[];

/** Refuses `payout_adapter_unavailable`. */
export async function adapterOf(ctx: Context, name: PayoutAdapterName): Promise<Result<PayoutAdapter>> {
  const { payoutFolder, stripe } = ctx.config.payments;
  if (name === "csv") return accept(csvAdapterOf(payoutFolder));
  if (stripe === undefined)
    return refuse("payout_adapter_unavailable", "expected LICET_STRIPE_SECRET_KEY for the adapter stripe, got none");
  // Stripe's library is large, and most servers never pay by it.
  const { stripeAdapterOf } = await import("./stripe-adapter.ts");
  return accept(stripeAdapterOf(ctx, stripe));
}
