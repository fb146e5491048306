import type { KeptHold } from "../events/journal-entry.ts";
import type { Fact } from "../events/write-fact.ts";
import { deleteSuspension, insertSuspension } from "./suspension-store.ts";

/** Writes again who holds what suspended, and who no longer does, as the journal kept it. */
export async function restoreHolds(fact: Fact, holds: readonly KeptHold[], reason: string): Promise<void> {
  for (const hold of holds) {
    const { kind, id, holder, is_held } = hold;
    if (is_held) await insertSuspension(fact.trx, { kind, id, holder, reason, suspended_at: fact.now });
    else await deleteSuspension(fact.trx, { kind, id, holder });
  }
  fact.keep({ holds });
}
