import {
  type DatasetRegistration,
  type JsonObject,
  type Result,
  accept,
  readDatasetRegistration,
  refuse,
} from "@licet/protocol";
import { readManifestUrl } from "@licet/sdk";
import type { Connected, MarketplaceContext } from "./context.ts";
import { type StoredDataset, findDataset } from "./dataset-store.ts";
import { storeVerification, verifyConnected } from "./verify-connected.ts";

/** What a registration came to. */
export interface Registered {
  readonly dataset: StoredDataset;
  readonly isNew: boolean;
}

/**
 * Takes in a dataset that the platform offers, after verifying all of it. A version that is known
 * already is answered without a second look, and a new version of a stopped dataset is stored but
 * stays stopped: registering never lifts a stop.
 */
export async function registerDataset(context: MarketplaceContext, body: JsonObject): Promise<Result<Registered>> {
  const { connected, store } = context;
  if (connected === undefined)
    return refuse("unavailable", "expected PUT /api/v1/connection first: no credentials to verify with");
  const registration = readRegistration(body, connected);
  if (!registration.ok) return registration;
  const { dataset_id: datasetId, version, manifest_url: manifestUrl } = registration.value;
  const known = findDataset(store, datasetId);
  if (known !== undefined && known.version === version) return accept({ dataset: known, isNew: false });
  const verification = await verifyConnected(context, connected, { datasetId, manifestUrl });
  const stored = store.transaction(() => storeVerification(context, verification));
  if (!stored.ok) return stored;
  const dataset = findDataset(store, datasetId);
  if (dataset === undefined) throw new Error(`dataset ${datasetId}: expected to be stored`);
  return accept({ dataset, isNew: known === undefined });
}

/** The registration must speak of this marketplace and of the platform it is connected to. */
function readRegistration(body: JsonObject, { connection }: Connected): Result<DatasetRegistration> {
  const registration = readDatasetRegistration(body);
  if (!registration.ok) return registration;
  const { marketplace_id, origin, manifest_url, dataset_id } = registration.value;
  if (marketplace_id !== connection.marketplace_id)
    return refuse(
      "input_invalid",
      `registration.marketplace_id: expected ${connection.marketplace_id}, got ${marketplace_id}`,
    );
  if (origin !== connection.origin)
    return refuse("input_invalid", `registration.origin: expected ${connection.origin}, got ${origin}`);
  const place = readManifestUrl(manifest_url);
  const isHere = place.ok && place.value.origin === origin && place.value.datasetId === dataset_id;
  if (!isHere)
    return refuse(
      "input_invalid",
      `registration.manifest_url: expected a manifest of ${dataset_id} on ${origin}, got ${manifest_url}`,
    );
  // The current manifest is what will still be verifiable tomorrow, whichever of the two was sent.
  return accept({ ...registration.value, manifest_url: `${origin}/datasets/${dataset_id}/manifest.json` });
}
