import type { Fact } from "../events/write-fact.ts";
import { setStatuses } from "../status-lists/set-status.ts";
import { type ContentRow, markSuspended } from "./store.ts";

export interface SuspensionChange {
  readonly by: string;
  readonly reason: string;
  /** The datasets a version of which holds it; they are told. */
  readonly datasetIds: readonly string[];
}

/** Suspends a standing work that the caller holds locked: its row, its bit, an event. */
export async function suspendContent(fact: Fact, row: ContentRow, change: SuspensionChange): Promise<void> {
  await markSuspended(fact.trx, row.content_id, fact.now);
  setStatuses(fact, [row], "suspended");
  recordChange(fact, row, "content.suspended", change);
}

/** Lets a suspended work stand again. */
export async function resumeContent(fact: Fact, row: ContentRow, change: SuspensionChange): Promise<void> {
  await markSuspended(fact.trx, row.content_id, null);
  setStatuses(fact, [row], "valid");
  recordChange(fact, row, "content.resumed", change);
}

function recordChange(
  fact: Fact,
  { content_id, creator_id }: ContentRow,
  type: "content.suspended" | "content.resumed",
  { by, reason, datasetIds }: SuspensionChange,
): void {
  const body = { content_id, creator_id, by, reason, at: fact.now, dataset_ids: datasetIds };
  fact.record({ type, aggregate: content_id, body });
}
