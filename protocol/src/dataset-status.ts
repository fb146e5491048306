import { CLOCKS } from "./freshness.ts";
import type { JsonObject } from "./json.ts";
import { MAX_NAMED_WITHDRAWN, datasetStateShape, jtiShape } from "./manifest.ts";
import type { Result } from "./refusal.ts";
import { count, exactly, flag, identifier, listOf, objectOf, origin, readShape, sha256 } from "./shape.ts";

const DATASET_STATUS = objectOf({
  type: exactly("dataset-status"),
  iss: origin,
  dataset_id: identifier,
  status: datasetStateShape,
  seq: count,
  current_version: count,
  min_valid_version: count,
  manifest_sha256: sha256,
  revoked_jtis: listOf(jtiShape, { max: MAX_NAMED_WITHDRAWN }),
  revoked_complete: flag,
  revoked_count: count,
  withdrawn_items_count: count,
  ...CLOCKS,
});

/**
 * `/.well-known/dataset-status/{id}`: the light question of a marketplace or an edge. *Partially
 * revoked*: running training stops, training on withdrawn items is refused, and the rest may go on
 * after a new verification.
 */
export type DatasetStatus = ReturnType<typeof DATASET_STATUS>;

export function readDatasetStatus(document: JsonObject): Result<DatasetStatus> {
  return readShape(DATASET_STATUS, document, "dataset-status", "document_invalid");
}

/**
 * What a dataset's works say together. Expiry counts as `expired` only when it alone ended
 * everything; where something is suspended and nothing stands, some of it may stand again.
 */
export function datasetStateOf(items: {
  readonly total: number;
  readonly revoked: number;
  readonly suspended: number;
  readonly expired: number;
}): DatasetStatus["status"] {
  const gone = items.revoked + items.suspended + items.expired;
  if (gone === 0) return "active";
  if (gone < items.total) return "partially_revoked";
  if (items.expired === items.total) return "expired";
  return items.suspended > 0 ? "suspended" : "revoked";
}
