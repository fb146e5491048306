import {
  type DatasetStatus,
  type Result,
  TTL_SECONDS,
  accept,
  checkFresh,
  formatInstant,
  parseInstant,
  refuse,
} from "@licet/protocol";
import { fetchDatasetStatus } from "@licet/sdk";
import type { Connected, MarketplaceContext } from "./context.ts";
import {
  type StoredDataset,
  findDataset,
  invalidateReceipts,
  loadSeen,
  saveSeen,
  stopTraining,
  wasTakenBack,
} from "./dataset-store.ts";

/** Asks, before and during a training, whether the dataset is still what was verified. */
export interface StatusWatch {
  /** Answers from the status held while it is younger than its ttl, otherwise asks again. */
  readonly check: () => Promise<Result<true>>;
}

/**
 * Watches a dataset's public status during a training, beside the webhooks: so that a lost webhook
 * is noticed within `ttl_seconds`, and a platform that cannot be asked ends the training when the
 * last status expires. The platform may shorten both clocks, never stretch them. A new version stops
 * training too: what was taken back of the old one is no longer told.
 */
export function watchStatus(
  context: MarketplaceContext,
  { connection }: Connected,
  dataset: StoredDataset,
): StatusWatch {
  const { store, fetch, now, config } = context;
  let held: DatasetStatus | undefined;

  async function refresh(): Promise<Result<true>> {
    const asked = await fetchDatasetStatus({
      origin: connection.origin,
      datasetId: dataset.dataset_id,
      fetch,
      now,
      previous: loadSeen(store),
      allowTest: config.test,
    });
    if (!asked.ok) return isTrusted(held, now()) ? accept(true) : asked;
    const { status, seen } = asked.value;
    saveSeen(store, seen);
    // A verification during the training may have moved what is held to a newer version.
    const stop = reasonToStop(findDataset(store, dataset.dataset_id) ?? dataset, status);
    if (stop === undefined) {
      held = status;
      return accept(true);
    }
    store.transaction(() => {
      stopTraining(store, dataset.dataset_id, stop.reason, formatInstant(now()));
      if (stop.endsReceipts) invalidateReceipts(store, dataset.dataset_id);
    });
    context.trainings.stop(dataset.dataset_id);
    return refuse("conflict", stop.reason);
  }

  return { check: async () => (isYoung(held, now()) ? accept(true) : refresh()) };
}

function isYoung(status: DatasetStatus | undefined, now: number): boolean {
  return (
    status !== undefined && now < (parseInstant(status.checked_at) ?? 0) + Math.min(status.ttl_seconds, TTL_SECONDS)
  );
}

function isTrusted(status: DatasetStatus | undefined, now: number): boolean {
  return status !== undefined && checkFresh(status, now).ok;
}

interface Stop {
  readonly reason: string;
  /** A newer version alone takes nothing back: receipts for the old one count again once it is verified. */
  readonly endsReceipts: boolean;
}

/** What the platform says now, against what was verified. */
function reasonToStop(dataset: StoredDataset, status: DatasetStatus): Stop | undefined {
  const { version } = dataset;
  if (status.status !== "active" && status.status !== "partially_revoked")
    return { reason: `the dataset is ${status.status}`, endsReceipts: true };
  if (version < status.min_valid_version) {
    const reason = `version ${version} is no longer valid, the oldest valid one is ${status.min_valid_version}`;
    return { reason, endsReceipts: true };
  }
  if (status.current_version !== version)
    return { reason: `version ${status.current_version} is out; verify again`, endsReceipts: false };
  if (wasTakenBack(dataset, status))
    return { reason: "something was taken back since the last verification", endsReceipts: true };
  return undefined;
}

/** Why training is stopped, for whoever asked for it. */
export function stoppedRefusal(context: MarketplaceContext, datasetId: string): Result<never> {
  const reason = findDataset(context.store, datasetId)?.reason;
  return refuse("conflict", `training on ${datasetId} is stopped: ${reason ?? "the dataset changed"}`);
}
