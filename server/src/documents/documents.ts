import { isHalfLifeOver } from "@licet/protocol";
import type { Clock, SigningKeys } from "../context.ts";
import type { Notices } from "../db/notifications.ts";
import type { Db, Trx } from "../db/open-database.ts";
import { createDocumentMemory } from "./document-memory.ts";
import {
  type DocumentContent,
  type ServedDocument,
  isImmutable,
  isSignedBy,
  outlivesKeys,
  renderDocument,
} from "./render-document.ts";
import { lockDocuments, lockForResigning, readDocument, saveDocument, saveDocuments } from "./store.ts";

/** Renders one document inside a fact, after its row is locked. */
export type DocumentRenderer = (trx: Trx) => Promise<DocumentContent>;

/** Documents of a transaction that is not committed yet. */
export interface WrittenDocuments {
  readonly documents: readonly ServedDocument[];
  /** Of the memory they were written in; should it be emptied before the commit, they are not kept. */
  readonly generation: number;
}

/** The public documents: rows that say the truth, and copies in memory that answer. */
export interface Documents {
  /** The document at a path, signed again when half of its life is over; undefined when there is none. */
  readonly read: (path: string) => Promise<ServedDocument | undefined>;
  /** The copy in memory when it needs no signing again: the quick way to answer. */
  readonly peek: (path: string) => ServedDocument | undefined;
  /** Renders, signs and saves documents under row locks, and has the other servers told; `remember` what it answers once the transaction is committed. */
  readonly write: (
    trx: Trx,
    renderers: ReadonlyMap<string, DocumentRenderer>,
    now: number,
  ) => Promise<WrittenDocuments>;
  /** Puts committed documents into memory; one with a higher `seq` is never replaced. */
  readonly remember: (documents: readonly ServedDocument[], generation?: number) => void;
}

const MAX_COPIES = 20_000;
const DEFAULT_MEMORY_BYTES = 256 * 1_048_576;
/** A database that is away may not answer for long; whoever reads a document learns of it sooner. */
const READ_TIMEOUT_MS = 5_000;
/** A document that changes again each time it was read is answered as it was read last. */
const MAX_READINGS = 3;

export interface DocumentsParts {
  readonly db: Db;
  readonly clock: Clock;
  readonly origin: string;
  readonly signingKeys: SigningKeys;
  readonly notices: Notices;
  readonly config?: { readonly documentMemoryBytes: number };
}

export function createDocuments(parts: DocumentsParts): Documents {
  const { notices } = parts;
  const memory = createDocumentMemory({
    maxBytes: parts.config?.documentMemoryBytes ?? DEFAULT_MEMORY_BYTES,
    maxCopies: MAX_COPIES,
  });
  const signings = new Map<string, Promise<ServedDocument | undefined>>();

  notices.on("documents", (entries) => {
    if (entries === "all") return memory.forgetAll();
    for (const { path, seq } of entries.map(parseEntry)) memory.outdate(path, seq);
  });

  function now(): number {
    return Math.floor(parts.clock.nowMs() / 1_000);
  }

  /** A copy that may answer: whoever may have missed another server's fact asks the database. */
  function heldOf(path: string): ServedDocument | undefined {
    const held = memory.get(path);
    return held !== undefined && (notices.isCurrent() || isImmutable(held)) ? held : undefined;
  }

  function peek(path: string): ServedDocument | undefined {
    const held = heldOf(path);
    return held !== undefined && !isDueHere(parts, held) ? held : undefined;
  }

  async function read(path: string): Promise<ServedDocument | undefined> {
    const held = heldOf(path) ?? (await readThrough(path));
    return held === undefined || !isDueHere(parts, held) ? held : signAgainOnce(held);
  }

  async function readThrough(path: string): Promise<ServedDocument | undefined> {
    for (let reading = 1; ; reading += 1) {
      const generation = memory.generation();
      const found = await inTime(readDocument(parts.db, path), path);
      if (found === undefined) return undefined;
      if (memory.isOutdated(found) && reading < MAX_READINGS) continue;
      memory.keep([found], generation);
      return found;
    }
  }

  /** Many readers may find a document due at once; one signs, all wait. A held one is still good while signing fails. */
  async function signAgainOnce(held: ServedDocument): Promise<ServedDocument | undefined> {
    const generation = memory.generation();
    const signing =
      signings.get(held.path) ?? signAgain(parts, held.path, now()).finally(() => signings.delete(held.path));
    signings.set(held.path, signing);
    try {
      const served = await signing;
      if (served !== undefined) memory.keep([served], generation);
      return served;
    } catch (error) {
      if (notices.isCurrent() && held.lifetime !== undefined && now() < held.lifetime.expiresAt) return held;
      throw error;
    }
  }

  return {
    read,
    peek,
    remember: (documents, generation = memory.generation()) => memory.keep(documents, generation),
    write: async (trx, renderers, at) => {
      const generation = memory.generation();
      return { documents: await writeDocuments(parts, trx, renderers, at), generation };
    },
  };
}

