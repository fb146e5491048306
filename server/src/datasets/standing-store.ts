import { MAX_NAMED_WITHDRAWN } from "@licet/protocol";
import { sql } from "kysely";
import type { Db, Trx } from "../db/open-database.ts";

export interface VersionName {
  readonly dataset_id: string;
  readonly version: number;
}

/** Items of a version that do not stand, each counted once, and when the last of them fell. */
export interface Fallen extends VersionName {
  readonly revoked: number;
  readonly expired: number;
  readonly suspended: number;
  readonly last_fallen_at: number;
}

/** Counts what does not stand of these versions; a version of which everything stands has no row. */
export async function countFallen(db: Db | Trx, versions: readonly VersionName[]): Promise<readonly Fallen[]> {
  if (versions.length === 0) return [];
  const { rows } = await sql<Fallen>`
    select dataset_id, version,
           count(*) filter (where reason = 'revoked') as revoked,
           count(*) filter (where reason = 'expired') as expired,
           count(*) filter (where reason = 'suspended') as suspended,
           max(fallen_at) as last_fallen_at
      from (select dataset_item.dataset_id, dataset_item.version,
                   greatest(content_item.withdrawn_at, content_item.suspended_at, consent.ended_at) as fallen_at,
                   case when content_item.withdrawn_at is not null or consent.state = 'revoked' then 'revoked'
                        when consent.state = 'expired' then 'expired'
                        else 'suspended' end as reason
              from ${unnested(versions)} as wanted (dataset_id, version)
              join dataset_item on dataset_item.dataset_id = wanted.dataset_id and dataset_item.version = wanted.version
              left join consent on consent.jti = dataset_item.jti and consent.state <> 'active'
              left join content_item on content_item.content_id = dataset_item.content_id
               and (content_item.withdrawn_at is not null or content_item.suspended_at is not null)
             where consent.jti is not null or content_item.content_id is not null) fallen
     group by dataset_id, version`.execute(db);
  return rows;
}

/** True when something of a version is gone for good. */
export async function isSomethingGone(trx: Trx, version: VersionName): Promise<boolean> {
  const [fallen] = await countFallen(trx, [version]);
  return fallen !== undefined && fallen.revoked + fallen.expired > 0;
}

/**
 * The first version from `from` on that has something which is not gone for good, also what is
 * suspended and may stand again, and which this one lacks, or has in another revision: whoever has it
 * would lose that. Undefined when this one replaces them all.
 */
export async function findNotReplaced(
  trx: Trx,
  { dataset_id, version }: VersionName,
  from: number,
): Promise<number | undefined> {
  const { rows } = await sql<{ version: number | null }>`
    select min(lost.version) as version
      from dataset_item lost
      join consent on consent.jti = lost.jti and consent.state not in ('revoked', 'expired')
      join content_item on content_item.content_id = lost.content_id and content_item.withdrawn_at is null
      left join dataset_item kept on kept.dataset_id = lost.dataset_id and kept.version = ${version}
       and kept.content_id = lost.content_id
       and kept.item::json ->> 'revision' = lost.item::json ->> 'revision'
     where lost.dataset_id = ${dataset_id} and lost.version >= ${from} and lost.version < ${version}
       and kept.content_id is null`.execute(trx);
  return rows[0]?.version ?? undefined;
}

/** An instant at which a version lost something for good. */
export interface Loss extends VersionName {
  readonly lost_at: number;
}

/** When these versions lost something for good, each instant once, in order. */
export async function readLosses(db: Db | Trx, versions: readonly VersionName[]): Promise<readonly Loss[]> {
  if (versions.length === 0) return [];
  const { rows } = await sql<Loss>`
    with wanted as (select * from ${unnested(versions)} as wanted (dataset_id, version))
    select dataset_id, version, consent.ended_at as lost_at
      from wanted
      join dataset_consent using (dataset_id, version)
      join consent on consent.jti = dataset_consent.jti and consent.state in ('revoked', 'expired')
    union
    select dataset_id, version, content_item.withdrawn_at
      from wanted
      join dataset_item using (dataset_id, version)
      join content_item on content_item.content_id = dataset_item.content_id and content_item.withdrawn_at is not null
     order by lost_at`.execute(db);
  return rows;
}

/** A token, or a single work, that does not stand. */
export interface Ended {
  readonly dataset_id: string;
  readonly jti: string | null;
  readonly content_id: string | null;
  readonly ended_at: number;
  /** False when only older versions that are still valid have it. */
  readonly is_current: boolean;
  /** Of all the tokens and works of the current version: how many there are, and which place this has, newest first. */
  readonly current_count: number;
  readonly current_place: number;
  /** Of the tokens of all valid versions. */
  readonly token_count: number;
  readonly token_place: number;
}

/** What does not stand of datasets: the newest of the current version, and the newest tokens of all versions that are still valid. */
export async function readEnded(
  db: Db | Trx,
  datasets: readonly { readonly dataset_id: string; readonly first: number; readonly current: number }[],
): Promise<readonly Ended[]> {
  if (datasets.length === 0) return [];
  const { rows } = await sql<Ended>`
    with wanted as (
      select * from unnest(${datasets.map((row) => row.dataset_id)}::text[], ${datasets.map((row) => row.first)}::int[],
                           ${datasets.map((row) => row.current)}::int[]) as wanted (dataset_id, first, current)
    ), ended as (
      select wanted.dataset_id, consent.jti, null as content_id, consent.ended_at,
             bool_or(dataset_consent.version = wanted.current) as is_current
        from wanted
        join dataset_consent on dataset_consent.dataset_id = wanted.dataset_id
         and dataset_consent.version between wanted.first and wanted.current
        join consent on consent.jti = dataset_consent.jti and consent.state <> 'active'
       group by wanted.dataset_id, consent.jti
      union all
      select wanted.dataset_id, null, content_item.content_id,
             coalesce(content_item.withdrawn_at, content_item.suspended_at), true
        from wanted
        join dataset_item on dataset_item.dataset_id = wanted.dataset_id and dataset_item.version = wanted.current
        join content_item on content_item.content_id = dataset_item.content_id
         and (content_item.withdrawn_at is not null or content_item.suspended_at is not null)
    ), placed as (
      select ended.*,
             count(*) filter (where is_current) over (partition by dataset_id) as current_count,
             row_number() over (partition by dataset_id, is_current order by ended_at desc, jti, content_id) as current_place,
             count(jti) over (partition by dataset_id) as token_count,
             row_number() over (partition by dataset_id, jti is null order by ended_at desc, jti) as token_place
        from ended
    )
    select * from placed
     where (is_current and current_place <= ${MAX_NAMED_WITHDRAWN}) or (jti is not null and token_place <= ${MAX_NAMED_WITHDRAWN})
     order by dataset_id, ended_at desc, jti, content_id`.execute(db);
  return rows;
}

function unnested(versions: readonly VersionName[]) {
  return sql`unnest(${versions.map((row) => row.dataset_id)}::text[], ${versions.map((row) => row.version)}::int[])`;
}
