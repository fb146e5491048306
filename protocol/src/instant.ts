/**
 * Instants in signed documents are RFC 3339 in UTC, whole seconds, always with `Z`:
 * `2026-01-18T12:05:00Z`. Inside, they are seconds since the epoch (JWT NumericDate).
 */
const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$/;

/** The first second of the year 10000; nothing later can be written down. */
const END_OF_TIME = 253402300800;

export function formatInstant(epochSeconds: number): string {
  return new Date(epochSeconds * 1000).toISOString().replace(/\.\d{3}Z$/, "Z");
}

/** The first second of the year 1: a work may be older than the epoch. */
const BEGINNING_OF_TIME = -62135596800;

/** Seconds since the epoch, or undefined when the text is not an instant that exists. */
export function parseInstant(text: string): number | undefined {
  if (!INSTANT.test(text)) return undefined;
  const epochSeconds = Date.parse(text) / 1000;
  const isWithin = Number.isInteger(epochSeconds) && epochSeconds >= BEGINNING_OF_TIME && epochSeconds < END_OF_TIME;
  // A day that its month does not have, and 24:00, are read as a later day.
  const isThatDay = new Date(epochSeconds * 1000).getUTCDate() === Number(text.slice(8, 10));
  return isWithin && isThatDay ? epochSeconds : undefined;
}

/** True for a NumericDate (RFC 7519 section 2) that can be written down; tokens are never older than the epoch. */
export function isInstant(epochSeconds: number): boolean {
  return Number.isInteger(epochSeconds) && epochSeconds >= 0 && epochSeconds < END_OF_TIME;
}
