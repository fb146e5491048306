import { type Insertable, type Selectable, sql } from "kysely";
import type { Db, Trx } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";
import type { Page } from "../http/parameters.ts";
import { anyOf } from "../db/any-of.ts";

export type DatasetRow = Selectable<Tables["dataset"]>;
export type VersionRow = Selectable<Tables["dataset_version"]>;
export type ItemRow = Selectable<Tables["dataset_item"]>;

export async function findDataset(db: Db | Trx, datasetId: string): Promise<DatasetRow | undefined> {
  return db.selectFrom("dataset").selectAll().where("dataset_id", "=", datasetId).executeTakeFirst();
}

export async function readDatasetsById(db: Db | Trx, datasetIds: readonly string[]): Promise<readonly DatasetRow[]> {
  if (datasetIds.length === 0) return [];
  return db
    .selectFrom("dataset")
    .selectAll()
    .where("dataset_id", "=", anyOf([...new Set(datasetIds)]))
    .orderBy("dataset_id")
    .execute();
}

/** Datasets in the order of their ids, locked for the facts that change what stands in them. */
export async function lockDatasets(trx: Trx, datasetIds: readonly string[]): Promise<readonly DatasetRow[]> {
  if (datasetIds.length === 0) return [];
  return trx
    .selectFrom("dataset")
    .selectAll()
    .where("dataset_id", "=", anyOf(datasetIds))
    .orderBy("dataset_id")
    .forUpdate()
    .execute();
}

/** Answers false when the id is taken, in this or another case. */
export async function insertDataset(trx: Trx, row: Insertable<Tables["dataset"]>): Promise<boolean> {
  const inserted = await trx
    .insertInto("dataset")
    .values(row)
    .onConflict((conflict) => conflict.doNothing())
    .returning("dataset_id")
    .execute();
  return inserted.length > 0;
}

export async function updateDataset(
  trx: Db | Trx,
  datasetId: string,
  changes: Partial<Omit<DatasetRow, "dataset_id" | "created_at" | "status_list" | "status_idx">>,
): Promise<void> {
  await trx.updateTable("dataset").set(changes).where("dataset_id", "=", datasetId).execute();
}

/** Writes the states that were derived of several datasets. */
export async function saveStates(
  trx: Trx,
  changes: readonly Pick<DatasetRow, "dataset_id" | "state" | "compact_at">[],
): Promise<void> {
  if (changes.length === 0) return;
  await sql`
    update dataset set state = changed.state, compact_at = changed.compact_at
      from unnest(${changes.map((row) => row.dataset_id)}::text[], ${changes.map((row) => row.state)}::text[],
                  ${changes.map((row) => row.compact_at)}::bigint[]) as changed (dataset_id, state, compact_at)
     where dataset.dataset_id = changed.dataset_id`.execute(trx);
}

/** The row of a dataset that was never published, gone for good; false when it is published, or has a draft. */
export async function deleteUnpublished(trx: Trx, datasetId: string): Promise<boolean> {
  const deleted = await trx
    .deleteFrom("dataset")
    .where("dataset_id", "=", datasetId)
    .where("current_version", "=", 0)
    .where("draft", "is", null)
    .returning("dataset_id")
    .execute();
  return deleted.length > 0;
}

/** Datasets whose compaction is due, the longest due first. */
export async function readDueCompactions(db: Db, now: number, limit: number): Promise<readonly string[]> {
  const rows = await db
    .selectFrom("dataset")
    .select("dataset_id")
    .where("compact_at", "<=", now)
    .where("suspended_at", "is", null)
    .where("ended_at", "is", null)
    .orderBy("compact_at")
    .limit(limit)
    .execute();
  return rows.map((row) => row.dataset_id);
}

export async function findVersion(db: Db | Trx, datasetId: string, version: number): Promise<VersionRow | undefined> {
  return db
    .selectFrom("dataset_version")
    .selectAll()
    .where("dataset_id", "=", datasetId)
    .where("version", "=", version)
    .executeTakeFirst();
}

export async function readVersions(db: Db | Trx, datasets: readonly DatasetRow[]): Promise<readonly VersionRow[]> {
  if (datasets.length === 0) return [];
  return db
    .selectFrom("dataset_version")
    .innerJoin("dataset", (join) =>
      join
        .onRef("dataset.dataset_id", "=", "dataset_version.dataset_id")
        .onRef("dataset.current_version", "=", "dataset_version.version"),
    )
    .selectAll("dataset_version")
    .where("dataset_version.dataset_id", "=", anyOf(datasets.map((row) => row.dataset_id)))
    .execute();
}

/** Versions by their names, whichever they are. */
export async function readVersionsByName(
  db: Db | Trx,
  names: readonly { readonly dataset_id: string; readonly version: number }[],
): Promise<readonly VersionRow[]> {
  if (names.length === 0) return [];
  const { rows } = await sql<VersionRow>`
    select dataset_version.*
      from dataset_version
      join (select distinct * from unnest(${names.map((name) => name.dataset_id)}::text[], ${names.map((name) => name.version)}::int[])
              as named (dataset_id, version)) named using (dataset_id, version)`.execute(db);
  return rows;
}

/** This version of a dataset and those after it, in their order. */
export async function readVersionsFrom(
  db: Db | Trx,
  { dataset_id, version }: Pick<VersionRow, "dataset_id" | "version">,
): Promise<readonly VersionRow[]> {
  return db
    .selectFrom("dataset_version")
    .selectAll()
    .where("dataset_id", "=", dataset_id)
    .where("version", ">=", version)
    .orderBy("version")
    .execute();
}

