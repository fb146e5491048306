import { type Result, accept, refuse } from "@licet/protocol";

const PERIOD = /^(\d{4})-(0[1-9]|1[0-2])$/;

/** The month, in UTC, that an instant lies in: `2026-11`. */
export function periodOf(seconds: number): string {
  return new Date(seconds * 1_000).toISOString().slice(0, "2026-11".length);
}

/** A month from its first second up to, and without, the first of the next; both in seconds since the epoch. */
export interface PeriodBounds {
  readonly period: string;
  readonly from: number;
  readonly until: number;
}

/** Refuses `input_invalid`. */
export function boundsOf(period: string): Result<PeriodBounds> {
  const [, year = "", month = ""] = PERIOD.exec(period) ?? [];
  if (year === "") return refuse("input_invalid", `expected a month such as 2026-11, got ${JSON.stringify(period)}`);
  const startOf = (shift: number) => Date.UTC(Number(year), Number(month) - 1 + shift) / 1_000;
  return accept({ period, from: startOf(0), until: startOf(1) });
}

/** The bounds of the month that an instant lies in. */
export function boundsAround(seconds: number): PeriodBounds {
  const bounds = boundsOf(periodOf(seconds));
  if (!bounds.ok) throw new RangeError(`expected an instant of a year with four digits, got ${seconds}`);
  return bounds.value;
}
