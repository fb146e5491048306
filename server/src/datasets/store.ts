import type { Insertable, Selectable } from "kysely";
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
  trx: Trx,
  datasetId: string,
  changes: Partial<Pick<DatasetRow, "name" | "state" | "current_version" | "draft">>,
): Promise<void> {
  await trx.updateTable("dataset").set(changes).where("dataset_id", "=", datasetId).execute();
}

export async function findVersion(db: Db | Trx, datasetId: string, version: number): Promise<VersionRow | undefined> {
  return db
    .selectFrom("dataset_version")
    .selectAll()
    .where("dataset_id", "=", datasetId)
    .where("version", "=", version)
    .executeTakeFirst();
}

export async function readVersions(db: Db, datasets: readonly DatasetRow[]): Promise<readonly VersionRow[]> {
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

/** Rows that one statement inserts; eight parameters each stay far below the protocol's 65 535. */
const INSERT_BATCH = 1_000;

export async function insertVersion(
  trx: Trx,
  version: VersionRow,
  items: readonly ItemRow[],
  jtis: readonly string[],
): Promise<void> {
  await trx.insertInto("dataset_version").values(version).execute();
  const { dataset_id } = version;
  const consents = jtis.map((jti, position) => ({ dataset_id, version: version.version, position, jti }));
  for (let at = 0; at < items.length; at += INSERT_BATCH)
    await trx
      .insertInto("dataset_item")
      .values(items.slice(at, at + INSERT_BATCH))
      .execute();
  for (let at = 0; at < consents.length; at += INSERT_BATCH)
    await trx
      .insertInto("dataset_consent")
      .values(consents.slice(at, at + INSERT_BATCH))
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

/** The consent that each work of a dataset's current version stands on, by content id. */
export async function readCurrentJtis(trx: Trx, datasetId: string): Promise<ReadonlyMap<string, string>> {
  const rows = await trx
    .selectFrom("dataset_item")
    .innerJoin("dataset", (join) =>
      join
        .onRef("dataset.dataset_id", "=", "dataset_item.dataset_id")
        .onRef("dataset.current_version", "=", "dataset_item.version"),
    )
    .select(["dataset_item.content_id", "dataset_item.jti"])
    .where("dataset_item.dataset_id", "=", datasetId)
    .execute();
  return new Map(rows.map((row) => [row.content_id, row.jti]));
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
 * The datasets any version of which stands on these consents or holds these works: an older version
 * is still in use until there is compaction, so whoever has it must hear of it too.
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
          .select(["dataset_id", "jti as id"])
          .distinct()
          .where("jti", "=", anyOf(jtis))
          .execute();
  const byContent =
    contentIds.length === 0
      ? []
      : await trx
          .selectFrom("dataset_item")
          .select(["dataset_id", "content_id as id"])
          .distinct()
          .where("content_id", "=", anyOf(contentIds))
          .execute();
  return { byConsents: datasetsBy(byConsent), byWorks: datasetsBy(byContent) };
}

function datasetsBy(
  rows: readonly { readonly dataset_id: string; readonly id: string }[],
): (ids: readonly string[]) => readonly string[] {
  const datasets = Map.groupBy(rows, (row) => row.id);
  return (ids) => [...new Set(ids.flatMap((id) => (datasets.get(id) ?? []).map((row) => row.dataset_id)))].sort();
}

/** The consents of one creator that any version of a dataset stands on. */
export async function readJtisOfCreator(
  db: Db | Trx,
  datasetId: string,
  creatorId: string,
): Promise<readonly string[]> {
  const rows = await db
    .selectFrom("dataset_item")
    .select("jti")
    .distinct()
    .where("dataset_id", "=", datasetId)
    .where("creator_id", "=", creatorId)
    .orderBy("jti")
    .execute();
  return rows.map((row) => row.jti);
}

/** The datasets any version of which holds a work of this creator. */
export async function readDatasetIdsOfCreator(db: Db, creatorId: string): Promise<readonly string[]> {
  const rows = await db
    .selectFrom("dataset_item")
    .select("dataset_id")
    .distinct()
    .where("creator_id", "=", creatorId)
    .execute();
  return rows.map((row) => row.dataset_id);
}
