import {
  type KeySet,
  type Result,
  type StatusList,
  type StatusReference,
  accept,
  refuse,
  statusAt,
  verifyStatusList,
} from "@licet/protocol";
import { type Checking, checkSequence } from "./check-documents.ts";
import { type Tally, addOffence, emptyTally } from "./dataset-report.ts";
import { checkOrigin } from "./dataset-source.ts";
import { MAX_STATUS_LISTS_HELD } from "./limits.ts";

/** The status lists of one verification: each fetched and verified once, when the first entry in it is asked for. */
export interface StatusEntries {
  /** The value at an index, or undefined when its list cannot be used; the list is then an offence. */
  readonly valueOf: (reference: StatusReference) => Promise<Result<number> | undefined>;
  readonly offences: Tally;
  readonly listCount: () => number;
}

export function statusEntries(checking: Checking, keys: KeySet): StatusEntries {
  const lists = new Map<string, Promise<StatusList | undefined>>();
  const offences = emptyTally();

  async function load(uri: string): Promise<StatusList | undefined> {
    const list = await readList(checking, keys, uri);
    if (list.ok) return list.value;
    addOffence(offences, uri, list.refusal);
    return undefined;
  }

  return {
    offences,
    listCount: () => lists.size,
    valueOf: async ({ uri, idx }) => {
      const held = lists.get(uri);
      if (held === undefined && lists.size === MAX_STATUS_LISTS_HELD)
        return refuse("status_list_invalid", `expected at most ${MAX_STATUS_LISTS_HELD} status lists`);
      const loading = held ?? load(uri);
      lists.set(uri, loading);
      const list = await loading;
      return list === undefined ? undefined : statusAt(list.bits, idx);
    },
  };
}

async function readList(checking: Checking, keys: KeySet, uri: string): Promise<Result<StatusList>> {
  const place = checkOrigin(uri, checking.origin);
  if (!place.ok) return place;
  const token = await checking.source.statusList(uri);
  if (!token.ok) return token;
  const list = await verifyStatusList(token.value, { uri, keys, now: checking.now() });
  if (!list.ok) return list;
  const sequence = checkSequence(checking, uri, list.value.seq);
  return sequence.ok ? accept(list.value) : sequence;
}
