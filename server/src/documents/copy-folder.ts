import { isJsonObject, parseJson } from "@licet/protocol";
import { createHash, randomUUID } from "node:crypto";
import { mkdir, opendir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import type { Logger } from "pino";
import type { Notices } from "../db/notifications.ts";
import type { Db } from "../db/open-database.ts";
import { copyFileOf, pathOfCopy } from "./copy-path.ts";
import { parseEntry } from "./documents.ts";
import type { ServedDocument } from "./render-document.ts";
import { readDocumentPage, readDocuments } from "./store.ts";

/** Documents looked at in one step. */
const BATCH = 200;
/** Changes that wait for the disk; beyond them everything is looked at. */
const MAX_WAITING = 10_000;
/** After a disk that was full, or a database that was away. */
const RETRY_MS = 2_000;
/** A file that was being written this long ago belongs to a process that died. */
const ABANDONED_MS = 60_000;
const WRITING = /\.writing-[0-9a-f-]{36}$/;

export interface CopyParts {
  readonly folder: string;
  readonly db: Db;
  readonly notices: Notices;
  readonly log: Logger;
}

/** Copies of the public documents as files. */
export interface Copies {
  readonly stop: () => Promise<void>;
}

/**
 * Keeps a file for each public document: at start, after every change, and again after notices
 * may have been lost. Nobody waits for it: what a copy says is bounded by the document's own clocks.
 */
export function startCopies(parts: CopyParts): Copies {
  const waiting = new Set<string>();
  const stopping = new AbortController();
  let isAllWaiting = false;
  let running: Promise<void> | undefined;

  function wake(): void {
    running ??= work().finally(() => {
      running = undefined;
      if (isAllWaiting || waiting.size > 0) wake();
    });
  }

  async function work(): Promise<void> {
    while (!stopping.signal.aborted && (isAllWaiting || waiting.size > 0)) {
      try {
        await step();
      } catch (error) {
        isAllWaiting = true;
        parts.log.error({ folder: parts.folder, error: String(error) }, "copies of documents could not be written");
        await pause(RETRY_MS, stopping.signal);
      }
    }
    if (stopping.signal.aborted) {
      isAllWaiting = false;
      waiting.clear();
    }
  }

  async function step(): Promise<void> {
    if (isAllWaiting) {
      isAllWaiting = false;
      waiting.clear();
      await copyAll(parts, stopping.signal);
      return;
    }
    const paths = [...waiting].slice(0, BATCH);
    for (const path of paths) waiting.delete(path);
    await copyPaths(parts, paths);
  }

  function expect(entries: readonly string[] | "all"): void {
    if (stopping.signal.aborted) return;
    if (entries === "all") isAllWaiting = true;
    else for (const entry of entries) waiting.add(parseEntry(entry).path);
    if (waiting.size > MAX_WAITING) isAllWaiting = true;
    wake();
  }

  parts.notices.on("documents", expect);
  expect("all");
  return {
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
}

/** Compares every document with its file, then every file with the documents. */
async function copyAll(parts: CopyParts, signal: AbortSignal): Promise<void> {
  await mkdir(parts.folder, { recursive: true });
  for (let after: string | undefined = ""; after !== undefined && !signal.aborted;) {
    const page = await readDocumentPage(parts.db, { after, limit: BATCH });
    const outdated: string[] = [];
    for (const { path, etag } of page) if ((await etagOfCopy(parts.folder, path)) !== etag) outdated.push(path);
    if (outdated.length > 0) await copyPaths(parts, outdated);
    after = page.length < BATCH ? undefined : page.at(-1)?.path;
  }
  if (!signal.aborted) await removeStrays(parts);
}

async function copyPaths(parts: CopyParts, paths: readonly string[]): Promise<void> {
  const documents = await readDocuments(parts.db, paths);
  for (const document of documents) await writeCopy(parts, document);
  const found = new Set(documents.map(({ path }) => path));
  for (const path of paths) if (!found.has(path)) await removeCopy(parts.folder, path);
}

/** Whole or not at all, and never in the place of a newer one. */
async function writeCopy({ folder, log }: CopyParts, document: ServedDocument): Promise<void> {
  const file = copyFileOf(document.path);
  if (file === undefined) return;
  const target = join(folder, file);
  const held = await readIfThere(target);
  if (held !== undefined && held.equals(document.bytes)) return;
  if (held !== undefined && seqOf(held) > document.seq) {
    log.warn({ path: document.path, seq: document.seq }, "a copy is newer than the document and stays");
    return;
  }
  const writing = `${target}.writing-${randomUUID()}`;
  if (held === undefined) await mkdir(dirname(target), { recursive: true });
  try {
    await writeFile(writing, document.bytes, { mode: 0o644 });
    await rename(writing, target);
  } catch (error) {
    await rm(writing, { force: true });
    throw error;
  }
}

async function removeCopy(folder: string, path: string): Promise<void> {
  const file = copyFileOf(path);
  if (file !== undefined) await rm(join(folder, file), { force: true });
}

/** Takes away copies of documents that are gone, and what dead processes left half-written. Other files stay. */
async function removeStrays(parts: CopyParts): Promise<void> {
  let copies: string[] = [];
  for await (const entry of await opendir(parts.folder, { recursive: true })) {
    if (!entry.isFile()) continue;
    const place = join(entry.parentPath, entry.name);
    if (WRITING.test(entry.name)) await removeAbandoned(place);
    const path = pathOfCopy(relative(parts.folder, place).split(sep).join("/"));
    if (path !== undefined) copies.push(path);
    if (copies.length < BATCH) continue;
    await removeGone(parts, copies);
    copies = [];
  }
  await removeGone(parts, copies);
}

async function removeGone({ db, folder }: CopyParts, paths: readonly string[]): Promise<void> {
  if (paths.length === 0) return;
  const known = new Set((await readDocuments(db, paths)).map(({ path }) => path));
  for (const path of paths) if (!known.has(path)) await removeCopy(folder, path);
}

async function removeAbandoned(place: string): Promise<void> {
  const { mtimeMs } = await stat(place);
  if (Date.now() - mtimeMs > ABANDONED_MS) await rm(place, { force: true });
}

async function etagOfCopy(folder: string, path: string): Promise<string | undefined> {
  const file = copyFileOf(path);
  const held = file === undefined ? undefined : await readIfThere(join(folder, file));
  return held === undefined ? undefined : `"${createHash("sha256").update(held).digest("base64url")}"`;
}

async function readIfThere(place: string): Promise<Buffer | undefined> {
  try {
    return await readFile(place);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

/** The `seq` that a copy states, as JSON or as a JWT; 0 for a document that never changes, and for what is none. */
function seqOf(bytes: Buffer): number {
  const text = bytes.toString("utf8");
  const payload = text.startsWith("{") ? text : Buffer.from(text.split(".")[1] ?? "", "base64url").toString("utf8");
  const parsed = parseJson(payload);
  const seq = parsed.ok && isJsonObject(parsed.value) ? parsed.value["seq"] : 0;
  return typeof seq === "number" ? seq : 0;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
