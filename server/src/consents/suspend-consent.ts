import type { Fact } from "../events/write-fact.ts";
import { setStatuses } from "../status-lists/set-status.ts";
import { type ConsentRow, setConsentSuspension } from "./store.ts";

export interface SuspensionChange {
  readonly by: string;
  readonly reason: string;
  /** The datasets a version of which stands on a consent; they are told. */
  readonly datasetsOf: (jti: string) => readonly string[];
}

/** Suspends active consents that the caller holds locked: their rows, their bits, an event for each. */
export async function suspendConsents(
  fact: Fact,
  rows: readonly ConsentRow[],
  change: SuspensionChange,
): Promise<void> {
  if (rows.length === 0) return;
  await setConsentSuspension(fact.trx, jtisOf(rows), { at: fact.now, reason: change.reason });
  setStatuses(fact, rows, "suspended");
  recordChanges(fact, rows, "consent.suspended", change);
}

/** Lets suspended consents stand again. */
export async function resumeConsents(fact: Fact, rows: readonly ConsentRow[], change: SuspensionChange): Promise<void> {
  if (rows.length === 0) return;
  await setConsentSuspension(fact.trx, jtisOf(rows), undefined);
  setStatuses(fact, rows, "valid");
  recordChanges(fact, rows, "consent.resumed", change);
}

function jtisOf(rows: readonly ConsentRow[]): readonly string[] {
  return rows.map((row) => row.jti);
}

function recordChanges(
  fact: Fact,
  rows: readonly ConsentRow[],
  type: "consent.suspended" | "consent.resumed",
  { by, reason, datasetsOf }: SuspensionChange,
): void {
  for (const { jti, creator_id } of rows) {
    const body = { jti, creator_id, by, reason, at: fact.now, dataset_ids: datasetsOf(jti) };
    fact.record({ type, aggregate: jti, body });
  }
}
