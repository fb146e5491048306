import { expect, test } from "vitest";
import { DISABLE_AFTER_MS } from "../marketplaces/judge-endpoint.ts";
import { RETRY_SECONDS, nextAttemptMs } from "./retry-schedule.ts";

const waitMs = (attempts: number, retryAfter: string | null = null): number =>
  (nextAttemptMs({ attempts, nowMs: 1_000_000, retryAfter }) ?? Number.NaN) - 1_000_000;

test("waits grow, each a little longer than the table says and never shorter", () => {
  for (const [index, seconds] of RETRY_SECONDS.entries()) {
    const waits = Array.from({ length: 50 }, () => waitMs(index + 1));
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(seconds * 1_000);
    expect(Math.max(...waits)).toBeLessThanOrEqual(seconds * 1_100);
    expect(new Set(waits).size).toBeGreaterThan(10);
  }
});

test("attempts go on until an endpoint that takes nothing is disabled, and then end", () => {
  expect(RETRY_SECONDS.reduce((sum, seconds) => sum + seconds, 0) * 1_000).toBeGreaterThan(DISABLE_AFTER_MS);
  expect(nextAttemptMs({ attempts: RETRY_SECONDS.length + 1, nowMs: 0, retryAfter: "60" })).toBeUndefined();
});

test.each<[string | null, number]>([
  ["60", 60_000],
  ["86400", 3_600_000],
  [new Date(1_000_000 + 90_000).toUTCString(), 90_000],
  [new Date(0).toUTCString(), 5_000],
  ["-60", 5_000],
  ["1e9", 5_000],
  ["", 5_000],
  [null, 5_000],
])("Retry-After %j makes the first wait about as long as it says, within a bound", (retryAfter, expected) => {
  expect(waitMs(1, retryAfter)).toBeGreaterThanOrEqual(expected);
  expect(waitMs(1, retryAfter)).toBeLessThanOrEqual(Math.max(expected, 5_500));
});
