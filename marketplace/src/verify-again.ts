import { type Result, accept, formatInstant, refuse } from "@licet/protocol";
import type { DatasetReport } from "@licet/sdk";
import type { MarketplaceContext } from "./context.ts";
import { type StoredDataset, allowTraining, findDataset, saveStatus, stopTraining } from "./dataset-store.ts";
import { refusalOf, storeVerification, verifyConnected } from "./verify-connected.ts";

/** A dataset after a verification, and the checklist. */
export interface VerifiedAgain {
  readonly dataset: StoredDataset;
  readonly report: DatasetReport;
}

/**
 * Verifies a known dataset now. This alone lifts a stop: when everything holds, training is allowed
 * on the items that stand, which is how a partially revoked dataset goes on with the rest. When
 * anything fails, training is stopped.
 */
export async function verifyAgain(context: MarketplaceContext, datasetId: string): Promise<Result<VerifiedAgain>> {
  const { connected, store } = context;
  const known = findDataset(store, datasetId);
  if (known === undefined) return refuse("not_found", `no dataset ${datasetId} is registered`);
  if (connected === undefined)
    return refuse("unavailable", "expected PUT /api/v1/connection first: no credentials to verify with");
  const verification = await verifyConnected(context, connected, { datasetId, manifestUrl: known.manifest_url });
  const { report } = verification;
  const stored = store.transaction(() => {
    const result = storeVerification(context, verification);
    if (result.ok) allowTraining(store, datasetId);
    else if (!report.summary.usable)
      stopTraining(store, datasetId, refusalOf(report).detail, formatInstant(context.now()));
    if (!result.ok && report.status !== undefined) saveStatus(store, datasetId, report.status.status);
    return result;
  });
  if (!stored.ok && report.summary.usable) return stored;
  if (!stored.ok) context.trainings.stop(datasetId);
  const dataset = findDataset(store, datasetId);
  return dataset === undefined
    ? refuse("not_found", `no dataset ${datasetId} is registered`)
    : accept({ dataset, report });
}
