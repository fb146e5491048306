import { CLOCK_SKEW_SECONDS } from "@licet/protocol";
import { type Selectable, sql } from "kysely";
import type { Db, Trx } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";
import { anyOf } from "../db/any-of.ts";
import type { Page } from "../http/parameters.ts";

export type FindingRow = Selectable<Tables["model_finding"]>;
export type ListRow = Selectable<Tables["model_list"]>;

export interface FindingFilter extends Page {
  readonly marketplaceId: string | undefined;
  readonly kind: FindingRow["kind"] | undefined;
  readonly isResolved: boolean | undefined;
}

/** Findings in the order of marketplace, fingerprint and kind; `after` is those three, between slashes. */
export async function readFindings(
  db: Db | Trx,
  { marketplaceId, kind, isResolved, after, limit }: FindingFilter,
): Promise<readonly FindingRow[]> {
  return db
    .selectFrom("model_finding")
    .selectAll()
    .$if(marketplaceId !== undefined, (query) => query.where("marketplace_id", "=", marketplaceId ?? ""))
    .$if(kind !== undefined, (query) => query.where("kind", "=", kind ?? "unlicensed"))
    .$if(isResolved !== undefined, (query) => query.where("resolved_at", isResolved === true ? "is not" : "is", null))
    .$if(after !== undefined, (query) => {
      const [marketplace = "", fingerprint = "", name = ""] = (after ?? "").split("/");
      return query.where(sql<boolean>`(marketplace_id, fingerprint, kind) > (${marketplace}, ${fingerprint}, ${name})`);
    })
    .orderBy("marketplace_id")
    .orderBy("fingerprint")
    .orderBy("kind")
    .limit(limit + 1)
    .execute();
}

/** How the lists of marketplaces were read. */
export async function readLists(db: Db, marketplaceIds: readonly string[]): Promise<readonly ListRow[]> {
  if (marketplaceIds.length === 0) return [];
  return db
    .selectFrom("model_list")
    .selectAll()
    .where("marketplace_id", "=", anyOf(marketplaceIds))
    .orderBy("marketplace_id")
    .execute();
}

/** Marketplaces whose list is to be read now, the ones that were never read first. */
export async function readDueLists(
  db: Db,
  now: number,
  limit: number,
): Promise<readonly { readonly marketplace_id: string; readonly base_url: string }[]> {
  return db
    .selectFrom("marketplace")
    .leftJoin("model_list", "model_list.marketplace_id", "marketplace.marketplace_id")
    .select(["marketplace.marketplace_id", "marketplace.base_url"])
    .where((eb) => eb.or([eb("next_at", "is", null), eb("next_at", "<=", now)]))
    .orderBy(sql`next_at nulls first`)
    .orderBy("marketplace.marketplace_id")
    .limit(limit)
    .execute();
}

/** Claims the reading of a list until `until`; false when another server has. */
export async function claimList(
  db: Db,
  marketplaceId: string,
  { now, until }: { readonly now: number; readonly until: number },
): Promise<boolean> {
  const { rows } = await sql<{ marketplace_id: string }>`
    insert into model_list (marketplace_id, next_at) values (${marketplaceId}, ${until})
    on conflict (marketplace_id) do update set next_at = excluded.next_at where model_list.next_at <= ${now}
    returning marketplace_id`.execute(db);
  return rows.length > 0;
}

export async function saveListState(
  db: Db | Trx,
  marketplaceId: string,
  changes: Partial<Omit<ListRow, "marketplace_id">>,
): Promise<void> {
  await db.updateTable("model_list").set(changes).where("marketplace_id", "=", marketplaceId).execute();
}

export interface ListedModel {
  readonly fingerprint: string;
  readonly model_id: string;
  readonly base_fingerprint: string | null;
  readonly published_at: number;
}

