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

/** Holds all of this for one holder; answers what the same holder did not hold before. */
export async function insertSuspensions(
  trx: Trx,
  names: readonly SuspensionName[],
  { holder, reason, suspended_at }: Pick<SuspensionRow, "holder" | "reason" | "suspended_at">,
): Promise<readonly SuspensionName[]> {
  const { rows } = await sql<SuspensionName>`
    insert into suspension (kind, id, holder, reason, suspended_at)
    select kind, id, ${holder}, ${reason}, ${suspended_at}::bigint
      from unnest(${kindsOf(names)}::text[], ${idsOf(names)}::text[]) as named (kind, id)
        on conflict do nothing
    returning kind, id`.execute(trx);
  return rows;
}

export async function deleteSuspensions(trx: Trx, held: readonly Held[]): Promise<void> {
  await sql`
    delete from suspension
     using unnest(${kindsOf(held)}::text[], ${idsOf(held)}::text[], ${held.map(({ holder }) => holder)}::text[])
           as named (kind, id, holder)
     where (suspension.kind, suspension.id, suspension.holder) = (named.kind, named.id, named.holder)`.execute(trx);
}

/** Which of these anybody holds suspended. */
export async function readSuspended(trx: Trx, names: readonly SuspensionName[]): Promise<readonly SuspensionName[]> {
  const { rows } = await sql<SuspensionName>`
    select distinct kind, id from suspension
     where (kind, id) in (select * from unnest(${kindsOf(names)}::text[], ${idsOf(names)}::text[]))`.execute(trx);
  return rows;
}

export type Held = Pick<SuspensionRow, "kind" | "id" | "holder">;

function kindsOf(names: readonly SuspensionName[]): readonly string[] {
  return names.map(({ kind }) => kind);
}

function idsOf(names: readonly SuspensionName[]): readonly string[] {
  return names.map(({ id }) => id);
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

/** What is held, by one holder or by every holder whose name begins so. */
export interface HeldBy {
  readonly holder: string;
  readonly isPrefix: boolean;
  readonly limit: number;
}

/** Consents before works. */
export async function readHeldBy(trx: Trx, by: HeldBy): Promise<readonly Held[]> {
  return selectHeldBy(trx, by).execute();
}

/** By ranges that the index on holders has: no letter comes after the last one of Unicode. */
export function selectHeldBy(trx: Trx, { holder, isPrefix, limit }: HeldBy) {
  const name = sql`holder collate "C"`;
  return trx
    .selectFrom("suspension")
    .select(["kind", "id", "holder"])
    .$if(!isPrefix, (query) => query.where(sql<boolean>`${name} = ${holder}`))
    .$if(isPrefix, (query) =>
      query.where(sql<boolean>`${name} >= ${holder} and ${name} < ${`${holder}${LAST_LETTER}`}`),
    )
    .orderBy("kind")
    .orderBy("id")
    .orderBy("holder")
    .limit(limit);
}

const LAST_LETTER = "\u{10FFFF}";
