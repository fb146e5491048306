import { expect, test } from "vitest";
import vectors from "../vectors/propagation.json" with { type: "json" };
import { verifyPropagation } from "./propagation.ts";
import { keySetOf } from "./testing/key-set-of.ts";
import { casesOf, outcome } from "./testing/vectors.ts";

test.each(casesOf<{ text: string; now: number }, { legs: number; facts: number }>(vectors))(
  "propagation: $name",
  async ({ text, now, expect: expected }) => {
    const verified = await verifyPropagation(text, { now, keys: keySetOf(vectors) });
    expect(outcome(verified, ({ legs, facts }) => ({ legs: legs.length, facts }))).toEqual(expected);
  },
);
