import type { Fact } from "../events/write-fact.ts";
import { setStatuses } from "../status-lists/set-status.ts";
import { type ConsentRow, setConsentSuspension } from "./store.ts";

export interface SuspensionChange {
  readonly by: string;
  readonly reason: string;
  /** The datasets a version of which stands on it; they are told. */
  readonly datasetIds: readonly string[];
}

/** Suspends an active consent that the caller holds locked: its row, its bit, an event. */
export async function suspendConsent(fact: Fact, row: ConsentRow, change: SuspensionChange): Promise<void> {
  await setConsentSuspension(fact.trx, row.jti, { at: fact.now, reason: change.reason });
  setStatuses(fact, [row], "suspended");
  recordChange(fact, row, "consent.suspended", change);
}

/** Lets a suspended consent stand again. */
export async function resumeConsent(fact: Fact, row: ConsentRow, change: SuspensionChange): Promise<void> {
  await setConsentSuspension(fact.trx, row.jti, undefined);
  setStatuses(fact, [row], "valid");
  recordChange(fact, row, "consent.resumed", change);
}

function recordChange(
  fact: Fact,
  { jti, creator_id }: ConsentRow,
  type: "consent.suspended" | "consent.resumed",
  { by, reason, datasetIds }: SuspensionChange,
): void {
  fact.record({ type, aggregate: jti, body: { jti, creator_id, by, reason, at: fact.now, dataset_ids: datasetIds } });
}
