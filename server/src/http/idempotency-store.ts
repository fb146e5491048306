import type { Selectable } from "kysely";
import type { Db, Trx } from "../db/open-database.ts";
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
    .values({ ...name, ...row, status: null, sealed_answer: null, carried_out_at_ms: null })
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
  db: Db | Trx,
  name: KeyName,
  holder: string,
  change: Partial<Pick<KeyRow, "held_until_ms" | "status" | "sealed_answer" | "carried_out_at_ms">>,
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

/** Takes a key over from a holder that let go of it. False when somebody was faster, or when it has carried its request out meanwhile. */
export async function takeOverKey(
  db: Db,
  found: KeyRow,
  next: Pick<KeyRow, "holder" | "held_until_ms">,
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable("idempotency_key")
    .set({ ...next, carried_out_at_ms: null })
    .where("caller", "=", found.caller)
    .where("route", "=", found.route)
    .where("key", "=", found.key)
    .where("holder", "=", found.holder)
    .where("status", "is", null)
    .where("carried_out_at_ms", "is not distinct from", found.carried_out_at_ms)
    .executeTakeFirstOrThrow();
  return numUpdatedRows === 1n;
}

/** Lets go of a key under which nothing was committed: the next request under it is the first. */
export async function deleteUnusedKey(db: Db, name: KeyName, holder: string): Promise<void> {
  await db
    .deleteFrom("idempotency_key")
    .where("caller", "=", name.caller)
    .where("route", "=", name.route)
    .where("key", "=", name.key)
    .where("holder", "=", holder)
    .where("carried_out_at_ms", "is", null)
    .execute();
}

/** Forgets a key: the next request under it is the first. */
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
