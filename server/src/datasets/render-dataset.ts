import { type JsonObject, MAX_NAMED_WITHDRAWN, parseJsonObject } from "@licet/protocol";
import { documentPaths, documentTags } from "../documents/document-paths.ts";
import type { Trx } from "../db/open-database.ts";
import type { Fact } from "../events/write-fact.ts";
import { lockDatasets, findVersion, type DatasetRow, type VersionRow, updateDataset } from "./store.ts";
import { type Standing, readStanding } from "./standing.ts";

/** Until there is compaction, every version but for what is withdrawn stays valid. */
export const MIN_VALID_VERSION = 1;

/**
 * After consents or works changed: locks the datasets, writes their states, and has their status
 * and current manifest rendered in this fact. Items are never rebuilt.
 */
export async function refreshDatasets(fact: Fact, datasetIds: readonly string[]): Promise<void> {
  for (const dataset of await lockDatasets(fact.trx, [...new Set(datasetIds)].sort())) {
    const standing = await readStanding(fact.trx, dataset.dataset_id, dataset.current_version);
    if (standing.state !== dataset.state) await updateDataset(fact.trx, dataset.dataset_id, { state: standing.state });
    publishCurrent(fact, dataset, dataset.current_version);
  }
}

/** Has the status and the current manifest of a dataset rendered. Both read what stands once, after their rows are locked. */
export function publishCurrent(fact: Fact, dataset: Pick<DatasetRow, "dataset_id">, version: number): void {
  const { dataset_id } = dataset;
  let reading: Promise<{ readonly row: VersionRow; readonly standing: Standing }> | undefined;
  const read = (trx: Trx) => (reading ??= readCurrent(trx, dataset_id, version));
  const tags = [documentTags.all, documentTags.dataset(dataset_id)];
  fact.publish(documentPaths.datasetStatus(dataset_id), async (trx) => ({
    kind: "dataset-status",
    content: statusContent(await read(trx)),
    tags,
  }));
  fact.publish(documentPaths.currentManifest(dataset_id), async (trx) => ({
    kind: "current-manifest",
    content: currentManifestContent(await read(trx)),
    tags,
  }));
}

async function readCurrent(
  trx: Trx,
  datasetId: string,
  version: number,
): Promise<{ readonly row: VersionRow; readonly standing: Standing }> {
  const row = await findVersion(trx, datasetId, version);
  if (row === undefined) throw new TypeError(`dataset ${datasetId}: expected version ${version}`);
  return { row, standing: await readStanding(trx, datasetId, version) };
}

interface Current {
  readonly row: VersionRow;
  readonly standing: Standing;
}

function statusContent({ row, standing }: Current): JsonObject {
  return {
    dataset_id: row.dataset_id,
    status: standing.state,
    current_version: row.version,
    min_valid_version: MIN_VALID_VERSION,
    manifest_sha256: row.manifest_sha256,
    revoked_jtis: standing.revokedJtis,
    revoked_complete: standing.revokedCount <= MAX_NAMED_WITHDRAWN,
    revoked_count: standing.revokedCount,
    withdrawn_items_count: standing.withdrawnItems,
  };
}

/** Repeats the immutable manifest; `status` is the state here, so the status index moves to `status_reference`. */
function currentManifestContent({ row, standing }: Current): JsonObject {
  const { type: _type, iss: _iss, signatures: _signatures, status, ...manifest } = manifestOf(row);
  return {
    ...manifest,
    status: standing.state,
    status_reference: status ?? null,
    withdrawn: standing.withdrawn,
    withdrawn_complete: standing.withdrawnCount <= MAX_NAMED_WITHDRAWN,
    withdrawn_count: standing.withdrawnCount,
    manifest_sha256: row.manifest_sha256,
  };
}

/** The immutable manifest of a version, as it was signed. */
function manifestOf(row: VersionRow): JsonObject {
  const parsed = parseJsonObject(row.manifest);
  if (!parsed.ok)
    throw new TypeError(`dataset ${row.dataset_id}: expected the manifest of version ${row.version} to be JSON`);
  return parsed.value;
}
