import fc from "fast-check";
import { describe, expect, test } from "vitest";
import amounts from "../vectors/money-amount.json" with { type: "json" };
import charges from "../vectors/money-charge.json" with { type: "json" };
import fees from "../vectors/money-fee.json" with { type: "json" };
import splits from "../vectors/money-split.json" with { type: "json" };
import {
  type Share,
  chargeFor,
  formatMoney,
  parseMicros,
  platformFee,
  splitByWeight,
  splitWeightOf,
  valueOf,
} from "./money.ts";
import { type Price, parsePrice } from "./pricing.ts";
import { ROUNDS, casesOf } from "./testing/vectors.ts";

function priceOf(text: string): Price {
  const price = parsePrice(text);
  if (price === undefined) throw new Error(`expected a price, got ${text}`);
  return price;
}

/** What each of these receipts is charged, one after the other under one license. */
function chargesOf(price: Price, receipts: readonly bigint[]): readonly bigint[] {
  const charged: bigint[] = [];
  let before = { units: 0n, chargedMicros: 0n };
  for (const units of receipts) {
    const charge = chargeFor(price, before, units);
    charged.push(charge);
    before = { units: before.units + units, chargedMicros: before.chargedMicros + charge };
  }
  return charged;
}

test.each(
  casesOf<{ price: string; receipts: readonly string[] }, { charges: readonly string[]; value: string }>(charges),
)("charge: $name", ({ price, receipts, expect: expected }) => {
  const units = receipts.map(BigInt);
  const charged = chargesOf(priceOf(price), units).map(String);
  const value = valueOf(
    priceOf(price),
    units.reduce((sum, count) => sum + count, 0n),
  );
  expect({ ok: true, charges: charged, value: String(value) }).toEqual(expected);
});

test.each(
  casesOf<
    { amount_micros: string; seed: string; shares: readonly { readonly name: string; readonly weight: string }[] },
    { amounts: readonly string[]; remainders: readonly string[] }
  >(splits),
)("split: $name", ({ amount_micros, seed, shares, expect: expected }) => {
  const parts = splitByWeight(
    BigInt(amount_micros),
    shares.map(({ name, weight }) => ({ name, weight: BigInt(weight) })),
    seed,
  );
  const answer = {
    ok: true,
    amounts: parts.map((part) => String(part.amountMicros)),
    remainders: parts.map((part) => String(part.remainder)),
  };
  expect(answer).toEqual(expected);
});

test.each(casesOf<{ amount_micros: string; bps: number }, { fee: string }>(fees))(
  "fee: $name",
  ({ amount_micros, bps, expect: expected }) => {
    expect({ ok: true, fee: String(platformFee(BigInt(amount_micros), bps)) }).toEqual(expected);
  },
);

test.each(casesOf<{ text: string }, { micros: string; shown: string }>(amounts))(
  "amount: $name",
  ({ text, expect: expected }) => {
    const micros = parseMicros(text);
    const answer =
      micros === undefined ? { ok: false } : { ok: true, micros: String(micros), shown: formatMoney(micros, "USD") };
    expect(answer).toEqual(expected);
  },
);

describe("whatever the receipts and prices", () => {
  const units = fc.array(fc.bigInt(0n, 2n ** 53n - 1n), { minLength: 1, maxLength: 30 });
  const price = fc.record({
    unit: fc.constantFrom("per-token", "per-item", "per-minute", "per-image"),
    scaled: fc.bigInt(0n, 10n ** 24n - 1n),
  });

  test("the charges of a license add up to what all its units are worth, and none is below zero", () => {
    fc.assert(
      fc.property(price, units, (any, receipts) => {
        const charged = chargesOf(any, receipts);
        const total = charged.reduce((sum, charge) => sum + charge, 0n);
        expect(charged.every((charge) => charge >= 0n)).toBe(true);
        expect(total).toBe(
          valueOf(
            any,
            receipts.reduce((sum, count) => sum + count, 0n),
          ),
        );
      }),
      { numRuns: ROUNDS },
    );
  });
});

describe("whatever is split", () => {
  const shares: fc.Arbitrary<readonly Share[]> = fc
    .uniqueArray(fc.string({ minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 40 })
    .chain((names) =>
      fc.tuple(...names.map((name) => fc.record({ name: fc.constant(name), weight: fc.bigInt(0n, 2n ** 53n) }))),
    )
    .filter((list) => list.some((share) => share.weight > 0n));

  test("the parts add up, each within one micro-unit of its exact share, and in any order of the shares alike", () => {
    fc.assert(
      fc.property(shares, fc.bigInt(0n, 10n ** 30n), fc.string(), (list, amount, seed) => {
        const parts = splitByWeight(amount, list, seed);
        const total = list.reduce((sum, share) => sum + share.weight, 0n);
        expect(parts.reduce((sum, part) => sum + part.amountMicros, 0n)).toBe(amount);
        for (const part of parts) {
          const exact = amount * part.weight;
          expect(part.amountMicros * total <= exact + total - 1n && (part.amountMicros + 1n) * total > exact).toBe(
            true,
          );
          if (part.weight === 0n) expect(part.amountMicros).toBe(0n);
        }
        const turned = splitByWeight(amount, [...list].reverse(), seed);
        expect(new Map(turned.map((part) => [part.name, part.amountMicros]))).toEqual(
          new Map(parts.map((part) => [part.name, part.amountMicros])),
        );
      }),
      { numRuns: ROUNDS },
    );
  });

  test.each([
    ["an amount below zero", -1n, [{ name: "a", weight: 1n }]],
    [
      "a weight below zero",
      1n,
      [
        { name: "a", weight: 2n },
        { name: "b", weight: -1n },
      ],
    ],
    ["weights of nothing", 1n, [{ name: "a", weight: 0n }]],
    ["nobody", 1n, []],
  ])("%s cannot be", (_name, amount, list) => {
    expect(() => splitByWeight(amount, list, "s")).toThrow(RangeError);
  });
});

test.each([
  ["items", {}, 1n],
  ["bytes", { size_bytes: 2_048 }, 2_048n],
  ["seconds", { length_ms: 1_500 }, 1_500n],
  ["tokens", { token_count: 77 }, 77n],
  ["tokens", { size_bytes: 2_048 }, undefined],
  ["seconds", {}, undefined],
] as const)("a work weighs, by %s and with %o, %s", (by, item, weight) => {
  expect(splitWeightOf(item, by)).toBe(weight);
});
