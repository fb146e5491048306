/** What one unit is, in `per-token:0.0001`. */
export type PricingUnit = "per-token" | "per-item" | "per-minute" | "per-image" | "flat";
export const PRICING_UNITS = [
  "per-token",
  "per-item",
  "per-minute",
  "per-image",
  "flat",
] as const satisfies readonly PricingUnit[];

/** Prices are decimal strings with at most this many decimals; they are never floating point. */
export const PRICE_DECIMALS = 12;

/** A price per unit, scaled by 10^12 so that it is whole. */
export interface Price {
  readonly unit: PricingUnit;
  readonly scaled: bigint;
}

const PRICE = /^([a-z-]+):(0|[1-9]\d{0,11})(?:\.(\d{1,12}))?$/;

/** Reads `per-token:0.0001`; undefined when the unit is unknown or the amount no plain decimal of at most 12 decimals. */
export function parsePrice(text: string): Price | undefined {
  const [, unitText, whole, fraction = ""] = PRICE.exec(text) ?? [];
  const unit = PRICING_UNITS.find((known) => known === unitText);
  if (unit === undefined || whole === undefined) return undefined;
  return { unit, scaled: BigInt(whole + fraction.padEnd(PRICE_DECIMALS, "0")) };
}

/** True when `price` is in the floor's unit and not below it. A floor of nothing is met in every unit. */
export function meetsFloor(price: Price, floor: Price): boolean {
  return floor.scaled === 0n || (price.unit === floor.unit && price.scaled >= floor.scaled);
}
