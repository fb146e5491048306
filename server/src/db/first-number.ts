import { type RawBuilder, sql } from "kysely";
import type { Db, Trx } from "./open-database.ts";

/**
 * Where a counter that the world remembers begins: at zero, or after a restore above everything
 * that was given out before it, also by what is lost.
 */
export const FIRST_NUMBER: RawBuilder<number> = sql<number>`coalesce((select max(first_seq) from restore), 0)`;

/** The same number of the newest restore, to name what is counted anew since; undefined when there was none. */
export async function findFirstNumber(db: Db | Trx): Promise<number | undefined> {
  const row = await db
    .selectFrom("restore")
    .select((query) => query.fn.max("first_seq").as("first"))
    .executeTakeFirst();
  return row?.first ?? undefined;
}

/** A counter would have to move by more than this each millisecond to catch up with the time of the next restore. */
const NUMBERS_PER_MILLISECOND = 1_000;

/**
 * Where counters begin after a restore at this time (milliseconds since the epoch): below 2^53 until
 * the year 2255, and above where any restore of an earlier millisecond lets them begin.
 */
export function firstNumberAt(nowMs: number): number {
  return nowMs * NUMBERS_PER_MILLISECOND;
}
