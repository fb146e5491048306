import { sql } from "kysely";
import type { Db, Trx } from "../db/open-database.ts";

/** What a fact left for the journal. */
export interface JournalRow {
  readonly serial: number;
  readonly entry: string;
}

export async function insertJournalRow(
  trx: Trx,
  { atMs, entry }: { readonly atMs: number; readonly entry: string },
): Promise<JournalRow> {
  const { serial } = await trx
    .insertInto("journal_entry")
    .values({ at_ms: atMs, entry })
    .returning("serial")
    .executeTakeFirstOrThrow();
  return { serial, entry };
}

/** What is not known to be on disk, oldest first. */
export async function readJournalRows(
  db: Db,
  { beforeMs, limit }: { readonly beforeMs: number; readonly limit: number },
): Promise<readonly JournalRow[]> {
  return db
    .selectFrom("journal_entry")
    .select(["serial", "entry"])
    .where("at_ms", "<=", beforeMs)
    .orderBy("serial")
    .limit(limit)
    .execute();
}

export async function deleteJournalRows(db: Db, serials: readonly number[]): Promise<void> {
  if (serials.length === 0) return;
  await db
    .deleteFrom("journal_entry")
    .where("serial", "=", sql<number>`any(${[...serials]}::bigint[])`)
    .execute();
}
