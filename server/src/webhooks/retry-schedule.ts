import { randomInt } from "node:crypto";
import { retryAfterMs } from "../http/retry-after.ts";

/**
 * Waits between attempts, in seconds; the first attempt is at once. Twelve attempts in a little over
 * five days: as long as it takes until an endpoint that takes nothing is disabled. After the last one
 * a delivery stays visible as failed and can be replayed.
 */
export const RETRY_SECONDS = [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000, 86_400, 86_400, 86_400, 86_400] as const;

/** A wait is lengthened by up to this part of it, so that what failed together does not come again together. */
const JITTER = 0.1;
/** `Retry-After` lengthens a wait, never shortens it, and by no more than this: a refusal is not put off for long. */
const MAX_RETRY_AFTER_MS = 3_600_000;
const JITTER_STEPS = 1_000;

export interface Ended {
  /** How many attempts there were since the delivery was written or last replayed, this one included. */
  readonly attempts: number;
  readonly nowMs: number;
  /** The `Retry-After` header, where there was one. */
  readonly retryAfter: string | null;
}

/** When to try again, in milliseconds since the epoch; undefined after the last attempt. */
export function nextAttemptMs({ attempts, nowMs, retryAfter }: Ended): number | undefined {
  const seconds = RETRY_SECONDS[attempts - 1];
  if (seconds === undefined) return undefined;
  const waitMs = seconds * 1_000;
  const jitterMs = Math.round((waitMs * JITTER * randomInt(JITTER_STEPS)) / JITTER_STEPS);
  const askedMs = Math.min(retryAfterMs(retryAfter, nowMs) ?? 0, MAX_RETRY_AFTER_MS);
  return nowMs + Math.max(waitMs + jitterMs, askedMs);
}
