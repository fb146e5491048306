import { type JsonObject, MAX_NAMED_WITHDRAWN, cacheTags } from "@licet/protocol";
import { readOwnJson } from "../db/own-json.ts";
import { documentPaths } from "../documents/document-paths.ts";
import type { Fact } from "../events/write-fact.ts";
import { type Standing, readStandings } from "./standing.ts";
import { type DatasetRow, type VersionRow, lockDatasets, readVersions, saveStates } from "./store.ts";

/** States of which nothing is left that a next version could hold. */
const OVER: readonly DatasetRow["state"][] = ["revoked", "expired"];

/**
 * After consents, works or datasets changed: locks the datasets, writes their states, and has their
 * status and current manifest rendered in this fact. Items are never rebuilt. Whoever changes what
 * stands in a dataset holds its row, so what is read here is still so at the commit. Answers the
 * states.
 */
export async function refreshDatasets(
  fact: Fact,
  datasetIds: readonly string[],
): Promise<ReadonlyMap<string, DatasetRow["state"]>> {
  const datasets = (await lockDatasets(fact.trx, [...new Set(datasetIds)].sort())).filter(
    (row) => row.current_version > 0,
  );
  if (datasets.length === 0) return new Map();
  const versions = new Map((await readVersions(fact.trx, datasets)).map((row) => [row.dataset_id, row]));
  const standings = await readStandings(fact.trx, datasets, versions);
  const states = new Map<string, DatasetRow["state"]>();
  const changes: Pick<DatasetRow, "dataset_id" | "state" | "compact_at">[] = [];
  for (const dataset of datasets) {
    const { dataset_id } = dataset;
    const [row, standing] = [versions.get(dataset_id), standings.get(dataset_id)];
    if (row === undefined || standing === undefined)
      throw new TypeError(`dataset ${dataset_id}: expected version ${dataset.current_version}`);
    const compact_at = compactionTime(fact, dataset, standing);
    states.set(dataset_id, standing.state);
    if (standing.state !== dataset.state || compact_at !== dataset.compact_at)
      changes.push({ dataset_id, state: standing.state, compact_at });
    publishCurrent(fact, { dataset, row, standing });
  }
  await saveStates(fact.trx, changes);
  await fact.ctx.followDatasets(fact, [...states.keys()]);
  return states;
}

/** When the version without what is gone is due: counted from the first loss, so that more of them do not put it off. */
function compactionTime({ ctx, now }: Fact, dataset: DatasetRow, standing: Standing): number | null {
  const { compactionSeconds } = ctx.config;
  if (standing.goneItems === 0 || compactionSeconds === undefined || OVER.includes(standing.state)) return null;
  return dataset.compact_at ?? now + compactionSeconds;
}

interface Current {
  readonly dataset: DatasetRow;
  readonly row: VersionRow;
  readonly standing: Standing;
}

function publishCurrent(fact: Fact, current: Current): void {
  const { dataset_id } = current.dataset;
  const tags = [cacheTags.all, cacheTags.dataset(dataset_id)];
  fact.publish(documentPaths.datasetStatus(dataset_id), async () => ({
    kind: "dataset-status",
    content: statusContent(current),
    tags,
  }));
  fact.publish(documentPaths.currentManifest(dataset_id), async () => ({
    kind: "current-manifest",
    content: currentManifestContent(current),
    tags,
  }));
}

function statusContent({ dataset, row, standing }: Current): JsonObject {
  return {
    dataset_id: row.dataset_id,
    status: standing.state,
    current_version: row.version,
    min_valid_version: dataset.min_valid_version,
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
export function manifestOf(row: VersionRow): JsonObject {
  return readOwnJson(row.manifest, `dataset ${row.dataset_id}, version ${row.version}`);
}
