import type { Rate, Rates } from "./purge-port.ts";

/** What an account may send now. */
export interface Allowance {
  readonly calls: number;
  readonly urls: number;
}

export interface MeterState extends Allowance {
  readonly metered_at_ms: number;
}

/** What the buckets hold by now; a new account's are full. */
export function refill(state: MeterState | undefined, rates: Rates, nowMs: number): Allowance {
  if (state === undefined) return { calls: rates.calls.burst, urls: rates.urls.burst };
  const seconds = Math.max(0, nowMs - state.metered_at_ms) / 1_000;
  return {
    calls: filled(state.calls, rates.calls, seconds),
    urls: filled(state.urls, rates.urls, seconds),
  };
}

function filled(held: number, { perSecond, burst }: Rate, seconds: number): number {
  return Math.min(burst, held + perSecond * seconds);
}

/** How long until so much can be afforded. */
export function waitMs(allowance: Allowance, wanted: Allowance, rates: Rates): number {
  const waitFor = (held: number, needed: number, { perSecond }: Rate): number =>
    needed <= held ? 0 : Math.ceil(((needed - held) / perSecond) * 1_000);
  return Math.max(
    waitFor(allowance.calls, wanted.calls, rates.calls),
    waitFor(allowance.urls, wanted.urls, rates.urls),
  );
}
