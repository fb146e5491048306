import { type PublicJwk, type VerificationKey, formatInstant } from "@licet/protocol";
import type { Insertable, Selectable, Updateable } from "kysely";
import type { Db, Trx } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";
import type { Page } from "../http/parameters.ts";
import { anyOf } from "../db/any-of.ts";

export type MarketplaceRow = Selectable<Tables["marketplace"]>;
export type ReceiptKeyRow = Selectable<Tables["receipt_key"]>;

/** Answers false when the id, in whatever case, is taken. */
export async function insertMarketplace(trx: Trx, row: Insertable<Tables["marketplace"]>): Promise<boolean> {
  const inserted = await trx
    .insertInto("marketplace")
    .values(row)
    .onConflict((conflict) => conflict.doNothing())
    .returning("marketplace_id")
    .execute();
  return inserted.length > 0;
}

export async function findMarketplace(db: Db | Trx, marketplaceId: string): Promise<MarketplaceRow | undefined> {
  return db.selectFrom("marketplace").selectAll().where("marketplace_id", "=", marketplaceId).executeTakeFirst();
}

/** Locks the marketplace until the commit, so that what it has can be counted. False when there is none. */
export async function lockMarketplace(trx: Trx, marketplaceId: string): Promise<boolean> {
  const row = await trx
    .selectFrom("marketplace")
    .select("marketplace_id")
    .where("marketplace_id", "=", marketplaceId)
    .forUpdate()
    .executeTakeFirst();
  return row !== undefined;
}

export async function readMarketplaces(db: Db, { after, limit }: Page): Promise<readonly MarketplaceRow[]> {
  return db
    .selectFrom("marketplace")
    .selectAll()
    .$if(after !== undefined, (query) => query.where("marketplace_id", ">", after ?? ""))
    .orderBy("marketplace_id")
    .limit(limit + 1)
    .execute();
}

/** Answers false when the key is registered already, by whomever. */
export async function insertReceiptKey(trx: Trx, row: Insertable<Tables["receipt_key"]>): Promise<boolean> {
  const inserted = await trx
    .insertInto("receipt_key")
    .values(row)
    .onConflict((conflict) => conflict.doNothing())
    .returning("kid")
    .execute();
  return inserted.length > 0;
}

export async function readReceiptKeys(
  db: Db | Trx,
  marketplaceIds: readonly string[],
): Promise<readonly ReceiptKeyRow[]> {
  if (marketplaceIds.length === 0) return [];
  return db
    .selectFrom("receipt_key")
    .selectAll()
    .where("marketplace_id", "=", anyOf(marketplaceIds))
    .orderBy("not_before")
    .orderBy("kid")
    .execute();
}

/** The key, held until the end of the transaction. */
export async function lockReceiptKey(trx: Trx, kid: string): Promise<ReceiptKeyRow | undefined> {
  return trx.selectFrom("receipt_key").selectAll().where("kid", "=", kid).forUpdate().executeTakeFirst();
}

/** The key, which nobody can end before the end of the transaction. */
export async function shareReceiptKey(trx: Trx, kid: string): Promise<ReceiptKeyRow | undefined> {
  return trx.selectFrom("receipt_key").selectAll().where("kid", "=", kid).forShare().executeTakeFirst();
}

/** Keys of one marketplace, all or by their names. With `hold`, nobody can end them before the end of the transaction. */
export async function readReceiptKeysByName(
  db: Db | Trx,
  marketplaceId: string,
  { kids, hold }: { readonly kids: readonly string[] | undefined; readonly hold: boolean },
): Promise<readonly ReceiptKeyRow[]> {
  return db
    .selectFrom("receipt_key")
    .selectAll()
    .where("marketplace_id", "=", marketplaceId)
    .$if(kids !== undefined, (query) => query.where("kid", "=", anyOf(kids ?? [])))
    .orderBy("kid")
    .$if(hold, (query) => query.forShare())
    .execute();
}

/** Marketplaces that can be asked for their receipts. */
export async function readAskable(db: Db): Promise<readonly MarketplaceRow[]> {
  return db
    .selectFrom("marketplace")
    .selectAll()
    .where("sealed_platform_token", "is not", null)
    .orderBy("marketplace_id")
    .execute();
}

export async function updateReceiptKey(
  trx: Trx,
  kid: string,
  change: Updateable<Tables["receipt_key"]>,
): Promise<void> {
  await trx.updateTable("receipt_key").set(change).where("kid", "=", kid).execute();
}

export function receiptKeyOf(row: ReceiptKeyRow): VerificationKey {
  const jwk: PublicJwk = JSON.parse(row.public_jwk);
  return {
    kid: row.kid,
    alg: row.alg,
    jwk,
    not_before: formatInstant(row.not_before),
    not_after: formatInstant(row.not_after),
    ...(row.revoked_at === null ? {} : { revoked_at: formatInstant(row.revoked_at) }),
    ...(row.compromised_since === null ? {} : { compromised_since: formatInstant(row.compromised_since) }),
  };
}
