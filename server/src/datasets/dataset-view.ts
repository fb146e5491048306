import { formatInstant } from "@licet/protocol";
import type { Context } from "../context.ts";
import { documentPaths } from "../documents/document-paths.ts";
import type { DatasetView } from "./dataset-input.ts";
import type { DatasetRow, VersionRow } from "./store.ts";

/** A dataset as the API shows it, with its current version when it has one. */
export function datasetView(ctx: Context, dataset: DatasetRow, version: VersionRow | undefined): DatasetView {
  const { dataset_id, name, state, draft, suspended_at, ended_at } = dataset;
  const hasDraft = draft !== null;
  if (version === undefined)
    return { dataset_id, name, status: "draft", state: "draft", version: 0, has_draft: hasDraft };
  return {
    dataset_id,
    name,
    status: "published",
    state,
    version: version.version,
    min_valid_version: dataset.min_valid_version,
    has_draft: hasDraft,
    published_at: formatInstant(version.published_at),
    ...(suspended_at === null ? {} : { suspended_at: formatInstant(suspended_at) }),
    ...(ended_at === null ? {} : { ended_at: formatInstant(ended_at) }),
    ...(dataset.compact_at === null ? {} : { compaction_due_at: formatInstant(dataset.compact_at) }),
    items_count: version.items_count,
    consents_count: version.consents_count,
    items_root: version.items_root,
    manifest_sha256: version.manifest_sha256,
    manifest_url: ctx.origin + documentPaths.currentManifest(dataset_id),
  };
}
