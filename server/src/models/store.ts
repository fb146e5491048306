import { type Selectable, sql } from "kysely";
import { anyOf } from "../db/any-of.ts";
import type { Db } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";
import type { Page } from "../http/parameters.ts";

/** Whose share of what is known may be seen; everything when nobody is named. */
export interface Viewer {
  readonly marketplaceId?: string | undefined;
  /** Only what versions with works of this creator were used for. */
  readonly creatorId?: string | undefined;
}

export interface ModelFilter extends Viewer, Page {
  readonly datasetId: string | undefined;
  readonly jti: string | undefined;
  readonly contentId: string | undefined;
}

/** A model as licenses and receipts name it. */
export interface KnownModel {
  readonly fingerprint: string;
  readonly model_ids: readonly string[];
  readonly marketplace_ids: readonly string[];
  readonly dataset_ids: readonly string[];
  readonly receipts: string;
  readonly last_to: number | null;
}

/** Versions that a viewer may know of: `known` must have `dataset_id`, `dataset_version` and `marketplace_id`. */
function visible({ marketplaceId, creatorId }: Viewer) {
  return sql<boolean>`(${marketplaceId ?? null}::text is null or known.marketplace_id = ${marketplaceId ?? null})
    and (${creatorId ?? null}::text is null or exists (
      select from dataset_item item
       where item.creator_id = ${creatorId ?? null} and item.dataset_id = known.dataset_id
         and item.version = known.dataset_version))`;
}

/** Models by their fingerprints: licensed, or used. */
export async function readModels(
  db: Db,
  { datasetId, jti, contentId, after, limit, ...viewer }: ModelFilter,
): Promise<readonly KnownModel[]> {
  const { rows } = await sql<KnownModel>`
    select fingerprint, array_agg(distinct model_id order by model_id) as model_ids,
           array_agg(distinct marketplace_id order by marketplace_id) as marketplace_ids,
           array_agg(distinct dataset_id order by dataset_id) as dataset_ids,
           sum(receipts)::text as receipts, max(last_to) as last_to
      from (select model_fingerprint as fingerprint, marketplace_id, model_id, dataset_id, dataset_version, receipts, last_to
              from model_use
            union all
            select model_fingerprint, marketplace_id, model_id, dataset_id, dataset_version, 0, null
              from license) known
     where (${after ?? null}::text is null or fingerprint > ${after ?? null})
       and (${datasetId ?? null}::text is null or dataset_id = ${datasetId ?? null})
       and (${jti ?? null}::text is null or (dataset_id, dataset_version) in
             (select line.dataset_id, line.version from dataset_consent line where line.jti = ${jti ?? null}))
       and (${contentId ?? null}::text is null or (dataset_id, dataset_version) in
             (select item.dataset_id, item.version from dataset_item item where item.content_id = ${contentId ?? null}))
       and ${visible(viewer)}
     group by fingerprint
     order by fingerprint
     limit ${limit + 1}`.execute(db);
  return rows;
}

export type ModelUseRow = Selectable<Tables["model_use"]>;

/** Rows that one answer adds up: versions, licenses and units of one model. */
const MAX_USES = 10_000;

/** What receipts say of a model. */
export async function readUses(db: Db, fingerprint: string, viewer: Viewer): Promise<readonly ModelUseRow[]> {
  const { rows } = await sql<ModelUseRow>`
    select known.* from model_use known
     where known.model_fingerprint = ${fingerprint} and ${visible(viewer)}
     order by known.dataset_id, known.dataset_version, known.license_id, known.unit
     limit ${MAX_USES}`.execute(db);
  return rows;
}

/** What of the charges for a model's use was taken back, by currency: below zero. */
export interface Correction {
  readonly currency: string;
  readonly amountMicros: bigint;
}

