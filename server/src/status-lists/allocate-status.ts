import { STATUS_LIST_ENTRIES } from "@licet/protocol";
import { randomInt } from "node:crypto";
import { documentPaths } from "../documents/document-paths.ts";
import type { Fact } from "../events/write-fact.ts";
import { publishStatusList } from "./set-status.ts";
import { claimIndices, countTaken, insertList, newestList } from "./store.ts";

/** A place in a status list: what rows keep. */
export interface StatusPlace {
  readonly status_list: number;
  readonly status_idx: number;
}

const FIRST_LIST = 1;
/** Indices looked at to tell how full a list is. */
const SAMPLE = 64;

/**
 * Gives out an index: random, so that neighbours tell nothing about each other, unique, and never
 * used again. Valid is zero, so that giving one out changes no list, and locks none. Every clash is
 * a sign of a list that fills up: about half full, the next list is opened.
 */
export async function allocateStatus(fact: Fact): Promise<StatusPlace> {
  let list = (await newestList(fact.trx)) ?? (await openList(fact, FIRST_LIST));
  for (;;) {
    const [idx] = await claimIndices(fact.trx, list, [randomInt(STATUS_LIST_ENTRIES)]);
    if (idx !== undefined) return { status_list: list, status_idx: idx };
    if (await isHalfFull(fact, list)) list = await openList(fact, list + 1);
  }
}

async function isHalfFull(fact: Fact, list: number): Promise<boolean> {
  const sample = new Set(Array.from({ length: SAMPLE }, () => randomInt(STATUS_LIST_ENTRIES)));
  return (await countTaken(fact.trx, list, [...sample])) >= sample.size / 2;
}

/**
 * Opens a list that no index was ever given out of, whatever a lost database gave out: its number is
 * the minute of now, while lists are otherwise counted from one. A list holds more indices than can
 * be given out in a minute.
 */
export async function openFreshList(fact: Fact): Promise<number> {
  const newest = (await newestList(fact.trx)) ?? 0;
  return openList(fact, Math.max(newest + 1, Math.floor(fact.now / 60)));
}

async function openList(fact: Fact, list: number): Promise<number> {
  await insertList(fact.trx, list);
  publishStatusList(fact, list);
  return list;
}

/** The claim `status.status_list` for a place. */
export function statusReference(
  origin: string,
  place: StatusPlace,
): { readonly status_list: { readonly idx: number; readonly uri: string } } {
  return { status_list: { idx: place.status_idx, uri: origin + documentPaths.statusList(place.status_list) } };
}
