import type { KeptHold } from "../events/journal-entry.ts";
import type { Fact } from "../events/write-fact.ts";
import { deleteSuspension, insertSuspension } from "./suspension-store.ts";

/**
 * Records, and keeps for the journal, that a side joined or left a suspension which stands with or
 * without it. The event tells a restore whether its backup knows of this.
 */
export function recordHold(fact: Fact, hold: KeptHold, by: string): void {
  const { kind, id, holder, is_held } = hold;
  fact.keep({ holds: [hold] });
  fact.record({
    type: is_held ? "suspension.joined" : "suspension.left",
    aggregate: id,
    body: { kind, id, holder, by },
  });
}

export interface RestoredHolds {
  readonly holds: readonly KeptHold[];
  readonly reason: string;
  readonly by: string;
}

/** Writes again who holds what suspended, and who no longer does, as the journal kept it. */
export async function restoreHolds(fact: Fact, { holds, reason, by }: RestoredHolds): Promise<void> {
  for (const hold of holds) {
    const { kind, id, holder, is_held } = hold;
    const isChanged = is_held
      ? await insertSuspension(fact.trx, { kind, id, holder, reason, suspended_at: fact.now })
      : await deleteSuspension(fact.trx, { kind, id, holder });
    if (isChanged) recordHold(fact, hold, by);
  }
}
