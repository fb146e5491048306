import type { JsonObject } from "./json.ts";
import type { Result } from "./refusal.ts";
import { count, identifier, objectOf, origin, readShape, textUpTo, webUrl } from "./shape.ts";

const DATASET_REGISTRATION = objectOf({
  dataset_id: identifier,
  name: textUpTo(256),
  version: count,
  origin,
  manifest_url: webUrl,
  marketplace_id: identifier,
});

/**
 * What the platform sends to a marketplace's `POST /api/v1/datasets` when a dataset is offered to
 * it: where the manifest is. Everything else the marketplace fetches and verifies itself.
 */
export type DatasetRegistration = ReturnType<typeof DATASET_REGISTRATION>;

export function readDatasetRegistration(body: JsonObject): Result<DatasetRegistration> {
  return readShape(DATASET_REGISTRATION, body, "registration", "input_invalid");
}
