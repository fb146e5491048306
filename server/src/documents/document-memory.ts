import type { ServedDocument } from "./render-document.ts";
import { MAX_TEXT_BYTES } from "./serve-document.ts";

/** Copies of documents in memory, within two limits; the ones put there longest ago go first. */
export interface DocumentMemory {
  readonly get: (path: string) => ServedDocument | undefined;
  /** Rises whenever everything is forgotten: what was read before then is not kept after it. */
  readonly generation: () => number;
  /** Keeps documents that were read or written in a generation; one with a higher `seq` is never replaced, nor is one kept that is known to be outdated. */
  readonly keep: (documents: readonly ServedDocument[], generation: number) => void;
  /** Somebody wrote a document with this `seq`: older copies go, and are not kept should they still come. */
  readonly outdate: (path: string, seq: number) => void;
  readonly isOutdated: (document: ServedDocument) => boolean;
  readonly forgetAll: () => void;
}

export interface DocumentMemoryLimits {
  readonly maxBytes: number;
  readonly maxCopies: number;
}

/** What a copy takes beside its bytes: strings, map entries, the object itself. */
const OVERHEAD_BYTES = 1_024;
/** Outdated ones that are remembered; more than can be announced while one reading is under way. */
const MAX_OUTDATED = 20_000;

export function createDocumentMemory({ maxBytes, maxCopies }: DocumentMemoryLimits): DocumentMemory {
  const copies = new Map<string, ServedDocument>();
  const newestSeqs = new Map<string, number>();
  let heldBytes = 0;
  let generation = 0;

  function drop(path: string): void {
    const held = copies.get(path);
    if (held === undefined) return;
    heldBytes -= sizeOf(held);
    copies.delete(path);
  }

  function isOutdated({ path, seq }: ServedDocument): boolean {
    return seq < (newestSeqs.get(path) ?? 0);
  }

  function keepOne(document: ServedDocument): void {
    const held = copies.get(document.path);
    if ((held !== undefined && held.seq > document.seq) || isOutdated(document)) return;
    drop(document.path);
    copies.set(document.path, document);
    heldBytes += sizeOf(document);
  }

  return {
    get: (path) => copies.get(path),
    generation: () => generation,
    keep: (documents, readIn) => {
      if (readIn !== generation) return;
      for (const document of documents) keepOne(document);
      for (const path of copies.keys()) {
        if (copies.size <= maxCopies && heldBytes <= maxBytes) break;
        drop(path);
      }
    },
    outdate: (path, seq) => {
      if (seq <= (newestSeqs.get(path) ?? 0)) return;
      newestSeqs.delete(path);
      newestSeqs.set(path, seq);
      for (const oldest of newestSeqs.keys()) {
        if (newestSeqs.size <= MAX_OUTDATED) break;
        newestSeqs.delete(oldest);
      }
      if ((copies.get(path)?.seq ?? seq) < seq) drop(path);
    },
    isOutdated,
    forgetAll: () => {
      generation += 1;
      copies.clear();
      heldBytes = 0;
    },
  };
}

function sizeOf({ bytes }: ServedDocument): number {
  const text = bytes.length <= MAX_TEXT_BYTES ? bytes.length : 0;
  return bytes.length + text + OVERHEAD_BYTES;
}
