import { type Insertable, type Selectable, type Updateable, sql } from "kysely";
import { anyOf } from "../db/any-of.ts";
import type { Db, Trx } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";
import type { Page } from "../http/parameters.ts";

export type EndpointRow = Selectable<Tables["webhook_endpoint"]>;
export type OldSecretRow = Selectable<Tables["webhook_old_secret"]>;

export async function insertEndpoint(trx: Trx, row: Insertable<Tables["webhook_endpoint"]>): Promise<EndpointRow> {
  return trx.insertInto("webhook_endpoint").values(row).returningAll().executeTakeFirstOrThrow();
}

/** Undefined also when it was deleted. */
export async function findEndpoint(db: Db | Trx, endpointId: string): Promise<EndpointRow | undefined> {
  return db
    .selectFrom("webhook_endpoint")
    .selectAll()
    .where("endpoint_id", "=", endpointId)
    .where("deleted_at", "is", null)
    .executeTakeFirst();
}

/** The endpoint, its row locked until the commit; undefined also when it was deleted. */
export async function lockEndpoint(trx: Trx, endpointId: string): Promise<EndpointRow | undefined> {
  return trx
    .selectFrom("webhook_endpoint")
    .selectAll()
    .where("endpoint_id", "=", endpointId)
    .where("deleted_at", "is", null)
    .forUpdate()
    .executeTakeFirst();
}

export async function updateEndpoint(
  trx: Trx,
  endpointId: string,
  changes: Updateable<Tables["webhook_endpoint"]>,
): Promise<EndpointRow> {
  return trx
    .updateTable("webhook_endpoint")
    .set(changes)
    .where("endpoint_id", "=", endpointId)
    .returningAll()
    .executeTakeFirstOrThrow();
}

export async function countEndpoints(trx: Trx, marketplaceId: string): Promise<number> {
  const { count } = await trx
    .selectFrom("webhook_endpoint")
    .select((query) => query.fn.countAll<number>().as("count"))
    .where("marketplace_id", "=", marketplaceId)
    .where("deleted_at", "is", null)
    .executeTakeFirstOrThrow();
  return count;
}

/** The endpoints, of one marketplace or of all; those that were deleted are left out. */
export async function readEndpoints(
  db: Db | Trx,
  { marketplaceId, after, limit }: Page & { readonly marketplaceId: string | undefined },
): Promise<readonly EndpointRow[]> {
  return db
    .selectFrom("webhook_endpoint")
    .selectAll()
    .where("deleted_at", "is", null)
    .$if(marketplaceId !== undefined, (query) => query.where("marketplace_id", "=", marketplaceId ?? ""))
    .$if(after !== undefined, (query) => query.where("endpoint_id", ">", after ?? ""))
    .orderBy("endpoint_id")
    .limit(limit + 1)
    .execute();
}

export async function insertOldSecret(trx: Trx, row: OldSecretRow): Promise<void> {
  await trx.insertInto("webhook_old_secret").values(row).execute();
}

/** Secrets that were replaced and still sign, the newest first. */
export async function readOldSecrets(
  db: Db | Trx,
  endpointIds: readonly string[],
  nowMs: number,
): Promise<readonly OldSecretRow[]> {
  if (endpointIds.length === 0) return [];
  return db
    .selectFrom("webhook_old_secret")
    .selectAll()
    .where("endpoint_id", "=", anyOf(endpointIds))
    .where("valid_until_ms", ">", nowMs)
    .orderBy("replaced_at_ms", "desc")
    .execute();
}

export async function deleteOldSecrets(trx: Trx, endpointId: string): Promise<void> {
  await trx.deleteFrom("webhook_old_secret").where("endpoint_id", "=", endpointId).execute();
}

export async function deleteExpiredSecrets(db: Db, nowMs: number): Promise<void> {
  await db.deleteFrom("webhook_old_secret").where("valid_until_ms", "<=", nowMs).execute();
}

/** How attempts at an endpoint ended: one that was taken, or else the first that was not. */
export interface EndpointHealth {
  readonly endpoint_id: string;
  readonly is_taking: boolean;
  readonly at_ms: number;
}

/** Notes since when endpoints take nothing. Only rows that change are written. */
export async function writeHealth(db: Db, healths: readonly EndpointHealth[]): Promise<void> {
  await sql`
    update webhook_endpoint
       set failing_since_ms = case when health.is_taking then null else health.at_ms end,
           warned_at_ms = case when health.is_taking then null else webhook_endpoint.warned_at_ms end
      from json_to_recordset(${JSON.stringify(healths)}::json) as health (endpoint_id text, is_taking boolean, at_ms bigint)
     where webhook_endpoint.endpoint_id = health.endpoint_id
       and webhook_endpoint.deleted_at is null
       and (webhook_endpoint.failing_since_ms is not null) = health.is_taking`.execute(db);
}
