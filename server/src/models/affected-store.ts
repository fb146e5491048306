import { sql } from "kysely";
import type { Trx } from "../db/open-database.ts";

/** What was taken back, and the datasets that lost it. */
export interface TakenBack {
  readonly jtis: readonly string[];
  readonly contentIds: readonly string[];
  /** Of those, what stood until now: only this is a ground for anything. */
  readonly fresh: { readonly jtis: readonly string[]; readonly contentIds: readonly string[] };
  readonly datasetIds: readonly string[];
}

/** Things that an answer names; how many there are is always said. */
export const MAX_NAMED = 100;
/** Of what was taken back, as many are named for each model. */
const MAX_GROUNDS = 100;

/** A license in force of a dataset that lost something: it goes on without that. */
export interface RunningLicense {
  readonly license_id: string;
  readonly dataset_id: string;
  readonly marketplace_id: string;
  readonly model_id: string;
  readonly model_fingerprint: string;
}

/** A model that was trained, as receipts say, on what one creator took back. */
export interface TrainedModel extends RunningLicense {
  readonly creator_id: string;
  readonly currency: string;
  readonly receipts: string;
  /** Seconds since the epoch. */
  readonly first_from: number;
  readonly last_to: number;
  /** True when the terms of something that stood until now promise a remediation. */
  readonly is_promised: boolean;
  /** What stood until now, as `consent:<jti>` and `work:<content_id>`, at most 100. */
  readonly grounds: readonly string[];
}

interface Affected {
  readonly licenses: readonly RunningLicense[];
  readonly licensesCount: number;
  /** The newest use first: at least the first 100, and all that something was promised for. */
  readonly models: readonly TrainedModel[];
  readonly modelsCount: number;
}

interface AffectedRow extends TrainedModel {
  readonly kind: "license" | "model";
  readonly total: number;
}

/** A use that was reported after its version lost something. */
export interface LateUse {
  readonly license_id: string;
  readonly dataset_id: string;
  readonly dataset_version: number;
  readonly model_fingerprint: string;
  /** What was lost before was known to its user, who did without it. Seconds since the epoch. */
  readonly lost_since: number;
}

/** What of a version was taken back from an instant on: consents that were revoked, and works that were withdrawn. */
export async function readTakenBack(
  trx: Trx,
  { dataset_id, dataset_version, lost_since }: Pick<LateUse, "dataset_id" | "dataset_version" | "lost_since">,
): Promise<Pick<TakenBack, "jtis" | "contentIds">> {
  const { rows } = await sql<{ jti: string | null; content_id: string | null }>`
    select consent.jti, null as content_id
      from dataset_consent line join consent using (jti)
     where line.dataset_id = ${dataset_id} and line.version = ${dataset_version}
       and consent.state = 'revoked' and consent.ended_at >= ${lost_since}
    union all
    select null, work.content_id
      from dataset_item item join content_item work using (content_id)
     where item.dataset_id = ${dataset_id} and item.version = ${dataset_version} and work.withdrawn_at >= ${lost_since}`.execute(
    trx,
  );
  return {
    jtis: rows.flatMap(({ jti }) => jti ?? []),
    contentIds: rows.flatMap(({ content_id }) => content_id ?? []),
  };
}

/** What goes on without what was taken back, and what has learned from it already: in one statement, because a revocation waits for it. */
export async function readAffected(trx: Trx, { jtis, contentIds, fresh, datasetIds }: TakenBack): Promise<Affected> {
  if (jtis.length === 0 && contentIds.length === 0)
    return { licenses: [], licensesCount: 0, models: [], modelsCount: 0 };
  const { rows } = await affectedBy({ jtis, contentIds, fresh, datasetIds }).execute(trx);
  const licenses = rows.filter((row) => row.kind === "license");
  const models = rows.filter((row) => row.kind === "model");
  return {
    licenses,
    licensesCount: licenses[0]?.total ?? 0,
    models,
    modelsCount: models[0]?.total ?? 0,
  };
}

