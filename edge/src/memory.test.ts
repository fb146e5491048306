import { describe, expect, test } from "vitest";
import { createSeen } from "./memory.ts";

describe("what was used once", () => {
  test("is known until its time is over, and forgotten soon after", () => {
    let now = 0;
    const isFirst = createSeen(() => now);
    const use = { holder: "a", nonce: "1", untilMs: 300_000 };
    expect([isFirst(use), isFirst(use), isFirst({ ...use, untilMs: 250_000 })]).toEqual([true, false, false]);
    now = 299_999;
    expect(isFirst(use)).toBe(false);
    now = 360_000;
    expect(isFirst({ ...use, untilMs: 600_000 })).toBe(true);
  });

  test("is each holder's own: one who makes too many is told no, and nobody else", () => {
    let now = 0;
    const isFirst = createSeen(() => now, { ofHolder: 3 });
    const use = (holder: string, nonce: number) => isFirst({ holder, nonce: String(nonce), untilMs: now + 90_000 });
    expect([1, 2, 3, 4].map((nonce) => use("a", nonce))).toEqual([true, true, true, false]);
    expect([1, 2].map((nonce) => use("b", nonce))).toEqual([true, true]);
    now = 120_000;
    expect(use("a", 5)).toBe(true);
  });

  test("lets nothing through when it is full", () => {
    const isFirst = createSeen(() => 0, { ofAll: 2 });
    const use = (holder: string) => isFirst({ holder, nonce: "1", untilMs: 90_000 });
    expect(["a", "b", "c"].map(use)).toEqual([true, true, false]);
  });
});
