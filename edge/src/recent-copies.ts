import type { LimitedMap } from "./memory.ts";
import type { EdgePorts, HeldDocument } from "./ports.ts";

/** Copies in an isolate's own memory: since when, and when the cache is looked into again. */
export type RecentCopies = LimitedMap<{ readonly held: HeldDocument; readonly atMs: number; readonly dueMs: number }>;

interface Copies {
  readonly recent: RecentCopies;
  readonly ports: Pick<EdgePorts, "nowMs" | "documents" | "memory">;
}

/** A look into the cache that takes longer is not the only one any more. */
const LOOK_MS = 100;

/**
 * The copy in memory while it is young enough, or the cache's. Once it is due, one request at a time
 * looks into the cache, or asks the platform when there is none, and the others go on with the copy, as
 * long as that is allowed at all: of many at once neither would answer any in time.
 */
export async function readHeld({ recent, ports }: Copies, path: string): Promise<HeldDocument | undefined> {
  const { memory } = ports;
  if (memory === undefined) return ports.documents.read(path);
  const atMs = ports.nowMs();
  const known = recent.get(path);
  if (known !== undefined && atMs - known.atMs < memory.maxMs) {
    if (atMs < known.dueMs) return known.held;
    recent.set(path, { ...known, dueMs: atMs + LOOK_MS });
  }
  const read = await ports.documents.read(path);
  const since = recent.get(path);
  // Another request asked the platform meanwhile: what the cache held before counts no more.
  if (since !== undefined && since.atMs > atMs) return since.held;
  // It was purged: this request asks the platform, and the others have its answer as soon as it is here.
  if (read === undefined) return undefined;
  // The same copy again was verified already.
  const held = known !== undefined && isSame(known.held, read) ? known.held : read;
  recent.set(path, { held, atMs, dueMs: atMs + memory.dueMs });
  return held;
}

/** What the platform has just said need not be looked for in the cache, where it is about to be. */
export function remember({ recent, ports }: Copies, path: string, held: HeldDocument): void {
  if (ports.memory === undefined) return;
  recent.set(path, { held, atMs: held.fetchedAtMs, dueMs: held.fetchedAtMs + ports.memory.dueMs });
}

function isSame(one: HeldDocument, other: HeldDocument): boolean {
  return one.fetchedAtMs === other.fetchedAtMs && one.status === other.status && one.text === other.text;
}
