import { type ConsentKey, type JsonObject, type PublicJwk, formatInstant } from "@licet/protocol";
import type { Insertable, Selectable, Updateable } from "kysely";
import type { Db, Trx } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";
import type { Page } from "../http/parameters.ts";
import { anyOf } from "../db/any-of.ts";

export type CreatorRow = Selectable<Tables["creator"]>;
export type CreatorKeyRow = Selectable<Tables["creator_key"]>;

/** Answers false when the id, in whatever case, is taken. */
export async function insertCreator(trx: Trx, row: Insertable<Tables["creator"]>): Promise<boolean> {
  const inserted = await trx
    .insertInto("creator")
    .values(row)
    .onConflict((conflict) => conflict.doNothing())
    .returning("creator_id")
    .execute();
  return inserted.length > 0;
}

export async function findCreator(db: Db | Trx, creatorId: string): Promise<CreatorRow | undefined> {
  return db.selectFrom("creator").selectAll().where("creator_id", "=", creatorId).executeTakeFirst();
}

/** Which of these ids no creator has. */
export async function readUnknownCreators(db: Db | Trx, creatorIds: readonly string[]): Promise<readonly string[]> {
  if (creatorIds.length === 0) return [];
  const rows = await db
    .selectFrom("creator")
    .select("creator_id")
    .where("creator_id", "=", anyOf(creatorIds))
    .execute();
  const known = new Set(rows.map((row) => row.creator_id));
  return creatorIds.filter((id) => !known.has(id));
}

export async function readCreators(db: Db, { after, limit }: Page): Promise<readonly CreatorRow[]> {
  return db
    .selectFrom("creator")
    .selectAll()
    .$if(after !== undefined, (query) => query.where("creator_id", ">", after ?? ""))
    .orderBy("creator_id")
    .limit(limit + 1)
    .execute();
}

export async function readCreatorKeys(db: Db | Trx, creatorIds: readonly string[]): Promise<readonly CreatorKeyRow[]> {
  if (creatorIds.length === 0) return [];
  return db
    .selectFrom("creator_key")
    .selectAll()
    .where("creator_id", "=", anyOf(creatorIds))
    .orderBy("not_before")
    .orderBy("kid")
    .execute();
}

export async function findCreatorKey(db: Db | Trx, kid: string): Promise<CreatorKeyRow | undefined> {
  return db.selectFrom("creator_key").selectAll().where("kid", "=", kid).executeTakeFirst();
}

/** The key, held until the end of the transaction. */
export async function lockCreatorKey(trx: Trx, kid: string): Promise<CreatorKeyRow | undefined> {
  return trx.selectFrom("creator_key").selectAll().where("kid", "=", kid).forUpdate().executeTakeFirst();
}

/** The key, which nobody can end before the end of the transaction. */
export async function shareCreatorKey(trx: Trx, kid: string): Promise<CreatorKeyRow | undefined> {
  return trx.selectFrom("creator_key").selectAll().where("kid", "=", kid).forShare().executeTakeFirst();
}

export async function updateCreatorKey(
  trx: Trx,
  kid: string,
  change: Updateable<Tables["creator_key"]>,
): Promise<void> {
  await trx.updateTable("creator_key").set(change).where("kid", "=", kid).execute();
}

/** Answers false when the key is enrolled already, by whomever. */
export async function insertCreatorKey(trx: Trx, row: Insertable<Tables["creator_key"]>): Promise<boolean> {
  const inserted = await trx
    .insertInto("creator_key")
    .values(row)
    .onConflict((conflict) => conflict.doNothing())
    .returning("kid")
    .execute();
  return inserted.length > 0;
}

export async function insertChallenge(trx: Trx, row: Insertable<Tables["key_challenge"]>): Promise<void> {
  await trx
    .deleteFrom("key_challenge")
    .where("expires_at", "<", row.expires_at - CHALLENGE_HISTORY_SECONDS)
    .execute();
  await trx.insertInto("key_challenge").values(row).execute();
}

/** Old challenges go when a new one comes. */
const CHALLENGE_HISTORY_SECONDS = 86_400;

/** Uses a challenge up; false when it is unknown, another creator's, or too old. */
export async function consumeChallenge(
  trx: Trx,
  { challenge, creatorId, now }: { readonly challenge: string; readonly creatorId: string; readonly now: number },
): Promise<boolean> {
  const rows = await trx
    .deleteFrom("key_challenge")
    .where("challenge", "=", challenge)
    .where("creator_id", "=", creatorId)
    .where("expires_at", ">", now)
    .returning("challenge")
    .execute();
  return rows.length > 0;
}

/** A key's members as they are published. */
export function creatorKeyContent(row: CreatorKeyRow): JsonObject {
  const jwk: JsonObject = JSON.parse(row.public_jwk);
  return {
    creator_id: row.creator_id,
    kid: row.kid,
    alg: row.alg,
    jwk,
    ...(row.did === null ? {} : { did: row.did }),
    not_before: formatInstant(row.not_before),
    not_after: formatInstant(row.not_after),
    ...(row.revoked_at === null ? {} : { revoked_at: formatInstant(row.revoked_at) }),
    ...(row.compromised_since === null ? {} : { compromised_since: formatInstant(row.compromised_since) }),
  };
}

export function consentKeyOf(row: CreatorKeyRow): ConsentKey {
  const jwk: PublicJwk = JSON.parse(row.public_jwk);
  const ends = {
    ...(row.revoked_at === null ? {} : { revoked_at: formatInstant(row.revoked_at) }),
    ...(row.compromised_since === null ? {} : { compromised_since: formatInstant(row.compromised_since) }),
  };
  return {
    kid: row.kid,
    alg: row.alg,
    jwk,
    not_before: formatInstant(row.not_before),
    not_after: formatInstant(row.not_after),
    ...ends,
    owner: { kind: "creator", creatorId: row.creator_id },
  };
}
