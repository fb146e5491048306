import { type Selectable, sql } from "kysely";
import type { Db, Trx } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";
import { anyOfNumbers } from "../db/any-of.ts";

export type StatusChange = Pick<Selectable<Tables["status_index"]>, "idx" | "status" | "revision">;

export async function newestList(trx: Trx): Promise<number | undefined> {
  const row = await trx.selectFrom("status_list").select("list").orderBy("list", "desc").limit(1).executeTakeFirst();
  return row?.list;
}

export async function insertList(trx: Trx, list: number): Promise<void> {
  await trx
    .insertInto("status_list")
    .values({ list })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/** Claims indices; answers those that nobody had before. */
export async function claimIndices(trx: Trx, list: number, indices: readonly number[]): Promise<readonly number[]> {
  const rows = await trx
    .insertInto("status_index")
    .values(indices.map((idx) => ({ list, idx })))
    .onConflict((conflict) => conflict.doNothing())
    .returning("idx")
    .execute();
  return rows.map((row) => row.idx);
}

/** How many of these indices are given out. */
export async function countTaken(trx: Trx, list: number, indices: readonly number[]): Promise<number> {
  const rows = await trx
    .selectFrom("status_index")
    .select("idx")
    .where("list", "=", list)
    .where("idx", "=", anyOfNumbers(indices))
    .execute();
  return rows.length;
}

/** Begins the next revision of a list, which is thereby locked until the commit, and sets statuses in it. Answers what changed. */
export async function saveStatuses(
  trx: Trx,
  list: number,
  statuses: ReadonlyMap<number, number>,
): Promise<readonly StatusChange[]> {
  const { rows } = await sql<StatusChange>`
    with begun as (
      update status_list set revision = revision + 1 where list = ${list} returning revision
    )
    update status_index set status = wished.status, revision = begun.revision
      from begun, unnest(${[...statuses.keys()]}::int[], ${[...statuses.values()]}::smallint[]) as wished (idx, status)
     where status_index.list = ${list} and status_index.idx = wished.idx
    returning status_index.idx, status_index.status, status_index.revision`.execute(trx);
  if (rows.length !== statuses.size)
    throw new TypeError(`expected list ${list} to hold ${statuses.size} places, got ${rows.length}`);
  return rows;
}

/** The statuses at these places, by index. */
export async function readStatuses(
  trx: Trx,
  list: number,
  indices: readonly number[],
): Promise<ReadonlyMap<number, number>> {
  const rows = await trx
    .selectFrom("status_index")
    .select(["idx", "status"])
    .where("list", "=", list)
    .where("idx", "=", anyOfNumbers(indices))
    .execute();
  return new Map(rows.map((row) => [row.idx, row.status]));
}

/** What changed in a list after a revision, oldest first. */
export async function readChanges(db: Db | Trx, list: number, afterRevision: number): Promise<readonly StatusChange[]> {
  return db
    .selectFrom("status_index")
    .select(["idx", "status", "revision"])
    .where("list", "=", list)
    .where("revision", ">", afterRevision)
    .orderBy("revision")
    .execute();
}

export async function readListNumbers(db: Db | Trx): Promise<readonly number[]> {
  const rows = await db.selectFrom("status_list").select("list").orderBy("list").execute();
  return rows.map((row) => row.list);
}
