import { sql } from "kysely";
import type { Db, Trx } from "../db/open-database.ts";
import type { VersionName } from "./standing-store.ts";

/** Works of one type that stand on one consent. */
export interface GrantGroup {
  readonly jti: string;
  readonly mime_type: string;
  readonly items: number;
  /** Some of them, by position. */
  readonly content_ids: readonly string[];
}

/**
 * What still stands of a version, by the consent it stands on and its type: whatever is asked of
 * every work is asked once for each of these. `named` works of each are named.
 */
export async function readGrantGroups(
  db: Db | Trx,
  { dataset_id, version }: VersionName,
  named: number,
): Promise<readonly GrantGroup[]> {
  const { rows } = await sql<GrantGroup>`
    select dataset_item.jti, item::json ->> 'mime_type' as mime_type, count(*) as items,
           (array_agg(dataset_item.content_id order by position))[1:${sql.lit(named)}] as content_ids
      from dataset_item
      join consent on consent.jti = dataset_item.jti and consent.state = 'active'
      join content_item on content_item.content_id = dataset_item.content_id
       and content_item.withdrawn_at is null and content_item.suspended_at is null
     where dataset_item.dataset_id = ${dataset_id} and dataset_item.version = ${version}
     group by dataset_item.jti, item::json ->> 'mime_type'
     order by min(position)`.execute(db);
  return rows;
}

/** The distinct beginnings of the works' addresses, up to their first slash: the version's origins, as they were written. */
export async function readVersionOrigins(
  db: Db | Trx,
  { dataset_id, version }: VersionName,
): Promise<readonly string[]> {
  const { rows } = await sql<{ origin: string }>`
    select distinct substring(item::json ->> 'canonical_url' from '^[A-Za-z]+://[^/?#]+') as origin
      from dataset_item
     where dataset_id = ${dataset_id} and version = ${version}`.execute(db);
  return rows.map((row) => row.origin);
}