/** How a notice names a document. */
export function noticeOf({ path, seq }: Pick<ServedDocument, "path" | "seq">): string {
  return `${seq} ${path}`;
}

export function parseEntry(entry: string): { readonly path: string; readonly seq: number } {
  const space = entry.indexOf(" ");
  return { path: entry.slice(space + 1), seq: Number(entry.slice(0, space)) };
}

async function inTime<T>(reading: Promise<T>, path: string): Promise<T> {
  const timer = Promise.withResolvers<never>();
  const timeout = setTimeout(
    () => timer.reject(new Error(`${path}: expected the database to answer within ${READ_TIMEOUT_MS} ms`)),
    READ_TIMEOUT_MS,
  );
  try {
    return await Promise.race([reading, timer.promise]);
  } finally {
    clearTimeout(timeout);
  }
}

function isDue(document: ServedDocument, now: number): boolean {
  return (
    document.lifetime !== undefined && isHalfLifeOver(document.lifetime.checkedAt, document.lifetime.expiresAt, now)
  );
}

/** By the signer in memory, which another server may have replaced a moment ago. */
function isDueHere({ clock, signingKeys }: DocumentsParts, held: ServedDocument): boolean {
  const now = Math.floor(clock.nowMs() / 1_000);
  return isDue(held, now) || isSignedBefore(held, signingKeys.signerFor("document").kid);
}

/** True for a document that lives long and is not by the key that signs now. */
function isSignedBefore(document: ServedDocument, kid: string): boolean {
  return outlivesKeys(document) && !isSignedBy(document, kid);
}

async function writeDocuments(
  parts: DocumentsParts,
  trx: Trx,
  renderers: ReadonlyMap<string, DocumentRenderer>,
  now: number,
): Promise<readonly ServedDocument[]> {
  if (renderers.size === 0) return [];
  // Before the rows: whoever changes keys holds the keys first, too.
  const signer = await parts.signingKeys.signerIn(trx, "document", now);
  const seqs = await lockDocuments(trx, [...renderers.keys()]);
  const rendered: { readonly path: string; readonly document: DocumentContent }[] = [];
  for (const [path, render] of renderers) rendered.push({ path, document: await render(trx) });
  const saved = await Promise.all(
    rendered.map(async ({ path, document }) => {
      const frame = { path, seq: (seqs.get(path) ?? 0) + 1, now, origin: parts.origin, signer };
      return { document, served: await renderDocument(document, frame) };
    }),
  );
  await saveDocuments(trx, saved);
  const served = saved.map((entry) => entry.served);
  await parts.notices.announce(trx, "documents", served.map(noticeOf));
  return served;
}

async function signAgain(parts: DocumentsParts, path: string, now: number): Promise<ServedDocument | undefined> {
  return parts.db.transaction().execute(async (trx) => {
    const signer = await parts.signingKeys.signerIn(trx, "document", now);
    const locked = await lockForResigning(trx, path);
    if (locked === undefined || !(isDue(locked.served, now) || isSignedBefore(locked.served, signer.kid)))
      return locked?.served;
    const rendered = await renderDocument(locked.document, {
      path,
      seq: locked.served.seq + 1,
      now,
      origin: parts.origin,
      signer,
    });
    await saveDocument(trx, locked.document, rendered);
    await parts.notices.announce(trx, "documents", [noticeOf(rendered)]);
    return rendered;
  });
}
