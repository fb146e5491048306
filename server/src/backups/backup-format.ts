import { type JsonObject, type JsonValue, isJsonObject, parseJsonObject } from "@licet/protocol";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { createGunzip } from "node:zlib";
import { pipeline } from "node:stream/promises";
import { PassThrough } from "node:stream";
import { ConfigError } from "../config.ts";

/**
 * A backup is gzipped NDJSON: a header, then for each table a line that names it and a line for each
 * row, then an end with the counts and the SHA-256 of all lines before it, once plain, so that
 * anybody can check the file, and once sealed with the master key, so that nobody else can write one.
 */
export const BACKUP_VERSION = 1;

export interface Migration {
  readonly name: string;
  readonly sha256: string;
}

export interface BackupHeader {
  readonly licet_backup: typeof BACKUP_VERSION;
  readonly backup_id: string;
  readonly origin: string;
  readonly mode: string;
  readonly engine: string;
  /** Seconds since the epoch. */
  readonly taken_at: number;
  readonly migrations: readonly Migration[];
}

/** A part of a table that holds rows of a range, and has to be there before they are. */
export interface Partition {
  readonly name: string;
  readonly bound: string;
}

export interface BackupTable {
  readonly table: string;
  readonly columns: readonly string[];
  readonly partitions: readonly Partition[];
}

export interface BackupEnd {
  readonly rows: Readonly<Record<string, number>>;
  readonly sha256: string;
  /** base64url, under the label of {@link backupLabel}. */
  readonly seal: string;
}

export type BackupLine =
  | { readonly kind: "header"; readonly header: BackupHeader }
  | { readonly kind: "table"; readonly table: BackupTable }
  /** A row as JSON text that PostgreSQL wrote and will read. */
  | { readonly kind: "row"; readonly text: string }
  | { readonly kind: "end"; readonly end: BackupEnd };

/** A row is written between these, and never parsed by us: PostgreSQL knows its own numbers best. */
export const ROW_START = '{"row":';
export const ROW_END = "}";

/** What the seal of a backup is made for. */
export function backupLabel(backupId: string): string {
  return `backup/${backupId}`;
}

/** No row is longer: the longest hold a signed document, twice as long in hexadecimal. */
const MAX_LINE_BYTES = 134_217_728;
const NEWLINE = 0x0a;

/**
 * Reads a backup line by line, in constant memory. The last line comes only when everything before
 * it is what was written. Throws a ConfigError on a file that is not a whole backup.
 */
export async function* readBackup(path: string): AsyncGenerator<BackupLine> {
  const hash = createHash("sha256");
  const rows: Record<string, number> = {};
  let table = "";
  let place = 0;
  let isOver = false;
  for await (const bytes of readLines(path)) {
    if (isOver) throw new ConfigError(`${path}: expected nothing after the end of the backup`);
    place += 1;
    const text = bytes.toString("utf8");
    if (place > 1 && text.startsWith(ROW_START)) {
      if (table === "") throw new ConfigError(`${path}: expected a table before line ${place}`);
      rows[table] = (rows[table] ?? 0) + 1;
      hash.update(bytes).update("\n");
      yield { kind: "row", text: text.slice(ROW_START.length, -ROW_END.length) };
      continue;
    }
    const line = parseLine(path, text, place);
    if (line.kind === "end") {
      checkEnd(path, line.end, { rows, sha256: hash.digest("hex") });
      isOver = true;
    } else {
      hash.update(bytes).update("\n");
    }
    if (line.kind === "table") {
      table = line.table.table;
      rows[table] = 0;
    }
    yield line;
  }
  if (!isOver) throw new ConfigError(`${path}: expected a whole backup, got one that was cut short`);
}

function checkEnd(path: string, end: BackupEnd, read: Omit<BackupEnd, "seal">): void {
  const names = new Set([...Object.keys(end.rows), ...Object.keys(read.rows)]);
  const wrong = [...names].find((name) => end.rows[name] !== read.rows[name]);
  if (wrong !== undefined)
    throw new ConfigError(
      `${path}: expected ${end.rows[wrong] ?? "no"} rows of ${wrong}, got ${read.rows[wrong] ?? "none"}: the backup was altered`,
    );
  if (end.sha256 !== read.sha256)
    throw new ConfigError(`${path}: expected SHA-256 ${end.sha256}, got ${read.sha256}: the backup was altered`);
}

