import type { Insertable, Selectable, Updateable } from "kysely";
import type { Db, Trx } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";
import type { Page } from "../http/parameters.ts";

export type LicenseRequestRow = Selectable<Tables["license_request"]>;
export type LicensePolicyRow = Selectable<Tables["license_policy"]>;

export async function insertRequest(trx: Trx, row: Insertable<Tables["license_request"]>): Promise<LicenseRequestRow> {
  return trx.insertInto("license_request").values(row).returningAll().executeTakeFirstOrThrow();
}

export async function findRequest(db: Db | Trx, requestId: string): Promise<LicenseRequestRow | undefined> {
  return db.selectFrom("license_request").selectAll().where("request_id", "=", requestId).executeTakeFirst();
}

/** The request, held by whoever decides it until the commit. */
export async function lockRequest(trx: Trx, requestId: string): Promise<LicenseRequestRow | undefined> {
  return trx
    .selectFrom("license_request")
    .selectAll()
    .where("request_id", "=", requestId)
    .forUpdate()
    .executeTakeFirst();
}

export async function updateRequest(
  trx: Trx,
  requestId: string,
  changes: Updateable<Tables["license_request"]>,
): Promise<void> {
  await trx.updateTable("license_request").set(changes).where("request_id", "=", requestId).execute();
}

export async function findWaiting(
  trx: Trx,
  {
    dataset_id,
    marketplace_id,
    model_fingerprint,
    scope,
  }: Pick<LicenseRequestRow, "dataset_id" | "marketplace_id" | "model_fingerprint" | "scope">,
): Promise<LicenseRequestRow | undefined> {
  return trx
    .selectFrom("license_request")
    .selectAll()
    .where("state", "=", "pending")
    .where("dataset_id", "=", dataset_id)
    .where("marketplace_id", "=", marketplace_id)
    .where("model_fingerprint", "=", model_fingerprint)
    .where("scope", "=", scope)
    .executeTakeFirst();
}

export async function countWaiting(trx: Trx, datasetId: string, marketplaceId: string): Promise<number> {
  const { waiting } = await trx
    .selectFrom("license_request")
    .select((eb) => eb.fn.countAll<number>().as("waiting"))
    .where("state", "=", "pending")
    .where("dataset_id", "=", datasetId)
    .where("marketplace_id", "=", marketplaceId)
    .executeTakeFirstOrThrow();
  return waiting;
}

export interface RequestFilter extends Page {
  readonly datasetId: string | undefined;
  readonly marketplaceId: string | undefined;
  readonly state: LicenseRequestRow["state"] | undefined;
}

export async function readRequests(
  db: Db,
  { datasetId, marketplaceId, state, after, limit }: RequestFilter,
): Promise<readonly LicenseRequestRow[]> {
  return db
    .selectFrom("license_request")
    .selectAll()
    .$if(datasetId !== undefined, (query) => query.where("dataset_id", "=", datasetId ?? ""))
    .$if(marketplaceId !== undefined, (query) => query.where("marketplace_id", "=", marketplaceId ?? ""))
    .$if(state !== undefined, (query) => query.where("state", "=", state ?? "pending"))
    .$if(after !== undefined, (query) => query.where("request_id", ">", after ?? ""))
    .orderBy("request_id")
    .limit(limit + 1)
    .execute();
}

export async function findPolicy(db: Db | Trx, datasetId: string): Promise<LicensePolicyRow | undefined> {
  return db.selectFrom("license_policy").selectAll().where("dataset_id", "=", datasetId).executeTakeFirst();
}

export async function savePolicy(trx: Trx, row: LicensePolicyRow): Promise<void> {
  const { dataset_id: _datasetId, ...changes } = row;
  await trx
    .insertInto("license_policy")
    .values(row)
    .onConflict((conflict) => conflict.column("dataset_id").doUpdateSet(changes))
    .execute();
}
