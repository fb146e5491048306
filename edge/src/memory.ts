import type { DocumentCache, HeldDocument } from "./ports.ts";

/** Characters of documents that one process keeps: some hundred status lists and many content statuses. */
const MAX_HELD_CHARACTERS = 134_217_728;
const MAX_HELD_DOCUMENTS = 50_000;
const MAX_SEEN = 100_000;

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

/** Remembers what was used once, until its time is over. When it is full it takes nothing new, so that a flood opens nothing. */
export function createSeen(nowMs: () => number, maxEntries = MAX_SEEN): (key: string, untilMs: number) => boolean {
  const seen = new Map<string, number>();
  return (key, untilMs) => {
    const now = nowMs();
    if ((seen.get(key) ?? 0) > now) return false;
    if (seen.size >= maxEntries) for (const [old, until] of seen) if (until <= now) seen.delete(old);
    if (seen.size >= maxEntries) return false;
    seen.set(key, untilMs);
    return true;
  };
}
