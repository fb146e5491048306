import { sql } from "kysely";
import { ADVISORY_LOCKS } from "../db/advisory-locks.ts";
import type { Db } from "../db/open-database.ts";

/** A month in UTC, as in `2026_11`: the end of its partition's name. */
export function monthOf(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 7).replace("-", "_");
}

/** So many months, from the one that holds an instant. */
export function monthsFrom(atMs: number, count: number): readonly string[] {
  const at = new Date(atMs);
  return Array.from({ length: count }, (_, index) =>
    monthOf(Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + index, 1)),
  );
}

function startOf(month: string): number {
  const [year, number] = month.split("_").map(Number);
  return Date.UTC(year ?? 0, (number ?? 1) - 1, 1);
}

function endOf(month: string): number {
  const [year, number] = month.split("_").map(Number);
  return Date.UTC(year ?? 0, number ?? 1, 1);
}

/** Tables that are kept by months. */
export type MonthlyTable = "interaction" | "edge_event";

/** Makes the partitions of months that have none. */
export async function addPartitions(db: Db, table: MonthlyTable, months: readonly string[]): Promise<void> {
  await db.transaction().execute(async (trx) => {
    await sql`select pg_advisory_xact_lock(${sql.lit(ADVISORY_LOCKS.partitions)})`.execute(trx);
    for (const month of months) {
      const name = sql.table(`${table}_${month}`);
      await sql`create table if not exists ${name} partition of ${sql.table(table)}
        for values from (${sql.lit(startOf(month))}) to (${sql.lit(endOf(month))})`.execute(trx);
    }
  });
}

/** Drops the months that ended before an instant, and answers which. */
export async function dropPartitions(db: Db, table: MonthlyTable, beforeMs: number): Promise<readonly string[]> {
  return db.transaction().execute(async (trx) => {
    await sql`select pg_advisory_xact_lock(${sql.lit(ADVISORY_LOCKS.partitions)})`.execute(trx);
    const { rows } = await sql<{ name: string }>`select child.relname as name from pg_inherits
      join pg_class child on child.oid = pg_inherits.inhrelid
      where pg_inherits.inhparent = ${table}::regclass`.execute(trx);
    const over = rows
      .map(({ name }) => name.slice(table.length + 1))
      .filter((month) => /^\d{4}_\d{2}$/.test(month))
      .filter((month) => endOf(month) <= beforeMs);
    for (const month of over) await sql`drop table ${sql.table(`${table}_${month}`)}`.execute(trx);
    return over;
  });
}

/** Partitions made ahead, this month's among them. */
const MONTHS_AHEAD = 3;
const DAY_MS = 86_400_000;

/** Makes the coming months' partitions, and drops the months that ended so many days ago; answers which. */
export async function turnPartitions(
  db: Db,
  table: MonthlyTable,
  { nowMs, days }: { readonly nowMs: number; readonly days: number },
): Promise<readonly string[]> {
  await addPartitions(db, table, monthsFrom(nowMs, MONTHS_AHEAD));
  return dropPartitions(db, table, nowMs - days * DAY_MS);
}