/** Writes what a list says now; what it no longer says keeps when it was last seen. */
export async function saveListed(
  trx: Trx,
  marketplaceId: string,
  { models, now }: { readonly models: readonly ListedModel[]; readonly now: number },
): Promise<void> {
  if (models.length === 0) return;
  await sql`
    insert into listed_model (marketplace_id, fingerprint, model_id, base_fingerprint, published_at, first_seen_at, last_seen_at)
    select ${marketplaceId}, fingerprint, model_id, base_fingerprint, published_at, ${now}, ${now}
      from unnest(${models.map((model) => model.fingerprint)}::text[], ${models.map((model) => model.model_id)}::text[],
                  ${models.map((model) => model.base_fingerprint)}::text[],
                  ${models.map((model) => model.published_at)}::bigint[])
             as listed (fingerprint, model_id, base_fingerprint, published_at)
    on conflict (marketplace_id, fingerprint) do update
      set model_id = excluded.model_id, base_fingerprint = excluded.base_fingerprint,
          published_at = excluded.published_at, last_seen_at = excluded.last_seen_at`.execute(trx);
}

/**
 * What is wrong now, by the list that was just read: listed, and without a license in force at the
 * publication by whose scope a model may be made; or licensed before the list was made and never listed.
 */
export async function compareLists(
  trx: Trx,
  marketplaceId: string,
  { checkedAt, models }: { readonly checkedAt: number; readonly models: readonly ListedModel[] },
): Promise<readonly Pick<FindingRow, "fingerprint" | "kind" | "model_id">[]> {
  const { rows } = await sql<Pick<FindingRow, "fingerprint" | "kind" | "model_id">>`
    select 'unlicensed' as kind, listed.fingerprint, listed.model_id
      from listed_model listed
     where listed.marketplace_id = ${marketplaceId}
       and listed.fingerprint = any(${models.map((model) => model.fingerprint)}::text[])
       and not exists (select from license where license.model_fingerprint = listed.fingerprint
                          and license.marketplace_id = listed.marketplace_id
                          and license.scope ~ '(^| )(training|fine_tuning)(_| |$)'
                          and license.issued_at <= listed.published_at + ${CLOCK_SKEW_SECONDS}::bigint
                          and listed.published_at <= coalesce(license.ended_at, license.expires_at))
    union all
    select 'unlisted', license.model_fingerprint, max(license.model_id)
      from license
     where license.marketplace_id = ${marketplaceId} and license.issued_at < ${checkedAt}
       and exists (select from model_use where model_use.model_fingerprint = license.model_fingerprint
                      and model_use.marketplace_id = license.marketplace_id)
       and not exists (select from listed_model listed where listed.fingerprint = license.model_fingerprint
                          and listed.marketplace_id = license.marketplace_id)
     group by license.model_fingerprint`.execute(trx);
  return rows;
}

/** Keeps what is wrong now, resolves what no longer is, and answers what is new. */
export async function saveFindings(
  trx: Trx,
  marketplaceId: string,
  {
    found,
    now,
  }: { readonly found: readonly Pick<FindingRow, "fingerprint" | "kind" | "model_id">[]; readonly now: number },
): Promise<readonly FindingRow[]> {
  const columns = sql`unnest(${found.map((row) => row.fingerprint)}::text[], ${found.map((row) => row.kind)}::text[],
                  ${found.map((row) => row.model_id)}::text[]) as found (fingerprint, kind, model_id)`;
  await sql`
    update model_finding set resolved_at = ${now}
     where marketplace_id = ${marketplaceId} and resolved_at is null
       and (fingerprint, kind) not in (select fingerprint, kind from ${columns})`.execute(trx);
  const { rows } = await sql<FindingRow>`
    insert into model_finding (marketplace_id, fingerprint, kind, model_id, found_at)
    select ${marketplaceId}, fingerprint, kind, model_id, ${now} from ${columns}
    on conflict (marketplace_id, fingerprint, kind) do update
      set found_at = excluded.found_at, model_id = excluded.model_id, resolved_at = null
      where model_finding.resolved_at is not null
    returning *`.execute(trx);
  return rows;
}
