import { isHalfLifeOver } from "@licet/protocol";
import type { Clock, SigningKeys } from "../context.ts";
import type { Db, Trx } from "../db/open-database.ts";
import { type DocumentContent, type ServedDocument, renderDocument } from "./render-document.ts";
import { lockDocuments, lockForResigning, readDocument, saveDocument } from "./store.ts";

/** Renders one document inside a fact, after its row is locked. */
export type DocumentRenderer = (trx: Trx) => Promise<DocumentContent>;

/** The public documents: rows that say the truth, and copies in memory that answer. */
export interface Documents {
  /** The document at a path, signed again when half of its life is over; undefined when there is none. */
  readonly read: (path: string) => Promise<ServedDocument | undefined>;
  /** The copy in memory when it needs no signing again: the quick way to answer. */
  readonly peek: (path: string) => ServedDocument | undefined;
  /** Renders, signs and saves documents under row locks; `remember` what it answers once the transaction is committed. */
  readonly write: (
    trx: Trx,
    renderers: ReadonlyMap<string, DocumentRenderer>,
    now: number,
  ) => Promise<readonly ServedDocument[]>;
  /** Puts committed documents into memory; one with a higher `seq` is never replaced. */
  readonly remember: (documents: readonly ServedDocument[]) => void;
}

/** Copies in memory; beyond it the ones used longest ago go. At a few KB each, well under 256 MB. */
const MAX_COPIES = 20_000;

export interface DocumentsParts {
  readonly db: Db;
  readonly clock: Clock;
  readonly origin: string;
  readonly signingKeys: SigningKeys;
}

export function createDocuments(parts: DocumentsParts): Documents {
  const copies = new Map<string, ServedDocument>();
  const signings = new Map<string, Promise<ServedDocument | undefined>>();

  function now(): number {
    return Math.floor(parts.clock.nowMs() / 1_000);
  }

  function remember(documents: readonly ServedDocument[]): void {
    for (const document of documents) {
      const held = copies.get(document.path);
      if (held !== undefined && held.seq > document.seq) continue;
      copies.delete(document.path);
      copies.set(document.path, document);
    }
    for (const path of copies.keys()) {
      if (copies.size <= MAX_COPIES) break;
      copies.delete(path);
    }
  }

  function peek(path: string): ServedDocument | undefined {
    const held = copies.get(path);
    return held !== undefined && !isDue(held, now()) ? held : undefined;
  }

  async function read(path: string): Promise<ServedDocument | undefined> {
    const held = copies.get(path) ?? (await readDocument(parts.db, path));
    if (held === undefined) return undefined;
    if (!isDue(held, now())) {
      remember([held]);
      return held;
    }
    return signAgainOnce(held);
  }

  /** Many readers may find a document due at once; one signs, all wait. A held one is still good while signing fails. */
  async function signAgainOnce(held: ServedDocument): Promise<ServedDocument | undefined> {
    const signing =
      signings.get(held.path) ?? signAgain(parts, held.path, now()).finally(() => signings.delete(held.path));
    signings.set(held.path, signing);
    try {
      const served = await signing;
      if (served !== undefined) remember([served]);
      return served;
    } catch (error) {
      if (held.lifetime !== undefined && now() < held.lifetime.expiresAt) return held;
      throw error;
    }
  }

  return { read, peek, remember, write: (trx, renderers, at) => writeDocuments(parts, trx, renderers, at) };
}

function isDue(document: ServedDocument, now: number): boolean {
  return (
    document.lifetime !== undefined && isHalfLifeOver(document.lifetime.checkedAt, document.lifetime.expiresAt, now)
  );
}

async function writeDocuments(
  parts: DocumentsParts,
  trx: Trx,
  renderers: ReadonlyMap<string, DocumentRenderer>,
  now: number,
): Promise<readonly ServedDocument[]> {
  if (renderers.size === 0) return [];
  const signer = parts.signingKeys.signerFor("document");
  const seqs = await lockDocuments(trx, [...renderers.keys()]);
  const served: ServedDocument[] = [];
  for (const [path, render] of renderers) {
    const document = await render(trx);
    const rendered = await renderDocument(document, {
      path,
      seq: (seqs.get(path) ?? 0) + 1,
      now,
      origin: parts.origin,
      signer,
    });
    await saveDocument(trx, document, rendered);
    served.push(rendered);
  }
  return served;
}

async function signAgain(parts: DocumentsParts, path: string, now: number): Promise<ServedDocument | undefined> {
  return parts.db.transaction().execute(async (trx) => {
    const locked = await lockForResigning(trx, path);
    if (locked === undefined || !isDue(locked.served, now)) return locked?.served;
    const signer = parts.signingKeys.signerFor("document");
    const rendered = await renderDocument(locked.document, {
      path,
      seq: locked.served.seq + 1,
      now,
      origin: parts.origin,
      signer,
    });
    await saveDocument(trx, locked.document, rendered);
    return rendered;
  });
}
