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

/** A work of a version that stands, as far as signals and licenses name it. */
export interface OfferedWork {
  readonly position: number;
  readonly content_id: string;
  readonly jti: string;
  readonly url: string;
  readonly mime_type: string;
}

const OFFERED = sql`
  dataset_item.position, dataset_item.content_id, dataset_item.jti,
  item::json ->> 'canonical_url' as url, item::json ->> 'mime_type' as mime_type
    from dataset_item
    join consent on consent.jti = dataset_item.jti and consent.state = 'active'
    join content_item on content_item.content_id = dataset_item.content_id
     and content_item.withdrawn_at is null and content_item.suspended_at is null`;

/** The first works of a version that stand, by position. */
export async function readOfferedWorks(
  db: Db | Trx,
  { dataset_id, version }: VersionName,
  limit: number,
): Promise<readonly OfferedWork[]> {
  const { rows } = await sql<OfferedWork>`
    select ${OFFERED}
     where dataset_item.dataset_id = ${dataset_id} and dataset_item.version = ${version}
     order by position limit ${limit}`.execute(db);
  return rows;
}

/** The work of a version at a URL, if it is one and stands. */
export async function findOfferedWork(
  db: Db | Trx,
  { dataset_id, version }: VersionName,
  url: string,
): Promise<OfferedWork | undefined> {
  const { rows } = await sql<OfferedWork>`
    select ${OFFERED}
     where dataset_item.dataset_id = ${dataset_id} and dataset_item.version = ${version}
       and content_item.canonical_url = ${url} limit 1`.execute(db);
  return rows[0];
}

export interface WorkOnConsent {
  readonly content_id: string;
  readonly jti: string;
}

/** Which of these works do not stand, or not on these consents: `<content_id> <jti>`. */
export async function readFallenWorks(db: Db | Trx, works: readonly WorkOnConsent[]): Promise<ReadonlySet<string>> {
  if (works.length === 0) return new Set();
  const { rows } = await sql<WorkOnConsent>`
    select named.content_id, named.jti
      from unnest(${works.map((work) => work.content_id)}::text[], ${works.map((work) => work.jti)}::text[])
             as named (content_id, jti)
      left join consent on consent.jti = named.jti and consent.state = 'active'
      left join content_item on content_item.content_id = named.content_id
       and content_item.withdrawn_at is null and content_item.suspended_at is null
     where consent.jti is null or content_item.content_id is null`.execute(db);
  return new Set(rows.map(({ content_id, jti }) => `${content_id} ${jti}`));
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
