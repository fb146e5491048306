import type { Fact } from "../events/write-fact.ts";
import { setStatuses } from "../status-lists/set-status.ts";
import { type ConsentRow, endConsentRows } from "./store.ts";

export interface Ending {
  readonly state: "revoked" | "expired";
  readonly by: string;
  readonly reason: string;
  /** The datasets a version of which stands on a consent; they are told. */
  readonly datasetsOf: (jti: string) => readonly string[];
}

/**
 * Ends consents that the caller holds locked: their rows, their bits, an event for each. Ending
 * what has ended changes nothing. Needs no key of the creator. Answers the ones that stood until now.
 */
export async function endConsents(
  fact: Fact,
  locked: readonly ConsentRow[],
  ending: Ending,
): Promise<readonly ConsentRow[]> {
  const standing = locked.filter((row) => row.state === "active" || row.state === "suspended");
  if (standing.length === 0) return [];
  const { state, by, reason, datasetsOf } = ending;
  await endConsentRows(
    fact.trx,
    standing.map((row) => row.jti),
    { state, at: fact.now, reason },
  );
  setStatuses(fact, standing, "revoked");
  for (const row of standing) {
    const body = {
      jti: row.jti,
      creator_id: row.creator_id,
      by,
      reason,
      at: fact.now,
      dataset_ids: datasetsOf(row.jti),
    };
    fact.record({ type: `consent.${state}`, aggregate: row.jti, body });
  }
  return standing;
}
