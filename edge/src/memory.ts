import { sha256Hex } from "@licet/protocol";
import type { DocumentCache, HeldDocument } from "./ports.ts";

/** Characters of documents that one process keeps: some hundred status lists and many content statuses. */
const MAX_HELD_CHARACTERS = 134_217_728;
const MAX_HELD_DOCUMENTS = 50_000;

/** A map that forgets what was used longest ago. */
export interface LimitedMap<V> {
  readonly get: (key: string) => V | undefined;
  readonly set: (key: string, value: V) => void;
  readonly delete: (key: string) => void;
}

export function createLimitedMap<V>(maxEntries: number): LimitedMap<V> {
  const entries = new Map<string, V>();
  return {
    get: (key) => {
      const value = entries.get(key);
      if (value !== undefined) {
        entries.delete(key);
        entries.set(key, value);
      }
      return value;
    },
    set: (key, value) => {
      entries.delete(key);
      entries.set(key, value);
      const [oldest] = entries.keys();
      if (entries.size > maxEntries && oldest !== undefined) entries.delete(oldest);
    },
    delete: (key) => void entries.delete(key),
  };
}

/** Copies in the memory of one process, the ones read longest ago given up first. */
export function memoryDocuments(maxCharacters = MAX_HELD_CHARACTERS): DocumentCache {
  const held = new Map<string, HeldDocument>();
  let characters = 0;
  const forget = (key: string): void => {
    characters -= held.get(key)?.text.length ?? 0;
    held.delete(key);
  };
  return {
    read: async (key) => {
      const document = held.get(key);
      if (document === undefined) return undefined;
      held.delete(key);
      held.set(key, document);
      return document;
    },
    write: async (key, document) => {
      forget(key);
      held.set(key, document);
      characters += document.text.length;
      for (const oldest of held.keys()) {
        if (characters <= maxCharacters && held.size <= MAX_HELD_DOCUMENTS) break;
        forget(oldest);
      }
    },
    forget: async (key) => forget(key),
  };
}

/** One use of a proof: whose key, under which nonce, and until when the proof could be used again. */
export interface ProofUse {
  readonly holder: string;
  readonly nonce: string;
  readonly untilMs: number;
}

const BUCKET_MS = 60_000;
/** Uses that are remembered of one holder and of all. */
const MAX_SEEN_OF_HOLDER = 50_000;
const MAX_SEEN = 500_000;

interface Bucket {
  size: number;
  readonly byHolder: Map<string, Set<string>>;
}

/**
 * Remembers what was used once, by the minute in which its time is over, so that forgetting is one
 * step for all of them. A holder who makes too many is told no, and nobody else is; when it is full
 * of everybody's it takes nothing new, so that a flood opens nothing.
 */
export function createSeen(
  nowMs: () => number,
  { ofHolder = MAX_SEEN_OF_HOLDER, ofAll = MAX_SEEN } = {},
): (use: ProofUse) => boolean {
  const buckets = new Map<number, Bucket>();
  return ({ holder, nonce, untilMs }) => {
    for (const minute of buckets.keys()) if ((minute + 1) * BUCKET_MS <= nowMs()) buckets.delete(minute);
    const mark = sha256Hex(nonce).slice(0, 32);
    const all = [...buckets.values()];
    const own = all.flatMap(({ byHolder }) => byHolder.get(holder) ?? []);
    if (own.some((seen) => seen.has(mark))) return false;
    if (own.reduce((sum, { size }) => sum + size, 0) >= ofHolder) return false;
    if (all.reduce((sum, { size }) => sum + size, 0) >= ofAll) return false;
    const minute = Math.floor(untilMs / BUCKET_MS);
    const bucket = buckets.get(minute) ?? { size: 0, byHolder: new Map<string, Set<string>>() };
    buckets.set(minute, bucket);
    bucket.size += 1;
    bucket.byHolder.set(holder, (bucket.byHolder.get(holder) ?? new Set()).add(mark));
    return true;
  };
}
