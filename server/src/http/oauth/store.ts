import type { Insertable, Selectable } from "kysely";
import type { Db, Trx } from "../../db/open-database.ts";
import type { Tables } from "../../db/tables.ts";

export type ClientRow = Selectable<Tables["oauth_client"]>;

export async function insertClient(db: Db | Trx, row: Insertable<Tables["oauth_client"]>): Promise<void> {
  await db.insertInto("oauth_client").values(row).execute();
}

export async function findClient(db: Db | Trx, clientId: string): Promise<ClientRow | undefined> {
  return db.selectFrom("oauth_client").selectAll().where("client_id", "=", clientId).executeTakeFirst();
}

export async function insertSession(db: Db | Trx, row: Insertable<Tables["session_token"]>): Promise<void> {
  await db.insertInto("session_token").values(row).execute();
}

export async function findSession(
  db: Db | Trx,
  tokenSha256: string,
): Promise<Selectable<Tables["session_token"]> | undefined> {
  return db.selectFrom("session_token").selectAll().where("token_sha256", "=", tokenSha256).executeTakeFirst();
}

export async function hasOperator(db: Db | Trx): Promise<boolean> {
  return (
    (await db.selectFrom("session_token").select("token_sha256").where("kind", "=", "operator").executeTakeFirst()) !==
    undefined
  );
}

export async function deleteExpired(db: Db, now: number): Promise<void> {
  await db.deleteFrom("session_token").where("expires_at", "<", now).execute();
  await db.deleteFrom("oauth_record").where("expires_at", "<", now).execute();
}

export async function saveRecord(db: Db, row: Insertable<Tables["oauth_record"]>): Promise<void> {
  const { payload, expires_at } = row;
  await db
    .insertInto("oauth_record")
    .values(row)
    .onConflict((conflict) => conflict.columns(["model", "id"]).doUpdateSet({ payload, expires_at }))
    .execute();
}

export async function findRecord(
  db: Db,
  model: string,
  id: string,
): Promise<Selectable<Tables["oauth_record"]> | undefined> {
  return db.selectFrom("oauth_record").selectAll().where("model", "=", model).where("id", "=", id).executeTakeFirst();
}

export async function deleteRecord(db: Db, model: string, id: string): Promise<void> {
  await db.deleteFrom("oauth_record").where("model", "=", model).where("id", "=", id).execute();
}

export async function readOauthKeys(db: Db): Promise<readonly Selectable<Tables["oauth_key"]>[]> {
  return db.selectFrom("oauth_key").selectAll().orderBy("created_at", "desc").execute();
}

export async function insertOauthKey(db: Db, row: Insertable<Tables["oauth_key"]>): Promise<void> {
  await db
    .insertInto("oauth_key")
    .values(row)
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}
