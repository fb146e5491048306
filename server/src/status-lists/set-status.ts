import {
  STATUS,
  STATUS_LIST_BYTES,
  STATUS_LIST_TYP,
  type StatusName,
  cacheTags,
  compressStatusList,
  setStatusAt,
} from "@licet/protocol";
import { promisify } from "node:util";
import { deflate } from "node:zlib";
import type { Context } from "../context.ts";
import { documentPaths } from "../documents/document-paths.ts";
import type { DocumentContent } from "../documents/render-document.ts";
import type { Trx } from "../db/open-database.ts";
import type { Fact } from "../events/write-fact.ts";
import type { StatusPlace } from "./allocate-status.ts";
import { type StatusChange, readChanges, saveStatuses } from "./store.ts";

const deflateAsync = promisify(deflate);
/** Good enough in the step of the revocation itself: a few milliseconds for a whole list. */
const DEFLATE_LEVEL = 6;

interface StatusWish extends StatusPlace {
  readonly status: StatusName;
}

/** What a fact sets, until all of its rows are written. */
const wishes = new WeakMap<Fact, StatusWish[]>();

/**
 * Sets all these places to one status and has their lists signed again in this fact. Every
 * revocation needs the list's row, so it is locked last, and lists in one order.
 */
export function setStatuses(fact: Fact, places: readonly StatusPlace[], status: StatusName): void {
  const held = wishes.get(fact) ?? [];
  if (held.length === 0) fact.beforeDocuments(() => saveWishes(fact));
  const added = places.map(({ status_list, status_idx }) => ({ status_list, status_idx, status }));
  wishes.set(fact, [...held, ...added]);
  fact.keep({ statuses: added });
}

async function saveWishes(fact: Fact): Promise<void> {
  const byList = Map.groupBy(wishes.get(fact) ?? [], (wish) => wish.status_list);
  for (const list of [...byList.keys()].sort((left, right) => left - right)) {
    // The last word about a place counts.
    const statuses = new Map((byList.get(list) ?? []).map((wish) => [wish.status_idx, STATUS[wish.status]]));
    publishStatusList(fact, list, await saveStatuses(fact.trx, list, statuses));
  }
}

/** Has a list rendered from its rows in this fact. `changes` are those of the fact's own revision. */
export function publishStatusList(fact: Fact, list: number, changes: readonly StatusChange[] = []): void {
  const path = documentPaths.statusList(list);
  fact.publish(path, async (trx) => renderStatusList(fact, trx, { list, uri: fact.ctx.origin + path, changes }));
}

/** The bits of a list as of a committed revision. */
interface BitsCopy {
  readonly revision: number;
  readonly bits: Uint8Array<ArrayBuffer>;
}

/** Copies of lists, so that a change reads what is new and not a million rows. At 256 KiB each. */
const copies = new WeakMap<Context, Map<number, BitsCopy>>();
const MAX_COPIES = 64;

async function renderStatusList(
  { ctx, afterCommit }: Fact,
  trx: Trx,
  {
    list,
    uri,
    changes: own,
  }: { readonly list: number; readonly uri: string; readonly changes: readonly StatusChange[] },
): Promise<DocumentContent> {
  const held = copies.get(ctx)?.get(list) ?? { revision: 0, bits: new Uint8Array(STATUS_LIST_BYTES) };
  // Nothing lies between the copy and this fact's revision unless another server set something meanwhile.
  const changes = own[0]?.revision === held.revision + 1 ? own : await readChanges(trx, list, held.revision);
  const bits = held.bits.slice();
  for (const { idx, status } of changes) setStatusAt(bits, idx, status);
  const revision = changes.at(-1)?.revision ?? held.revision;
  afterCommit(() => keepCopy(ctx, list, { revision, bits }));
  const lst = await compressStatusList(
    bits,
    async (bytes) => new Uint8Array(await deflateAsync(bytes, { level: DEFLATE_LEVEL })),
  );
  return { kind: STATUS_LIST_TYP, content: { uri, lst }, tags: [cacheTags.all, cacheTags.revocations] };
}

/** Only committed bits are kept, and never older ones than those held: the number of an uncommitted revision is given out again. */
function keepCopy(ctx: Context, list: number, copy: BitsCopy): void {
  const held = copies.get(ctx) ?? new Map<number, BitsCopy>();
  if ((held.get(list)?.revision ?? -1) > copy.revision) return;
  if (held.size >= MAX_COPIES) held.clear();
  copies.set(ctx, held.set(list, copy));
}