export async function readCorrections(db: Db, fingerprint: string, viewer: Viewer): Promise<readonly Correction[]> {
  const { rows } = await sql<{ currency: string; amount: string }>`
    select known.currency, sum(known.amount)::text as amount
      from (select license.marketplace_id, license.dataset_id, entry.currency, entry.amount,
                   (charge.explanation::json ->> 'dataset_version')::int as dataset_version
              from ledger_transaction reversal
              join ledger_transaction charge on charge.transaction_id = reversal.reverses and charge.kind = 'usage_charge'
              join license on license.license_id = charge.explanation::json ->> 'license_id'
              join ledger_entry entry on entry.transaction_id = reversal.transaction_id
              join ledger_account account on account.account_id = entry.account_id and account.kind = 'marketplace'
             where reversal.reverses is not null and license.model_fingerprint = ${fingerprint}) known
     where ${visible(viewer)}
     group by known.currency`.execute(db);
  return rows.map(({ currency, amount }) => ({ currency, amountMicros: BigInt(amount) }));
}

/** A license as it stands behind a model. */
export type ModelLicense = Pick<
  Selectable<Tables["license"]>,
  | "license_id"
  | "dataset_id"
  | "dataset_version"
  | "marketplace_id"
  | "model_id"
  | "base_fingerprint"
  | "scope"
  | "state"
  | "issued_at"
  | "expires_at"
>;

export interface CountedRows<T> {
  readonly rows: readonly T[];
  readonly count: number;
}

/** The licenses for a model, the newest first. */
export async function readModelLicenses(
  db: Db,
  fingerprint: string,
  { limit, ...viewer }: Viewer & { readonly limit: number },
): Promise<CountedRows<ModelLicense>> {
  const { rows } = await sql<ModelLicense & { total: number }>`
    select license_id, dataset_id, dataset_version, marketplace_id, model_id, base_fingerprint, scope, state, issued_at,
           expires_at, count(*) over () as total
      from license known
     where known.model_fingerprint = ${fingerprint} and ${visible(viewer)}
     order by license_id desc
     limit ${limit}`.execute(db);
  return { rows, count: rows[0]?.total ?? 0 };
}

/** A consent behind a model, and what it is now. */
export interface ModelConsent {
  readonly jti: string;
  readonly creator_id: string;
  readonly state: "active" | "revoked" | "suspended" | "expired";
  readonly ended_at: number | null;
}

/** The versions that receipts of a model name, as far as a viewer may know of them. */
function versionsBehind(fingerprint: string, viewer: Viewer) {
  return sql`(select distinct known.dataset_id, known.dataset_version from model_use known
               where known.model_fingerprint = ${fingerprint} and ${visible(viewer)})`;
}

/** The consents that the versions behind a model stand on, by jti. */
export async function readModelConsents(
  db: Db,
  fingerprint: string,
  { after, limit, ...viewer }: Viewer & Page,
): Promise<readonly ModelConsent[]> {
  const { rows } = await sql<ModelConsent>`
    select distinct consent.jti, consent.creator_id, consent.state, consent.ended_at
      from ${versionsBehind(fingerprint, viewer)} behind
      join dataset_consent line on line.dataset_id = behind.dataset_id and line.version = behind.dataset_version
      join consent on consent.jti = line.jti
     where (${after ?? null}::text is null or consent.jti > ${after ?? null})
       and (${viewer.creatorId ?? null}::text is null or consent.creator_id = ${viewer.creatorId ?? null})
     order by consent.jti
     limit ${limit + 1}`.execute(db);
  return rows;
}

export interface ConsentCount {
  readonly state: ModelConsent["state"];
  readonly count: number;
}

/** How many consents there are behind a model, by what they are now. */
export async function countModelConsents(
  db: Db,
  fingerprint: string,
  viewer: Viewer,
): Promise<readonly ConsentCount[]> {
  const { rows } = await sql<ConsentCount>`
    select state, count(*) as count
      from (select distinct consent.jti, consent.state
              from ${versionsBehind(fingerprint, viewer)} behind
              join dataset_consent line on line.dataset_id = behind.dataset_id and line.version = behind.dataset_version
              join consent on consent.jti = line.jti
             where ${viewer.creatorId ?? null}::text is null or consent.creator_id = ${viewer.creatorId ?? null}) named
     group by state order by state`.execute(db);
  return rows;
}

