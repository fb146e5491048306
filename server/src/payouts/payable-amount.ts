import { formatMoney } from "@licet/protocol";

/** ISO 4217 currencies without decimals (Stripe's "zero-decimal currencies"). */
const WITHOUT_DECIMALS = new Set("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split(" "));
/** Paid in whole units although two decimals are written: Stripe's special cases. */
const WHOLE_UNITS = new Set(["HUF", "ISK", "TWD", "UGX"]);
const THREE_DECIMALS = new Set(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"]);

const MICROS_PER_UNIT = 1_000_000n;
const MICROS_PER_HUNDREDTH = 10_000n;
const MICROS_PER_THOUSANDTH = 1_000n;

/**
 * The smallest step in which a currency is paid out, in micro-units; of three decimals the last one
 * is 0, as Stripe asks for. What is below it stays in the balance.
 */
export function payoutStep(currency: string): bigint {
  return WITHOUT_DECIMALS.has(currency) || WHOLE_UNITS.has(currency) ? MICROS_PER_UNIT : MICROS_PER_HUNDREDTH;
}

/** What can be paid out of an amount. */
export function payableOf(amountMicros: bigint, currency: string): bigint {
  return amountMicros - (amountMicros % payoutStep(currency));
}

/** How many micro-units one of Stripe's smallest units of a currency is. */
export function microsPerMinorUnit(currency: string): bigint {
  if (WITHOUT_DECIMALS.has(currency)) return MICROS_PER_UNIT;
  return THREE_DECIMALS.has(currency) ? MICROS_PER_THOUSANDTH : MICROS_PER_HUNDREDTH;
}

/** `12.34`: an amount without its currency, as files have it in a column of its own. */
export function decimalOf(amountMicros: bigint): string {
  return formatMoney(amountMicros, "").trimEnd();
}
