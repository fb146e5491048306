import { describe, expect, test } from "vitest";
import { ADVISORY_LOCKS } from "./advisory-locks.ts";

describe("the advisory locks", () => {
  test("have a number each, so that nobody waits for what has nothing to do with them", () => {
    const numbers = Object.values(ADVISORY_LOCKS);
    expect(new Set(numbers).size).toBe(numbers.length);
  });
});