function affectedBy({ jtis, contentIds, fresh, datasetIds }: TakenBack) {
  return sql<AffectedRow>`
    with gone as (
      select line.dataset_id, line.version, consent.creator_id, consent.license, 'consent:' || consent.jti as ground,
             consent.jti = any(${[...fresh.jtis]}::text[]) as is_fresh
        from dataset_consent line
        join consent on consent.jti = line.jti
       where line.jti = any(${[...jtis]}::text[])
      union
      select item.dataset_id, item.version, item.creator_id, consent.license, 'work:' || item.content_id,
             item.content_id = any(${[...fresh.contentIds]}::text[])
        from dataset_item item
        join consent on consent.jti = item.jti
       where item.content_id = any(${[...contentIds]}::text[])
    ), used as (
      select use.marketplace_id, use.model_fingerprint, use.dataset_id, use.dataset_version, use.license_id, use.model_id,
             coalesce(use.currency, version.manifest::json ->> 'currency') as currency, use.receipts, use.first_from,
             use.last_to
        from model_use use
        join dataset_version version on version.dataset_id = use.dataset_id and version.version = use.dataset_version
       where (use.dataset_id, use.dataset_version) in (select dataset_id, version from gone)
    ), counted as (
      select lost.creator_id, used.marketplace_id, used.model_fingerprint, used.dataset_id, used.license_id,
             max(used.model_id) as model_id, max(used.currency) as currency, sum(used.receipts)::text as receipts,
             min(used.first_from) as first_from, max(used.last_to) as last_to
        from used
        join (select distinct dataset_id, version, creator_id from gone) lost
          on lost.dataset_id = used.dataset_id and lost.version = used.dataset_version
       group by lost.creator_id, used.marketplace_id, used.model_fingerprint, used.dataset_id, used.license_id
    ), grounded as (
      select creator_id, marketplace_id, model_fingerprint, dataset_id, license_id,
             bool_or(is_promised) as is_promised,
             coalesce((array_agg(ground order by ground) filter (where is_promised))[1:${sql.lit(MAX_GROUNDS)}], '{}') as grounds
        from (select distinct gone.creator_id, used.marketplace_id, used.model_fingerprint, used.dataset_id,
                     used.license_id, gone.ground,
                     gone.is_fresh and exists (select from terms where terms.license = gone.license
                       and 'remediation' = any(string_to_array(terms.promises, ' '))) as is_promised
                from used
                join gone on gone.dataset_id = used.dataset_id and gone.version = used.dataset_version) each_ground
       group by creator_id, marketplace_id, model_fingerprint, dataset_id, license_id
    ), trained as (
      select counted.*, grounded.is_promised, grounded.grounds,
             row_number() over (order by counted.last_to desc, counted.model_fingerprint, counted.license_id) as place,
             count(*) over () as total
        from counted
        join grounded using (creator_id, marketplace_id, model_fingerprint, dataset_id, license_id)
    ), running as (
      select license_id, dataset_id, marketplace_id, model_id, model_fingerprint,
             row_number() over (order by license_id) as place, count(*) over () as total
        from license
       where state = 'active' and dataset_id = any(${[...datasetIds]}::text[])
    )
    select 'license' as kind, total, place, license_id, dataset_id, marketplace_id, model_id, model_fingerprint,
           '' as creator_id, '' as currency, '0' as receipts, 0::bigint as first_from, 0::bigint as last_to,
           false as is_promised, '{}'::text[] as grounds
      from running where place <= ${MAX_NAMED}
    union all
    select 'model', total, place, license_id, dataset_id, marketplace_id, model_id, model_fingerprint, creator_id,
           currency, receipts, first_from, last_to, is_promised, grounds
      from trained where place <= ${MAX_NAMED} or is_promised
     order by kind, place`;
}
