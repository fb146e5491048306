import { type WebhookEvent, parseInstant } from "@licet/protocol";
import type { Context } from "../context.ts";
import type { Db, Trx } from "../db/open-database.ts";
import { type OfferRow, readOffers } from "./offer-store.ts";
import { MIN_VALID_VERSION } from "./render-dataset.ts";
import { type Standing, readStanding } from "./standing.ts";
import { type DatasetRow, findDataset, findVersion, readDatasetsById } from "./store.ts";

/** What other slices may ask of datasets. */
export { findOffer as findOfferOf } from "./offer-store.ts";
export {
  type VersionRow,
  findDataset,
  findVersion,
  readDatasetIdsOfCreator,
  readJtisOfCreator,
  readTouched,
} from "./store.ts";

export async function readOffersOf(ctx: Pick<Context, "db">, datasetId: string): Promise<readonly OfferRow[]> {
  return readOffers(ctx.db, datasetId);
}

/** A dataset's present state as webhooks carry it. */
export async function readDatasetState(db: Db | Trx, datasetId: string): Promise<WebhookEvent["dataset"]> {
  const dataset = await findDataset(db, datasetId);
  const version = await findVersion(db, datasetId, dataset?.current_version ?? 0);
  if (version === undefined) throw new TypeError(`dataset ${datasetId}: expected a published version`);
  const standing = await readStanding(db, datasetId, version.version);
  return {
    status: standing.state,
    current_version: version.version,
    min_valid_version: MIN_VALID_VERSION,
    manifest_sha256: version.manifest_sha256,
  };
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

/** How a version stands, and when it last lost something (seconds since the epoch). */
export interface VersionStanding {
  readonly state: DatasetRow["state"];
  readonly lastLostAt: number | undefined;
}

/** How versions stand. A dataset's own state is that of its current version. */
export async function readVersionStandings(
  db: Db,
  versions: readonly VersionName[],
): Promise<(version: VersionName) => VersionStanding | undefined> {
  const datasets = new Map(
    (
      await readDatasetsById(
        db,
        versions.map((version) => version.dataset_id),
      )
    ).map((row) => [row.dataset_id, row]),
  );
  const standings = new Map<string, VersionStanding>();
  for (const [name, { dataset_id, dataset_version }] of new Map(
    versions.map((version) => [nameOf(version), version]),
  )) {
    const dataset = datasets.get(dataset_id);
    const isWhole = dataset?.current_version === dataset_version && dataset.state === "active";
    standings.set(
      name,
      isWhole
        ? { state: "active", lastLostAt: undefined }
        : standingOf(await readStanding(db, dataset_id, dataset_version)),
    );
  }
  return (version) => standings.get(nameOf(version));
}

function standingOf({ state, withdrawn }: Standing): VersionStanding {
  return { state, lastLostAt: withdrawn[0] === undefined ? undefined : parseInstant(withdrawn[0].at) };
}

function nameOf({ dataset_id, dataset_version }: VersionName): string {
  return `${dataset_id}/${dataset_version}`;
}