/** The consents behind a model that do not stand, the ones that ended last first. */
export async function readEndedConsents(
  db: Db,
  fingerprint: string,
  { limit, ...viewer }: Viewer & { readonly limit: number },
): Promise<readonly ModelConsent[]> {
  const { rows } = await sql<ModelConsent>`
    select distinct consent.jti, consent.creator_id, consent.state, consent.ended_at
      from ${versionsBehind(fingerprint, viewer)} behind
      join dataset_consent line on line.dataset_id = behind.dataset_id and line.version = behind.dataset_version
      join consent on consent.jti = line.jti and consent.state <> 'active'
     where ${viewer.creatorId ?? null}::text is null or consent.creator_id = ${viewer.creatorId ?? null}
     order by consent.ended_at desc, consent.jti
     limit ${limit}`.execute(db);
  return rows;
}

/** One model that says it was made from another, in a license or in a list. */
export interface Derivation {
  readonly fingerprint: string;
  readonly base_fingerprint: string;
  readonly model_id: string;
  readonly marketplace_id: string;
}

/** Models that name one of these as their base. */
export async function readDerived(
  db: Db,
  fingerprints: readonly string[],
  { limit, marketplaceId }: { readonly limit: number; readonly marketplaceId?: string | undefined },
): Promise<readonly Derivation[]> {
  return readDerivations(db, { column: "base_fingerprint", fingerprints, limit, marketplaceId });
}

/** What these models say they were made from. */
export async function readBases(
  db: Db,
  fingerprints: readonly string[],
  { limit, marketplaceId }: { readonly limit: number; readonly marketplaceId?: string | undefined },
): Promise<readonly Derivation[]> {
  return readDerivations(db, { column: "fingerprint", fingerprints, limit, marketplaceId });
}

async function readDerivations(
  db: Db,
  asked: {
    readonly column: "base_fingerprint" | "fingerprint";
    readonly fingerprints: readonly string[];
    readonly limit: number;
    readonly marketplaceId: string | undefined;
  },
): Promise<readonly Derivation[]> {
  const { column, fingerprints, limit, marketplaceId } = asked;
  if (fingerprints.length === 0) return [];
  const { rows } = await sql<Derivation>`
    select distinct fingerprint, base_fingerprint, model_id, marketplace_id
      from (select model_fingerprint as fingerprint, base_fingerprint, model_id, marketplace_id from license
             where base_fingerprint is not null
            union all
            select fingerprint, base_fingerprint, model_id, marketplace_id from listed_model
             where base_fingerprint is not null) known
     where ${sql.ref(column)} = ${anyOf(fingerprints)}
       and (${marketplaceId ?? null}::text is null or marketplace_id = ${marketplaceId ?? null})
     order by fingerprint, base_fingerprint, marketplace_id
     limit ${limit}`.execute(db);
  return rows;
}

/** Who lists a model as theirs. */
export async function readListings(
  db: Db,
  fingerprint: string,
  marketplaceId: string | undefined,
): Promise<readonly Selectable<Tables["listed_model"]>[]> {
  return db
    .selectFrom("listed_model")
    .selectAll()
    .where("fingerprint", "=", fingerprint)
    .$if(marketplaceId !== undefined, (query) => query.where("marketplace_id", "=", marketplaceId ?? ""))
    .orderBy("marketplace_id")
    .limit(MAX_LISTINGS)
    .execute();
}

/** One fingerprint in the lists of so many marketplaces is a sorry state that needs more than a list. */
const MAX_LISTINGS = 100;

/** True when a license, a receipt or a list names this fingerprint, be it as a base. */
export async function isKnownModel(db: Db, fingerprint: string): Promise<boolean> {
  const { rows } = await sql<{ known: boolean }>`
    select exists (select from model_use where model_fingerprint = ${fingerprint})
        or exists (select from license where model_fingerprint = ${fingerprint} or base_fingerprint = ${fingerprint})
        or exists (select from listed_model where fingerprint = ${fingerprint} or base_fingerprint = ${fingerprint}) as known`.execute(
    db,
  );
  return rows[0]?.known ?? false;
}
