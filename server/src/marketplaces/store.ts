import { type PublicJwk, type VerificationKey, formatInstant } from "@licet/protocol";
import type { Insertable, Selectable } from "kysely";
import type { Db, Trx } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";
import type { Page } from "../http/parameters.ts";
import { anyOf } from "../db/any-of.ts";

export type MarketplaceRow = Selectable<Tables["marketplace"]>;
export type ReceiptKeyRow = Selectable<Tables["receipt_key"]>;
export type EndpointRow = Selectable<Tables["webhook_endpoint"]>;

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

export function receiptKeyOf(row: ReceiptKeyRow): VerificationKey {
  const jwk: PublicJwk = JSON.parse(row.public_jwk);
  return {
    kid: row.kid,
    alg: row.alg,
    jwk,
    not_before: formatInstant(row.not_before),
    not_after: formatInstant(row.not_after),
    ...(row.revoked_at === null ? {} : { revoked_at: formatInstant(row.revoked_at) }),
  };
}

export async function insertEndpoint(trx: Trx, row: Insertable<Tables["webhook_endpoint"]>): Promise<void> {
  await trx.insertInto("webhook_endpoint").values(row).execute();
}

export async function findEndpoint(db: Db | Trx, endpointId: string): Promise<EndpointRow | undefined> {
  return db.selectFrom("webhook_endpoint").selectAll().where("endpoint_id", "=", endpointId).executeTakeFirst();
}

/** The endpoints in use of these marketplaces, in one order for everybody. */
export async function readEndpoints(db: Db | Trx, marketplaceIds: readonly string[]): Promise<readonly EndpointRow[]> {
  if (marketplaceIds.length === 0) return [];
  return db
    .selectFrom("webhook_endpoint")
    .selectAll()
    .where("marketplace_id", "=", anyOf(marketplaceIds))
    .where("disabled_at", "is", null)
    .orderBy("endpoint_id")
    .execute();
}
