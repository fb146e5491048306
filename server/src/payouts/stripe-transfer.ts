import type { Stripe } from "stripe";
import { microsPerMinorUnit } from "./payable-amount.ts";
import type { PayoutOrder, PayoutOutcome } from "./payout-adapter.ts";

/** What a transfer, as it is now, says of its payout. */
export function outcomeOf(
  order: Pick<PayoutOrder, "payoutId" | "currency" | "amountMicros">,
  { id, amount, amount_reversed, currency }: Pick<Stripe.Transfer, "id" | "amount" | "amount_reversed" | "currency">,
): PayoutOutcome {
  const factor = microsPerMinorUnit(order.currency);
  if (BigInt(amount) * factor !== order.amountMicros || currency.toUpperCase() !== order.currency)
    return {
      kind: "unclear",
      reason: `expected a transfer of ${minorUnitsOf(order)} ${order.currency}, got ${id} of ${amount} ${currency}`,
    };
  return { kind: "paid", externalId: id, returnedMicros: BigInt(amount_reversed) * factor };
}

/** The amount in the currency's smallest unit; undefined when it is more than one transfer can be. */
export function minorUnitsOf({
  amountMicros,
  currency,
}: Pick<PayoutOrder, "amountMicros" | "currency">): number | undefined {
  const units = amountMicros / microsPerMinorUnit(currency);
  return units <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(units) : undefined;
}
