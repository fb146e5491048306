import type { Fact } from "../events/write-fact.ts";
import { setStatuses } from "../status-lists/set-status.ts";
import { type ContentRow, markWithdrawn } from "./store.ts";

export interface Withdrawal {
  readonly by: string;
  readonly reason: string;
  /** The datasets a version of which holds a work; they are told. */
  readonly datasetsOf: (contentId: string) => readonly string[];
}

/** Takes works that the caller holds locked out for good: their bits, and an event for each. Answers those that were not out until now. */
export async function withdrawContent(
  fact: Fact,
  locked: readonly ContentRow[],
  { by, reason, datasetsOf }: Withdrawal,
): Promise<readonly ContentRow[]> {
  const standing = locked.filter((row) => row.withdrawn_at === null);
  if (standing.length === 0) return [];
  await markWithdrawn(
    fact.trx,
    standing.map((row) => row.content_id),
    fact.now,
  );
  setStatuses(fact, standing, "revoked");
  for (const row of standing) {
    fact.record({
      type: "content.withdrawn",
      aggregate: row.content_id,
      body: {
        content_id: row.content_id,
        creator_id: row.creator_id,
        by,
        reason,
        at: fact.now,
        dataset_ids: datasetsOf(row.content_id),
      },
    });
  }
  return standing;
}
