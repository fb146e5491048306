import { sha256Hex } from "./digest.ts";
import { PRICE_DECIMALS, type Price, type PricingUnit } from "./pricing.ts";
import { type Shape, matching } from "./shape.ts";
import type { UsageUnit } from "./usage-receipt.ts";

/** Amounts are whole micro-units of a currency: 1 000 000 are one dollar, euro or yen. */
export const MICROS_PER_UNIT = 1_000_000n;
const MICRO_DECIMALS = 6;
/** The largest amount, of 38 digits: what `numeric(38,0)` holds. */
export const MAX_MICROS = 10n ** 38n - 1n;

const MICROS = /^(?:0|-?[1-9]\d{0,37})$/;

/** Reads an amount as JSON carries it, in decimal digits; undefined when it is none. */
export function parseMicros(text: string): bigint | undefined {
  return MICROS.test(text) ? BigInt(text) : undefined;
}

export const microsShape: Shape<string> = matching(
  (text) => parseMicros(text) !== undefined,
  "micro-units in decimal digits",
);

/** `12.3456 USD` for 12 345 600: what a person reads. Two decimals at least, six at most, none of them rounded. */
export function formatMoney(amountMicros: bigint, currency: string): string {
  const size = amountMicros < 0n ? -amountMicros : amountMicros;
  const decimals = String(size % MICROS_PER_UNIT).padStart(MICRO_DECIMALS, "0");
  const shown = decimals.replace(/0{1,4}$/, "");
  return `${amountMicros < 0n ? "-" : ""}${size / MICROS_PER_UNIT}.${shown} ${currency}`;
}

/** What the usage of a price is counted in; a flat price counts no usage. */
export const USAGE_OF = {
  "per-token": "tokens",
  "per-item": "items",
  "per-minute": "seconds",
  "per-image": "images",
  flat: undefined,
} as const satisfies Record<PricingUnit, UsageUnit | undefined>;

const SECONDS_PER_MINUTE = 60n;
const SCALED_PER_MICRO = 10n ** BigInt(PRICE_DECIMALS - MICRO_DECIMALS);

/**
 * What this many units of usage are worth, in micro-units, rounded down. A flat price is worth
 * itself however much is used.
 *
 * @example valueOf({ unit: "per-token", scaled: 100_000_000n }, 123_456n) // → 12_345_600n: 0.0001 × 123 456
 */
export function valueOf({ unit, scaled }: Price, units: bigint): bigint {
  if (unit === "flat") return scaled / SCALED_PER_MICRO;
  return (scaled * units) / (unit === "per-minute" ? SCALED_PER_MICRO * SECONDS_PER_MINUTE : SCALED_PER_MICRO);
}

/** What was used and charged under one license so far. */
export interface Usage {
  readonly units: bigint;
  readonly chargedMicros: bigint;
}

/**
 * The charge for more units under one license: what all its units together are worth, less what was
 * charged already. So what rounding keeps back of one receipt comes with a later one, and nothing is
 * lost between them. Under a flat price it is nothing, because that is charged with the license.
 */
export function chargeFor(price: Price, before: Usage, units: bigint): bigint {
  return price.unit === "flat" ? 0n : valueOf(price, before.units + units) - before.chargedMicros;
}

const BASIS_POINTS = 10_000n;
export const MAX_FEE_BPS = 10_000;

/** The platform's fee of an amount, in basis points (100 are 1 %), rounded down in favour of the creators. */
export function platformFee(amountMicros: bigint, basisPoints: number): bigint {
  return (amountMicros * BigInt(basisPoints)) / BASIS_POINTS;
}

/** One who shares in an amount. Names are unique. */
export interface Share {
  readonly name: string;
  readonly weight: bigint;
}

/** What one gets, and how it came to that. */
export interface SharedAmount extends Share {
  readonly amountMicros: bigint;
  /** What rounding down left of the exact share, in parts of the sum of all weights. */
  readonly remainder: bigint;
  /** True for one of the micro-units that rounding down left over. */
  readonly hasExtra: boolean;
}

/**
 * Splits an amount by weights so that the parts add up to it: each share is rounded down, and the
 * micro-units that are left go to the largest remainders, one each; of equal remainders, to the one
 * whose SHA-256 of `seed`, a line feed and the name comes first. The answer is in the order of the
 * shares, and the same on every machine.
 *
 * Throws a RangeError on an amount or a weight below zero, and on weights that add up to nothing.
 */
export function splitByWeight(amountMicros: bigint, shares: readonly Share[], seed: string): readonly SharedAmount[] {
  const total = shares.reduce((sum, share) => sum + share.weight, 0n);
  if (amountMicros < 0n || total <= 0n || shares.some((share) => share.weight < 0n))
    throw new RangeError(`expected an amount and weights of at least 0, got ${amountMicros} by a total of ${total}`);
  const parts = shares.map((share) => ({
    ...share,
    amountMicros: (amountMicros * share.weight) / total,
    remainder: (amountMicros * share.weight) % total,
  }));
  const left = Number(amountMicros - parts.reduce((sum, part) => sum + part.amountMicros, 0n));
  const lucky = new Set(byRemainder(parts, seed).slice(0, left));
  return parts.map((part) =>
    lucky.has(part.name)
      ? { ...part, amountMicros: part.amountMicros + 1n, hasExtra: true }
      : { ...part, hasExtra: false },
  );
}

/** The names by their remainders, the largest first; hashes are made for equal ones alone. */
function byRemainder(
  parts: readonly { readonly name: string; readonly remainder: bigint }[],
  seed: string,
): readonly string[] {
  const hashes = new Map<string, string>();
  const hashOf = (name: string): string => {
    const known = hashes.get(name) ?? sha256Hex(`${seed}\n${name}`);
    hashes.set(name, known);
    return known;
  };
  return [...parts]
    .sort((left, right) => {
      if (left.remainder !== right.remainder) return left.remainder > right.remainder ? -1 : 1;
      return hashOf(left.name) < hashOf(right.name) ? -1 : 1;
    })
    .map((part) => part.name);
}

/** What a version's pool is split by: works count alike, or by their measure. */
export type SplitMeasure = "items" | "tokens" | "seconds" | "bytes";
export const SPLIT_MEASURES = ["items", "tokens", "seconds", "bytes"] as const satisfies readonly SplitMeasure[];

/** How a version's pool is shared out: the fee first, then by measure among the creators. */
export interface RevenueSplit {
  readonly by: SplitMeasure;
  readonly platform_fee_bps: number;
}

/** What a work may be measured by. */
export interface WorkMeasures {
  readonly token_count?: number | undefined;
  readonly length_ms?: number | undefined;
  readonly size_bytes?: number | undefined;
}

/** What a work counts in a split: 1, its tokens, its milliseconds or its bytes; undefined when its measure is not known. */
export function splitWeightOf(work: WorkMeasures, by: SplitMeasure): bigint | undefined {
  const measure = { items: 1, tokens: work.token_count, seconds: work.length_ms, bytes: work.size_bytes }[by];
  return measure === undefined ? undefined : BigInt(measure);
}
