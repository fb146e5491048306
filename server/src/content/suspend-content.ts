import type { Fact } from "../events/write-fact.ts";
import { setStatuses } from "../status-lists/set-status.ts";
import { type ContentRow, markSuspended } from "./store.ts";

export interface SuspensionChange {
  readonly by: string;
  readonly reason: string;
  /** The datasets a version of which holds a work; they are told. */
  readonly datasetsOf: (contentId: string) => readonly string[];
}

/** Suspends standing works that the caller holds locked: their rows, their bits, an event for each. */
export async function suspendContent(fact: Fact, rows: readonly ContentRow[], change: SuspensionChange): Promise<void> {
  if (rows.length === 0) return;
  await markSuspended(fact.trx, idsOf(rows), fact.now);
  setStatuses(fact, rows, "suspended");
  recordChanges(fact, rows, "content.suspended", change);
}

/** Lets suspended works stand again. */
export async function resumeContent(fact: Fact, rows: readonly ContentRow[], change: SuspensionChange): Promise<void> {
  if (rows.length === 0) return;
  await markSuspended(fact.trx, idsOf(rows), null);
  setStatuses(fact, rows, "valid");
  recordChanges(fact, rows, "content.resumed", change);
}

function idsOf(rows: readonly ContentRow[]): readonly string[] {
  return rows.map((row) => row.content_id);
}

function recordChanges(
  fact: Fact,
  rows: readonly ContentRow[],
  type: "content.suspended" | "content.resumed",
  { by, reason, datasetsOf }: SuspensionChange,
): void {
  for (const { content_id, creator_id } of rows) {
    const body = { content_id, creator_id, by, reason, at: fact.now, dataset_ids: datasetsOf(content_id) };
    fact.record({ type, aggregate: content_id, body });
  }
}
