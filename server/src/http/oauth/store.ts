import { sql, type Insertable, type Selectable, type Updateable } from "kysely";
import { ADVISORY_LOCKS } from "../../db/advisory-locks.ts";
import type { Db, Trx } from "../../db/open-database.ts";
import { anyOf } from "../../db/any-of.ts";
import type { Tables } from "../../db/tables.ts";
import type { Page } from "../parameters.ts";

export type ClientRow = Selectable<Tables["oauth_client"]>;
export type SessionRow = Selectable<Tables["session_token"]>;

export async function insertClient(db: Db | Trx, row: Insertable<Tables["oauth_client"]>): Promise<void> {
  await db.insertInto("oauth_client").values(row).execute();
}

export async function findClient(db: Db | Trx, clientId: string): Promise<ClientRow | undefined> {
  return db.selectFrom("oauth_client").selectAll().where("client_id", "=", clientId).executeTakeFirst();
}

/** The client, held until the end of the transaction. */
export async function lockClient(trx: Trx, clientId: string): Promise<ClientRow | undefined> {
  return trx.selectFrom("oauth_client").selectAll().where("client_id", "=", clientId).forUpdate().executeTakeFirst();
}

export async function updateClient(
  trx: Trx,
  clientId: string,
  members: Updateable<Tables["oauth_client"]>,
): Promise<void> {
  await trx.updateTable("oauth_client").set(members).where("client_id", "=", clientId).execute();
}

export async function readClients(db: Db, { after, limit }: Page): Promise<readonly ClientRow[]> {
  return db
    .selectFrom("oauth_client")
    .selectAll()
    .$if(after !== undefined, (query) => query.where("client_id", ">", after ?? ""))
    .orderBy("client_id")
    .limit(limit + 1)
    .execute();
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

const SESSION_NAME = sql<string>`substr(token_sha256, 1, 32)`;

export interface SessionFilter {
  readonly kind?: "operator" | "creator" | undefined;
  readonly creatorId?: string | undefined;
}

/** Sessions that have not expired, by the name they are known by. */
export async function readSessions(
  db: Db,
  { kind, creatorId }: SessionFilter,
  { after, limit, now }: Page & { readonly now: number },
): Promise<readonly SessionRow[]> {
  return db
    .selectFrom("session_token")
    .selectAll()
    .where((where) => where.or([where("expires_at", "is", null), where("expires_at", ">", now)]))
    .$if(kind !== undefined, (query) => query.where("kind", "=", kind ?? "creator"))
    .$if(creatorId !== undefined, (query) => query.where("creator_id", "=", creatorId ?? ""))
    .$if(after !== undefined, (query) => query.where(SESSION_NAME, ">", after ?? ""))
    .orderBy(SESSION_NAME)
    .limit(limit + 1)
    .execute();
}

/** The sessions of operators, held until the end of the transaction, so that two ends cannot both leave the other. */
export async function lockOperatorSessions(trx: Trx): Promise<readonly SessionRow[]> {
  return trx
    .selectFrom("session_token")
    .selectAll()
    .where("kind", "=", "operator")
    .orderBy("token_sha256")
    .forUpdate()
    .execute();
}

export async function findSessionByName(trx: Trx, name: string): Promise<SessionRow | undefined> {
  return trx.selectFrom("session_token").selectAll().where(SESSION_NAME, "=", name).executeTakeFirst();
}

export async function deleteSession(trx: Trx, tokenSha256: string): Promise<void> {
  await trx.deleteFrom("session_token").where("token_sha256", "=", tokenSha256).execute();
}

export async function deleteCreatorSessions(trx: Trx, creatorId: string): Promise<readonly SessionRow[]> {
  return trx.deleteFrom("session_token").where("creator_id", "=", creatorId).returningAll().execute();
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

/** Answers false when the record is there already: of two servers that see the same thing, one is the first. */
export async function saveRecordOnce(db: Db, row: Insertable<Tables["oauth_record"]>): Promise<boolean> {
  const inserted = await db
    .insertInto("oauth_record")
    .values(row)
    .onConflict((conflict) => conflict.columns(["model", "id"]).doNothing())
    .returning("id")
    .execute();
  return inserted.length > 0;
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

/** The key that signs first, then the ones that are still known. */
export async function readOauthKeys(db: Db | Trx): Promise<readonly Selectable<Tables["oauth_key"]>[]> {
  return db
    .selectFrom("oauth_key")
    .selectAll()
    .orderBy(sql`retire_at is null`, "desc")
    .orderBy("created_at", "desc")
    .execute();
}

/** Held by whoever makes a key, until the commit. */
export async function lockOauthKeys(trx: Trx): Promise<void> {
  await sql`select pg_advisory_xact_lock(${ADVISORY_LOCKS.oauthKeys}::bigint)`.execute(trx);
}

/** The keys sign no more from here on, and are forgotten at `retireAt`. */
export async function retireOauthKeys(trx: Trx, kids: readonly string[], retireAt: number): Promise<void> {
  await trx.updateTable("oauth_key").set({ retire_at: retireAt }).where("kid", "=", anyOf(kids)).execute();
}

export async function deleteOauthKeys(
  trx: Trx,
  { retiredBefore }: { readonly retiredBefore: number },
): Promise<number> {
  const { numDeletedRows } = await trx
    .deleteFrom("oauth_key")
    .where("retire_at", "<", retiredBefore)
    .executeTakeFirstOrThrow();
  return Number(numDeletedRows);
}

export async function insertOauthKey(db: Db | Trx, row: Insertable<Tables["oauth_key"]>): Promise<void> {
  await db
    .insertInto("oauth_key")
    .values(row)
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}