/** The consents a version stands on. */
export async function readVersionJtis(
  db: Db | Trx,
  { dataset_id, version }: Pick<VersionRow, "dataset_id" | "version">,
): Promise<readonly string[]> {
  const rows = await db
    .selectFrom("dataset_consent")
    .select("jti")
    .where("dataset_id", "=", dataset_id)
    .where("version", "=", version)
    .orderBy("jti")
    .execute();
  return rows.map((row) => row.jti);
}

export interface DatasetFilter extends Page {
  /** Only datasets that were offered to this marketplace. */
  readonly offeredTo: string | undefined;
}

export async function readDatasets(db: Db, { offeredTo, after, limit }: DatasetFilter): Promise<readonly DatasetRow[]> {
  return db
    .selectFrom("dataset")
    .selectAll()
    .$if(offeredTo !== undefined, (query) =>
      query.where("dataset_id", "in", (offers) =>
        offers
          .selectFrom("dataset_offer")
          .select("dataset_offer.dataset_id")
          .where("marketplace_id", "=", offeredTo ?? ""),
      ),
    )
    .$if(after !== undefined, (query) => query.where("dataset_id", ">", after ?? ""))
    .orderBy("dataset_id")
    .limit(limit + 1)
    .execute();
}

/** The datasets that consents or works reach: each id once, in order. */
export interface Touched {
  readonly byConsents: (jtis: readonly string[]) => readonly string[];
  readonly byWorks: (contentIds: readonly string[]) => readonly string[];
}

/**
 * The datasets a version of which, if it is still valid, stands on these consents or holds these
 * works: an older version is in use until there is compaction, so whoever has it must hear of it.
 */
export async function readTouched(
  trx: Trx,
  { jtis, contentIds }: { readonly jtis: readonly string[]; readonly contentIds: readonly string[] },
): Promise<Touched> {
  const byConsent =
    jtis.length === 0
      ? []
      : await trx
          .selectFrom("dataset_consent")
          .innerJoin("dataset", "dataset.dataset_id", "dataset_consent.dataset_id")
          .select(["dataset.dataset_id", "jti as id"])
          .distinct()
          .where("jti", "=", anyOf(jtis))
          .where(isValidVersion("dataset_consent"))
          .execute();
  const byContent =
    contentIds.length === 0
      ? []
      : await trx
          .selectFrom("dataset_item")
          .innerJoin("dataset", "dataset.dataset_id", "dataset_item.dataset_id")
          .select(["dataset.dataset_id", "content_id as id"])
          .distinct()
          .where("content_id", "=", anyOf(contentIds))
          .where(isValidVersion("dataset_item"))
          .execute();
  return { byConsents: datasetsBy(byConsent), byWorks: datasetsBy(byContent) };
}

/** Lines of a version that is not published yet are there already, and count for nothing. */
function isValidVersion(lines: "dataset_consent" | "dataset_item") {
  return sql<boolean>`${sql.table(lines)}.version between dataset.min_valid_version and dataset.current_version`;
}

function datasetsBy(
  rows: readonly { readonly dataset_id: string; readonly id: string }[],
): (ids: readonly string[]) => readonly string[] {
  const datasets = Map.groupBy(rows, (row) => row.id);
  return (ids) => [...new Set(ids.flatMap((id) => (datasets.get(id) ?? []).map((row) => row.dataset_id)))].sort();
}

/** The works that stand on a consent in valid versions, at most so many. */
export async function readWorksOfConsent(
  db: Db | Trx,
  { jti, creatorId }: { readonly jti: string; readonly creatorId: string },
  limit: number,
): Promise<readonly string[]> {
  const rows = await db
    .selectFrom("dataset_item")
    .innerJoin("dataset", "dataset.dataset_id", "dataset_item.dataset_id")
    .select("content_id")
    .distinct()
    .where("creator_id", "=", creatorId)
    .where("jti", "=", jti)
    .where(isValidVersion("dataset_item"))
    .orderBy("content_id")
    .limit(limit)
    .execute();
  return rows.map((row) => row.content_id);
}

/** The consents of one creator that any version of a dataset stands on. */
export async function readJtisOfCreator(
  db: Db | Trx,
  datasetId: string,
  creatorId: string,
): Promise<readonly string[]> {
  const rows = await db
    .selectFrom("dataset_item")
    .innerJoin("dataset", "dataset.dataset_id", "dataset_item.dataset_id")
    .select("jti")
    .distinct()
    .where("dataset_item.dataset_id", "=", datasetId)
    .where("creator_id", "=", creatorId)
    .whereRef("version", "<=", "current_version")
    .orderBy("jti")
    .execute();
  return rows.map((row) => row.jti);
}

/** The datasets any version of which holds a work of this creator. */
export async function readDatasetIdsOfCreator(db: Db, creatorId: string): Promise<readonly string[]> {
  const rows = await db
    .selectFrom("dataset_item")
    .innerJoin("dataset", "dataset.dataset_id", "dataset_item.dataset_id")
    .select("dataset.dataset_id")
    .distinct()
    .where("creator_id", "=", creatorId)
    .whereRef("version", "<=", "current_version")
    .execute();
  return rows.map((row) => row.dataset_id);
}

/** Every published version that holds, or held, a work of a creator's. */
export async function readVersionsOfCreator(
  db: Db,
  creatorId: string,
): Promise<readonly Pick<VersionRow, "dataset_id" | "version">[]> {
  return db
    .selectFrom("dataset_item")
    .innerJoin("dataset", "dataset.dataset_id", "dataset_item.dataset_id")
    .select(["dataset.dataset_id", "dataset_item.version"])
    .distinct()
    .where("creator_id", "=", creatorId)
    .whereRef("version", "<=", "current_version")
    .execute();
}