function parseLine(path: string, text: string, place: number): Exclude<BackupLine, { kind: "row" }> {
  const parsed = parseJsonObject(text);
  const value: JsonValue | undefined = parsed.ok ? parsed.value : undefined;
  if (place === 1) {
    if (isHeader(value)) return { kind: "header", header: value };
    throw new ConfigError(
      `${path}: expected a Licet backup of version ${BACKUP_VERSION}, got ${JSON.stringify(text.slice(0, 80))}`,
    );
  }
  if (isTable(value)) return { kind: "table", table: value };
  if (isEnd(value)) return { kind: "end", end: value };
  throw new ConfigError(`${path}: expected a table, a row or the end in line ${place}: the backup was altered`);
}

function isHeader(value: JsonValue | undefined): value is JsonObject & BackupHeader {
  return (
    isJsonObject(value) &&
    value["licet_backup"] === BACKUP_VERSION &&
    isText(value["backup_id"]) &&
    isText(value["origin"]) &&
    isText(value["mode"]) &&
    isText(value["engine"]) &&
    Number.isSafeInteger(value["taken_at"]) &&
    isListOf(value["migrations"], (entry) => isText(entry["name"]) && isText(entry["sha256"]))
  );
}

function isTable(value: JsonValue | undefined): value is JsonObject & BackupTable {
  return (
    isJsonObject(value) &&
    isText(value["table"]) &&
    Array.isArray(value["columns"]) &&
    value["columns"].every(isText) &&
    isListOf(value["partitions"], (entry) => isText(entry["name"]) && isText(entry["bound"]))
  );
}

function isEnd(value: JsonValue | undefined): value is JsonObject & BackupEnd {
  return (
    isJsonObject(value) &&
    isJsonObject(value["rows"]) &&
    Object.values(value["rows"]).every(Number.isSafeInteger) &&
    isText(value["sha256"]) &&
    isText(value["seal"])
  );
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isListOf(value: JsonValue | undefined, isEntry: (entry: JsonObject) => boolean): boolean {
  return Array.isArray(value) && value.every((entry) => isJsonObject(entry) && isEntry(entry));
}

async function* readLines(path: string): AsyncGenerator<Buffer> {
  const plain = new PassThrough();
  const reading = pipeline(createReadStream(path), createGunzip(), plain);
  // The reader of `plain` meets the same error.
  reading.catch(() => undefined);
  try {
    yield* splitLines(plain, path);
    await reading;
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new ConfigError(
      `${path}: expected a whole backup, got one that cannot be read (${error instanceof Error ? error.message : String(error)})`,
    );
  } finally {
    plain.destroy();
  }
}

async function* splitLines(chunks: AsyncIterable<Buffer>, path: string): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, from)) {
      yield Buffer.concat([...parts, chunk.subarray(from, at)]);
      parts = [];
      length = 0;
      from = at + 1;
    }
    parts.push(chunk.subarray(from));
    length += chunk.length - from;
    if (length > MAX_LINE_BYTES)
      throw new ConfigError(`${path}: expected lines of at most ${MAX_LINE_BYTES} bytes: the backup was altered`);
  }
  if (length > 0) throw new ConfigError(`${path}: expected a whole backup, got one that was cut short`);
}

/** Reads a whole backup and answers what it says of itself. Throws a ConfigError on one that is not whole. */
export async function checkBackup(path: string): Promise<{ readonly header: BackupHeader; readonly end: BackupEnd }> {
  let header: BackupHeader | undefined;
  let end: BackupEnd | undefined;
  for await (const line of readBackup(path)) {
    if (line.kind === "header") header = line.header;
    if (line.kind === "end") end = line.end;
  }
  if (header === undefined || end === undefined)
    throw new ConfigError(`${path}: expected a whole backup, got an empty one`);
  return { header, end };
}
