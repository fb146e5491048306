import { type Result, accept, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { type Principal, actorOf } from "../http/principal.ts";
import { setStatuses } from "../status-lists/set-status.ts";
import type { DatasetView } from "./dataset-input.ts";
import { datasetView } from "./dataset-view.ts";
import { refreshDatasets } from "./render-dataset.ts";
import { type DatasetRow, findVersion, lockDatasets, updateDataset } from "./store.ts";

export interface HoldChange {
  readonly by: string;
  readonly reason: string;
}

/** Suspends a published dataset that the caller holds locked: its row, its own bit, an event. Its documents are the caller's to refresh. */
export async function suspendDataset(fact: Fact, row: DatasetRow, change: HoldChange): Promise<void> {
  await updateDataset(fact.trx, row.dataset_id, { suspended_at: fact.now });
  setStatuses(fact, [row], "suspended");
  recordChange(fact, row, "dataset.suspended", change);
}

/** Lets a suspended dataset stand again, as far as its works do. */
export async function resumeDataset(fact: Fact, row: DatasetRow, change: HoldChange): Promise<void> {
  await updateDataset(fact.trx, row.dataset_id, { suspended_at: null });
  setStatuses(fact, [row], "valid");
  recordChange(fact, row, "dataset.resumed", change);
}

/**
 * Takes a published dataset from offer for good: its own bit, its status and its manifest say
 * revoked, its marketplaces hear of it, and no version of it is published any more. The consents it
 * stands on are left as they are. Withdrawn before, it answers the same.
 *
 * Refuses `not_found` and `dataset_not_published`.
 */
export async function withdrawDataset(
  ctx: Context,
  datasetId: string,
  { principal, reason }: { readonly principal: Principal; readonly reason: string },
): Promise<Result<DatasetView>> {
  return writeFact<DatasetView>(ctx, async (fact) => {
    const [dataset] = await lockDatasets(fact.trx, [datasetId]);
    if (dataset === undefined) return refuse("not_found", `there is no dataset ${datasetId}`);
    const version = await findVersion(fact.trx, datasetId, dataset.current_version);
    if (version === undefined) return refuse("dataset_not_published", `the dataset ${datasetId} is a draft: delete it`);
    if (dataset.ended_at !== null) return accept(datasetView(ctx, dataset, version));
    const changes = { ended_at: fact.now, draft: null, compact_at: null };
    await updateDataset(fact.trx, datasetId, changes);
    setStatuses(fact, [dataset], "revoked");
    recordChange(fact, dataset, "dataset.withdrawn", { by: actorOf(principal), reason });
    await refreshDatasets(fact, [datasetId]);
    return accept(datasetView(ctx, { ...dataset, ...changes, state: "revoked" }, version));
  });
}

function recordChange(
  fact: Fact,
  { dataset_id }: DatasetRow,
  type: "dataset.suspended" | "dataset.resumed" | "dataset.withdrawn",
  { by, reason }: HoldChange,
): void {
  const body = { dataset_id, by, reason, at: fact.now, dataset_ids: [dataset_id] };
  fact.record({ type, aggregate: dataset_id, body });
}
