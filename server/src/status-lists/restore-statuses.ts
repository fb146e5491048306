import { STATUS, type StatusName } from "@licet/protocol";
import type { Fact } from "../events/write-fact.ts";
import { publishStatusList, setStatuses } from "./set-status.ts";
import { claimIndices, insertList, readStatuses } from "./store.ts";

interface KnownStatus {
  readonly status_list: number;
  readonly status_idx: number;
  readonly status: StatusName;
}

/** Places claimed in one statement, two parameters each. */
const BATCH = 1_000;

/**
 * Sets statuses that are known from elsewhere, also at places and in lists that this database knows
 * nothing of. What is revoked stays revoked.
 */
export async function restoreStatuses(fact: Fact, statuses: readonly KnownStatus[]): Promise<void> {
  for (const [list, places] of Map.groupBy(statuses, (place) => place.status_list)) {
    await insertList(fact.trx, list);
    publishStatusList(fact, list);
    const indices = [...new Set(places.map((place) => place.status_idx))];
    for (let at = 0; at < indices.length; at += BATCH)
      await claimIndices(fact.trx, list, indices.slice(at, at + BATCH));
    const known = await readStatuses(fact.trx, list, indices);
    // The last word about a place counts.
    const wanted = new Map(places.map((place) => [place.status_idx, place]));
    for (const place of wanted.values())
      if (known.get(place.status_idx) !== STATUS.revoked && known.get(place.status_idx) !== STATUS[place.status])
        setStatuses(fact, [place], place.status);
  }
}
