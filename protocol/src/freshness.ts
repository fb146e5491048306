import { parseInstant, formatInstant } from "./instant.ts";
import { type Result, accept, refuse } from "./refusal.ts";
import { count, instant, objectOf } from "./shape.ts";

/** The first clock: how long an answer may be kept before asking again; equals `max-age`. */
export const TTL_SECONDS = 15;
/** The second clock: how long after `checked_at` an answer may be trusted at all. */
export const TRUST_SECONDS = 300;
/** How far ahead of ours the issuer's clock may run. */
export const CLOCK_SKEW_SECONDS = 60;

/** The members that carry the two clocks in every status document. */
export interface Clocks {
  readonly checked_at: string;
  readonly ttl_seconds: number;
  readonly expires_at: string;
}

export const CLOCKS = { checked_at: instant, ttl_seconds: count, expires_at: instant } as const;
export const clocksShape = objectOf(CLOCKS);

/** The clocks of a document that is made now. */
export function clocksAt(now: number): Clocks {
  return { checked_at: formatInstant(now), ttl_seconds: TTL_SECONDS, expires_at: formatInstant(now + TRUST_SECONDS) };
}

/**
 * Fails closed: refuses (`document_expired`) at and after `expires_at`, and also when the document
 * claims to be trusted for longer than `trustSeconds` or comes from the future.
 */
export function checkFresh(clocks: Clocks, now: number, trustSeconds = TRUST_SECONDS): Result<Clocks> {
  const checkedAt = parseInstant(clocks.checked_at) ?? 0;
  const expiresAt = Math.min(parseInstant(clocks.expires_at) ?? 0, checkedAt + trustSeconds);
  if (checkedAt > now + CLOCK_SKEW_SECONDS)
    return refuse("document_expired", `expected checked_at not after ${formatInstant(now)}, got ${clocks.checked_at}`);
  if (now >= expiresAt)
    return refuse(
      "document_expired",
      `expected a document that is trusted at ${formatInstant(now)}, got one that expired at ${formatInstant(expiresAt)}`,
    );
  return accept(clocks);
}

/** True from half of a document's life on: the moment to sign it again. */
export function isHalfLifeOver(checkedAt: number, expiresAt: number, now: number): boolean {
  return now >= checkedAt + (expiresAt - checkedAt) / 2;
}
