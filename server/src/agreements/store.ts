import type { Insertable, Selectable } from "kysely";
import type { Db, Trx } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";
import type { Page } from "../http/parameters.ts";

export type AgreementRow = Selectable<Tables["agreement"]>;
export type AcceptanceRow = Selectable<Tables["agreement_acceptance"]>;

/** Answers false when the version is there already. */
export async function insertAgreement(trx: Trx, row: Insertable<Tables["agreement"]>): Promise<boolean> {
  const inserted = await trx
    .insertInto("agreement")
    .values(row)
    .onConflict((conflict) => conflict.doNothing())
    .returning("agreement")
    .execute();
  return inserted.length > 0;
}

export async function findAgreement(db: Db | Trx, agreement: string): Promise<AgreementRow | undefined> {
  return db.selectFrom("agreement").selectAll().where("agreement", "=", agreement).executeTakeFirst();
}

/** The newest version by its number; undefined when nothing was published under the name. */
export async function findNewestAgreement(db: Db | Trx, name: string): Promise<AgreementRow | undefined> {
  return db
    .selectFrom("agreement")
    .selectAll()
    .where("name", "=", name)
    .orderBy("major", "desc")
    .orderBy("minor", "desc")
    .limit(1)
    .executeTakeFirst();
}

/** A platform has a few agreements, each with a few versions; beyond this the oldest are not listed. */
const MAX_LISTED = 1_000;

export async function readAgreements(db: Db): Promise<readonly AgreementRow[]> {
  return db
    .selectFrom("agreement")
    .selectAll()
    .orderBy("name")
    .orderBy("major", "desc")
    .orderBy("minor", "desc")
    .limit(MAX_LISTED)
    .execute();
}

/** Answers false when the marketplace has accepted this version before. */
export async function insertAcceptance(trx: Trx, row: AcceptanceRow): Promise<boolean> {
  const inserted = await trx
    .insertInto("agreement_acceptance")
    .values(row)
    .onConflict((conflict) => conflict.doNothing())
    .returning("agreement")
    .execute();
  return inserted.length > 0;
}

export async function findAcceptance(
  db: Db | Trx,
  marketplaceId: string,
  agreement: string,
): Promise<AcceptanceRow | undefined> {
  return db
    .selectFrom("agreement_acceptance")
    .selectAll()
    .where("marketplace_id", "=", marketplaceId)
    .where("agreement", "=", agreement)
    .executeTakeFirst();
}

/** Who accepted a version, by marketplace, one more than the limit. */
export async function readAcceptances(
  db: Db,
  {
    agreement,
    marketplaceId,
    after,
    limit,
  }: Page & { readonly agreement: string; readonly marketplaceId: string | undefined },
): Promise<readonly AcceptanceRow[]> {
  return db
    .selectFrom("agreement_acceptance")
    .selectAll()
    .where("agreement", "=", agreement)
    .$if(marketplaceId !== undefined, (query) => query.where("marketplace_id", "=", marketplaceId ?? ""))
    .$if(after !== undefined, (query) => query.where("marketplace_id", ">", after ?? ""))
    .orderBy("marketplace_id")
    .limit(limit + 1)
    .execute();
}

/** What one marketplace has accepted. */
export async function readAcceptancesOf(db: Db, marketplaceId: string): Promise<readonly AcceptanceRow[]> {
  return db
    .selectFrom("agreement_acceptance")
    .selectAll()
    .where("marketplace_id", "=", marketplaceId)
    .limit(MAX_LISTED)
    .execute();
}
