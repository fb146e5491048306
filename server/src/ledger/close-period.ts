import { type Offence, type Result, accept, formatInstant, refuse } from "@licet/protocol";
import { type Context, nowSeconds } from "../context.ts";
import { writeFact } from "../events/write-fact.ts";
import { type PeriodBounds, boundsAround, boundsOf, periodOf } from "./periods.ts";
import { splitPool } from "./split-pool.ts";
import {
  type PeriodRow,
  findFirstValueAt,
  findNewestPeriod,
  insertPeriod,
  readBalancesBefore,
  readPeriods,
} from "./store.ts";

/** Charges that were begun before a month's end are written by then, on whichever server. */
const GRACE_SECONDS = 3_600;
/** Pools that a refusal names. */
const MAX_FAILED = 100;

/**
 * Closes a month: shares out what every pool holds at its end, one after the other, then says so. A
 * close that was interrupted goes on where it was; a month that is closed stays as it is. A pool that
 * cannot be shared out keeps no other one back, but the month open.
 *
 * Refuses `input_invalid`, `period_not_over`, `period_out_of_order` and `period_incomplete`.
 */
export async function closePeriod(ctx: Context, period: string, by: string): Promise<Result<PeriodRow>> {
  const bounds = boundsOf(period);
  if (!bounds.ok) return bounds;
  const known = (await readPeriods(ctx.db)).find((row) => row.period === period);
  if (known !== undefined) return accept(known);
  const { until } = bounds.value;
  if (nowSeconds(ctx) < until + GRACE_SECONDS)
    return refuse(
      "period_not_over",
      `expected ${period} to be over since an hour, which it is at ${formatInstant(until + GRACE_SECONDS)}`,
    );
  const next = await nextPeriod(ctx);
  if (next !== undefined && next.until < until)
    return refuse("period_out_of_order", `expected ${next.period} to be closed first`);
  const failed = await splitPools(ctx, bounds.value);
  return failed.length === 0
    ? recordClose(ctx, bounds.value, by)
    : refuse(
        "period_incomplete",
        `${failed.length} pools could not be shared out, so ${period} stays open`,
        failed.slice(0, MAX_FAILED),
      );
}

/** Shares out all pools that hold something, and answers which could not be. */
async function splitPools(ctx: Context, { period, until }: PeriodBounds): Promise<readonly Offence[]> {
  const failed: Offence[] = [];
  for (const pool of await readBalancesBefore(ctx.db, "pool", until)) {
    if (pool.balanceMicros >= 0n) continue;
    try {
      await splitPool(ctx, { name: period, until }, pool);
    } catch (error) {
      ctx.log.error({ period, pool: pool.owner, currency: pool.currency, error }, "a pool could not be shared out");
      failed.push({ at: pool.owner, code: "internal", detail: `${pool.currency}: see the log of the server` });
    }
  }
  return failed;
}

async function recordClose(ctx: Context, { period }: PeriodBounds, by: string): Promise<Result<PeriodRow>> {
  return writeFact(ctx, async (fact) => {
    const known = (await readPeriods(fact.trx)).find((row) => row.period === period);
    if (known !== undefined) return accept(known);
    const row = { period, closed_at: fact.now, closed_by: by };
    await insertPeriod(fact.trx, row);
    fact.record({ type: "period.closed", aggregate: period, body: { period, by } });
    return accept(row);
  });
}

/** The oldest month that is open; undefined while nothing ever happened to money. */
async function nextPeriod(ctx: Context): Promise<PeriodBounds | undefined> {
  const newest = await findNewestPeriod(ctx.db);
  if (newest !== undefined) {
    const bounds = boundsOf(newest.period);
    return bounds.ok ? boundsAround(bounds.value.until) : undefined;
  }
  const first = await findFirstValueAt(ctx.db);
  return first === undefined ? undefined : boundsAround(first);
}

/** Months closed in one sweep. */
const MAX_DUE = 12;

/** Closes the months that are due, the oldest first. */
export async function closeDuePeriods(ctx: Context): Promise<void> {
  const after = ctx.config.money.closeAfterSeconds;
  if (after === undefined) return;
  for (let closed = 0; closed < MAX_DUE; closed += 1) {
    const next = await nextPeriod(ctx);
    if (next === undefined || nowSeconds(ctx) < next.until + after) return;
    const result = await closePeriod(ctx, next.period, "timer");
    if (!result.ok) {
      ctx.log.warn({ period: next.period, refusal: result.refusal }, "a month could not be closed");
      return;
    }
  }
}

export interface PeriodView {
  readonly period: string;
  readonly state: "open" | "closed";
  readonly from: string;
  readonly until: string;
  readonly closed_at?: string;
  readonly closed_by?: string;
}

/** The months that are closed and those that are open, newest first. */
export async function listPeriods(ctx: Context): Promise<readonly PeriodView[]> {
  const closed = (await readPeriods(ctx.db)).map((row) => viewOf(row.period, row));
  const open: PeriodView[] = [];
  for (let next = await nextPeriod(ctx); next !== undefined; next = boundsAround(next.until)) {
    open.unshift(viewOf(next.period));
    if (next.period >= periodOf(nowSeconds(ctx))) break;
  }
  return [...open, ...closed];
}

export function viewOf(period: string, row?: PeriodRow): PeriodView {
  const bounds = boundsOf(period);
  if (!bounds.ok) throw new TypeError(bounds.refusal.detail);
  const { from, until } = bounds.value;
  return {
    period,
    state: row === undefined ? "open" : "closed",
    from: formatInstant(from),
    until: formatInstant(until),
    ...(row === undefined ? {} : { closed_at: formatInstant(row.closed_at), closed_by: row.closed_by }),
  };
}
