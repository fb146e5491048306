import type { Selectable } from "kysely";
import type { Db } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";

export type KeyRow = Selectable<Tables["idempotency_key"]>;
export type KeyName = Pick<KeyRow, "caller" | "route" | "key">;

/** Takes a key that nobody used. False when somebody did. */
export async function insertKey(
  db: Db,
  name: KeyName,
  row: Pick<KeyRow, "request_sha256" | "created_at_ms" | "holder" | "held_until_ms">,
): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await db
    .insertInto("idempotency_key")
    .values({ ...name, ...row, status: null, sealed_answer: null })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirstOrThrow();
  return numInsertedOrUpdatedRows === 1n;
}

export async function findKey(db: Db, name: KeyName): Promise<KeyRow | undefined> {
  return db
    .selectFrom("idempotency_key")
    .selectAll()
    .where("caller", "=", name.caller)
    .where("route", "=", name.route)
    .where("key", "=", name.key)
    .executeTakeFirst();
}

/** Changes a key that this holder still has. False when somebody else took it over. */
export async function updateHeldKey(
  db: Db,
  name: KeyName,
  holder: string,
  change: Partial<Pick<KeyRow, "holder" | "held_until_ms" | "status" | "sealed_answer">>,
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable("idempotency_key")
    .set(change)
    .where("caller", "=", name.caller)
    .where("route", "=", name.route)
    .where("key", "=", name.key)
    .where("holder", "=", holder)
    .where("status", "is", null)
    .executeTakeFirstOrThrow();
  return numUpdatedRows === 1n;
}

/** Lets go of a key: the next request under it is the first. */
export async function deleteHeldKey(db: Db, name: KeyName, holder: string): Promise<void> {
  await db
    .deleteFrom("idempotency_key")
    .where("caller", "=", name.caller)
    .where("route", "=", name.route)
    .where("key", "=", name.key)
    .where("holder", "=", holder)
    .execute();
}

export async function deleteKeysBefore(db: Db, beforeMs: number): Promise<void> {
  await db.deleteFrom("idempotency_key").where("created_at_ms", "<", beforeMs).execute();
}
