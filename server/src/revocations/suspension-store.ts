import { type Insertable, type Selectable, sql } from "kysely";
import type { Trx } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";

export type SuspensionRow = Selectable<Tables["suspension"]>;
export type SuspensionName = Pick<SuspensionRow, "kind" | "id">;

/** Answers false when the same holder suspended it before. */
export async function insertSuspension(trx: Trx, row: Insertable<Tables["suspension"]>): Promise<boolean> {
  const inserted = await trx
    .insertInto("suspension")
    .values(row)
    .onConflict((conflict) => conflict.doNothing())
    .returning("id")
    .execute();
  return inserted.length > 0;
}

export async function deleteSuspension(
  trx: Trx,
  { kind, id, holder }: Pick<SuspensionRow, "kind" | "id" | "holder">,
): Promise<boolean> {
  const deleted = await trx
    .deleteFrom("suspension")
    .where("kind", "=", kind)
    .where("id", "=", id)
    .where("holder", "=", holder)
    .returning("id")
    .execute();
  return deleted.length > 0;
}

/** Everybody who holds it suspended. */
export async function readSuspensions(trx: Trx, { kind, id }: SuspensionName): Promise<readonly SuspensionRow[]> {
  return trx
    .selectFrom("suspension")
    .selectAll()
    .where("kind", "=", kind)
    .where("id", "=", id)
    .orderBy("holder")
    .execute();
}

/** What one holder, or every holder whose name begins so, holds suspended; consents before works. */
export async function readHeldBy(
  trx: Trx,
  { holder, isPrefix, limit }: { readonly holder: string; readonly isPrefix: boolean; readonly limit: number },
): Promise<readonly SuspensionRow[]> {
  return trx
    .selectFrom("suspension")
    .selectAll()
    .$if(!isPrefix, (query) => query.where("holder", "=", sql<SuspensionRow["holder"]>`${holder}`))
    .$if(isPrefix, (query) => query.where(sql<boolean>`starts_with(holder, ${holder})`))
    .orderBy("kind")
    .orderBy("id")
    .orderBy("holder")
    .limit(limit)
    .execute();
}
