import type { WebhookEvent } from "@licet/protocol";
import type { Db, Trx } from "../db/open-database.ts";
import { type VersionStanding, readVersionsStanding } from "./standing.ts";
import { readLosses } from "./standing-store.ts";
import {
  type DatasetRow,
  type VersionRow,
  findDataset,
  findVersion,
  readDatasetsById,
  readVersionsByName,
} from "./store.ts";

/** What other slices may ask of datasets. */
export {
  type GrantGroup,
  type OfferedWork,
  findOfferedWork,
  readFallenWorks,
  readGrantGroups,
  readOfferedWorks,
  readVersionOrigins,
} from "./grant-store.ts";
export type { VersionStanding } from "./standing.ts";
export { readOfferedTo } from "./offer-store.ts";
export { isSameOffer, offerOf } from "./version-offer.ts";
export { addUpCreatorWeights, readCreatorWeights } from "./version-store.ts";
export {
  type DatasetRow,
  type VersionRow,
  findDataset,
  findVersion,
  lockDatasets,
  readDatasetIdsOfCreator,
  readJtisOfCreator,
  readTouched,
  readWorksOfConsent,
  readVersionsOfCreator,
  readVersionsByName,
} from "./store.ts";
export { termsOfVersion } from "./version-terms.ts";

/** A dataset's present state as webhooks carry it. */
export async function readDatasetState(db: Db | Trx, datasetId: string): Promise<WebhookEvent["dataset"]> {
  const dataset = await findDataset(db, datasetId);
  const version = await findVersion(db, datasetId, dataset?.current_version ?? 0);
  if (dataset === undefined || version === undefined || dataset.state === "draft")
    throw new TypeError(`dataset ${datasetId}: expected a published version`);
  return {
    status: dataset.state,
    current_version: version.version,
    min_valid_version: dataset.min_valid_version,
    manifest_sha256: version.manifest_sha256,
  };
}

/** The same for many datasets; a draft has none. */
export async function readStatesForWebhooks(
  db: Db | Trx,
  datasetIds: readonly string[],
): Promise<ReadonlyMap<string, WebhookEvent["dataset"]>> {
  const datasets = await readDatasetsById(db, datasetIds);
  const current = datasets.map(({ dataset_id, current_version }) => ({ dataset_id, version: current_version }));
  const versions = new Map((await readVersionsByName(db, current)).map((row) => [row.dataset_id, row]));
  return new Map(
    datasets.flatMap(({ dataset_id, state, min_valid_version }): [string, WebhookEvent["dataset"]][] => {
      const version = versions.get(dataset_id);
      if (version === undefined || state === "draft") return [];
      const { manifest_sha256 } = version;
      return [[dataset_id, { status: state, current_version: version.version, min_valid_version, manifest_sha256 }]];
    }),
  );
}

/** The states of datasets by their ids. */
export async function readDatasetStates(
  db: Db | Trx,
  datasetIds: readonly string[],
): Promise<ReadonlyMap<string, DatasetRow["state"]>> {
  const rows = await readDatasetsById(db, datasetIds);
  return new Map(rows.map((row) => [row.dataset_id, row.state]));
}

export interface VersionName {
  readonly dataset_id: string;
  readonly dataset_version: number;
}

/**
 * How versions stand. What was said of the dataset itself holds for each of them, and a version that
 * is no longer valid is over.
 */
export async function readVersionStandings(
  db: Db,
  names: readonly VersionName[],
): Promise<(version: VersionName) => VersionStanding | undefined> {
  const datasetIds = names.map((name) => name.dataset_id);
  const datasets = new Map((await readDatasetsById(db, datasetIds)).map((row) => [row.dataset_id, row]));
  const versions = await readVersionsByName(
    db,
    names.map(({ dataset_id, dataset_version }) => ({ dataset_id, version: dataset_version })),
  );
  const standings = new Map<string, VersionStanding>();
  for (const [{ dataset_id, version }, standing] of await readVersionsStanding(db, versions)) {
    const dataset = datasets.get(dataset_id);
    const name = nameOf({ dataset_id, dataset_version: version });
    if (dataset !== undefined) standings.set(name, { ...standing, state: stateIn(dataset, version, standing) });
  }
  return (version) => standings.get(nameOf(version));
}

/** What a version lost for good, and since when nothing of it may be used (seconds since the epoch). */
export interface VersionLosses {
  /** Each instant once, in order. */
  readonly lostAt: readonly number[];
  /** Undefined while something of it stands. */
  readonly overSince: number | undefined;
}

const NO_LOSSES: VersionLosses = { lostAt: [], overSince: undefined };

/** When versions lost something for good. A dataset that was withdrawn is over as a whole. */
export async function readVersionLosses(
  db: Db | Trx,
  versions: readonly VersionRow[],
): Promise<(version: VersionName) => VersionLosses> {
  const rows = await readDatasetsById(
    db,
    versions.map((version) => version.dataset_id),
  );
  const datasets = new Map(rows.map((row) => [row.dataset_id, row]));
  const touched = versions.filter(({ dataset_id, version }) => {
    const dataset = datasets.get(dataset_id);
    return dataset === undefined || dataset.state !== "active" || dataset.current_version !== version;
  });
  const losses = Map.groupBy(await readLosses(db, touched), ({ dataset_id, version }) => `${dataset_id}/${version}`);
  const lossy = touched.filter(({ dataset_id, version }) => losses.has(`${dataset_id}/${version}`));
  const standings = await readVersionsStanding(db, lossy);
  const found = new Map<string, VersionLosses>();
  for (const version of touched) {
    const name = `${version.dataset_id}/${version.version}`;
    const lostAt = (losses.get(name) ?? []).map((loss) => loss.lost_at);
    const state = standings.get(version)?.state;
    const isGone = state === "revoked" || state === "expired";
    const ends = [datasets.get(version.dataset_id)?.ended_at ?? undefined, isGone ? lostAt.at(-1) : undefined];
    const known = ends.filter((end) => end !== undefined);
    found.set(name, { lostAt, overSince: known.length === 0 ? undefined : Math.min(...known) });
  }
  return (version) => found.get(nameOf(version)) ?? NO_LOSSES;
}

function stateIn(dataset: DatasetRow, version: number, { state }: VersionStanding): VersionStanding["state"] {
  if (dataset.ended_at !== null || version < dataset.min_valid_version) return "revoked";
  return dataset.suspended_at !== null && state !== "revoked" && state !== "expired" ? "suspended" : state;
}

function nameOf({ dataset_id, dataset_version }: VersionName): string {
  return `${dataset_id}/${dataset_version}`;
}
