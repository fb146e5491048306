import { canonicalize, sha256Hex } from "@licet/protocol";
import { randomBytes } from "node:crypto";
import { type FileHandle, mkdir, open, readFile, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "pino";
import type { Clock } from "../context.ts";
import type { Db } from "../db/open-database.ts";
import { type JournalRow, deleteJournalRows, readJournalRows } from "./journal-store.ts";

/**
 * The journal beside the backups: whatever was refused, on disk before it is answered. It is all a
 * restore has of what happened after its backup. Each line names the hash of the line before it, so
 * that an edit or a cut in the middle is seen; a file is never written on by another process.
 */
export interface Journal {
  /** Writes what a committed fact left, and waits for the disk; what could not be written stays in the database for the sweep. */
  readonly append: (rows: readonly JournalRow[]) => Promise<void>;
  /** Forgets what is on disk and writes what is not, also what a crash left. */
  readonly sweep: (options: { readonly beforeMs: number }) => Promise<void>;
  /** Since when nothing could be written, in milliseconds since the epoch; undefined while all is well. */
  readonly failingSinceMs: () => number | undefined;
  readonly close: () => Promise<void>;
}

export interface JournalParts {
  readonly db: Db;
  readonly folder: string;
  readonly origin: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A file that has grown beyond this is followed by another. */
const MAX_FILE_BYTES = 67_108_864;
/** An answer waits this long for the disk; after that the sweep takes over, and the log says so. */
const MAX_WAIT_MS = 5_000;
/** Rows in one statement, and the size of one round of the sweep. */
const SWEEP_BATCH = 500;

interface OpenFile {
  readonly handle: FileHandle;
  readonly name: string;
  lines: number;
  bytes: number;
  /** SHA-256 of the last line that is surely on disk. */
  last: string;
}

interface Waiting {
  readonly rows: readonly JournalRow[];
  readonly settle: () => void;
}

export function createJournal(parts: JournalParts): Journal {
  const { db, clock, log } = parts;
  const waiting: Waiting[] = [];
  const written = new Set<number>();
  let file: OpenFile | undefined;
  let writing: Promise<void> | undefined;
  let failingSinceMs: number | undefined;

  /** Whoever comes while others wait for the disk goes with the next write, all of them at once. */
  async function writeWaiting(): Promise<void> {
    while (waiting.length > 0) {
      const batch = waiting.splice(0);
      const rows = batch.flatMap((entry) => entry.rows);
      try {
        if (file !== undefined && file.bytes > MAX_FILE_BYTES) await closeFile();
        file ??= await openFile(parts);
        if (rows.length > 0) await writeRows(file, rows);
        for (const { serial } of rows) written.add(serial);
        failingSinceMs = undefined;
      } catch (error) {
        failingSinceMs ??= clock.nowMs();
        log.error(
          { folder: parts.folder, entries: rows.length, error: String(error) },
          "the journal cannot be written: a restore would not know of what is refused now; it stays in the database and is tried again",
        );
        await closeFile();
      }
      for (const { settle } of batch) settle();
    }
  }

  /** A line that was cut short stays the last one of its file. */
  async function closeFile(): Promise<void> {
    const closing = file;
    file = undefined;
    await closing?.handle.close().catch((error: unknown) => log.warn({ error: String(error) }, "a journal file"));
  }

  async function append(rows: readonly JournalRow[]): Promise<void> {
    if (rows.length > 0) await write(rows);
  }

  async function write(rows: readonly JournalRow[]): Promise<void> {
    const turn = Promise.withResolvers<void>();
    waiting.push({ rows, settle: turn.resolve });
    writing ??= writeWaiting().finally(() => (writing = undefined));
    const timer = setTimeout(() => {
      log.error({ waited_ms: MAX_WAIT_MS }, "the journal's disk does not answer");
      turn.resolve();
    }, MAX_WAIT_MS);
    await turn.promise;
    clearTimeout(timer);
  }

  return {
    append,
    sweep: async ({ beforeMs }) => {
      // A file is there from the start, so that a folder without one is the wrong folder.
      if (file === undefined) await write([]);
      await sweepRows({ db, written, append, beforeMs });
    },
    failingSinceMs: () => failingSinceMs,
    close: async () => {
      await writing;
      await closeFile();
    },
  };
}

interface SweepParts {
  readonly db: Db;
  /** The serials that are on disk. */
  readonly written: Set<number>;
  readonly append: Journal["append"];
  readonly beforeMs: number;
}

/** Deletes the rows that are on disk and appends those that are not, until something cannot be written. */
async function sweepRows({ db, written, append, beforeMs }: SweepParts): Promise<void> {
  while (written.size > 0) {
    const serials = [...written].slice(0, SWEEP_BATCH);
    await deleteJournalRows(db, serials);
    for (const serial of serials) written.delete(serial);
  }
  for (;;) {
    const rows = await readJournalRows(db, { beforeMs, limit: SWEEP_BATCH });
    await append(rows.filter(({ serial }) => !written.has(serial)));
    const done = rows.map((row) => row.serial).filter((serial) => written.has(serial));
    await deleteJournalRows(db, done);
    for (const serial of done) written.delete(serial);
    if (rows.length < SWEEP_BATCH || done.length < rows.length) return;
  }
}

/** Names sort by time; two servers never take the same. */
function nameAt(nowMs: number): string {
  return `journal-${new Date(nowMs).toISOString().replaceAll(/[-:.]/g, "")}-${randomBytes(4).toString("hex")}.ndjson`;
}

export const JOURNAL_FILE = /^journal-\d{8}T\d{9}Z-[0-9a-f]{8}\.ndjson$/;

async function openFile({ folder, origin, clock }: JournalParts): Promise<OpenFile> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const follows = await lastLine(folder);
  const name = nameAt(clock.nowMs());
  const handle = await open(join(folder, name), "ax", 0o600);
  const header = canonicalize({ licet_journal: 1, origin, started_at_ms: clock.nowMs(), follows });
  try {
    await handle.writeFile(`${header}\n`);
    await handle.datasync();
    await syncFolder(folder);
  } catch (error) {
    // Every sweep tries again: a full disk must not end up full of empty files.
    await handle.close();
    await rm(join(folder, name), { force: true });
    throw error;
  }
  return { handle, name, lines: 0, bytes: header.length, last: sha256Hex(header) };
}

/** The newest file and its last whole line: whoever takes a file away, or cuts its end off, breaks this link. */
async function lastLine(folder: string): Promise<{ readonly file: string; readonly sha256: string } | null> {
  const names = (await readdir(folder)).filter((name) => JOURNAL_FILE.test(name)).sort();
  for (const file of names.toReversed()) {
    const text = await readFile(join(folder, file), "utf8");
    const line = text
      .slice(0, text.lastIndexOf("\n") + 1)
      .split("\n")
      .at(-2);
    // A file that is being made, or whose server died while it made it, has no line to follow.
    if (line !== undefined) return { file, sha256: sha256Hex(line) };
  }
  return null;
}

/** A new name is on disk only once its folder is. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function writeRows(file: OpenFile, rows: readonly JournalRow[]): Promise<void> {
  let { last, lines } = file;
  const text = rows.map(({ serial, entry }) => {
    lines += 1;
    const line = `{"fact":${entry},"line":${lines},"previous":"${last}","serial":${serial}}`;
    last = sha256Hex(line);
    return `${line}\n`;
  });
  const bytes = Buffer.from(text.join(""));
  await file.handle.writeFile(bytes);
  await file.handle.datasync();
  Object.assign(file, { last, lines, bytes: file.bytes + bytes.length });
}
