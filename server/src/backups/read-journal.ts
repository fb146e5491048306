import { type JsonObject, type JsonValue, isJsonObject, parseJsonObject, sha256Hex } from "@licet/protocol";
import { createReadStream } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError } from "../config.ts";
import type { KeptGrant, KeptHold, KeptMapping, KeptStatus } from "../events/journal-entry.ts";
import { JOURNAL_FILE } from "../events/journal.ts";

export interface JournalEvent {
  readonly id: string;
  readonly type: string;
  readonly aggregate: string;
  readonly body: JsonObject;
}

/** One fact, as the journal kept it. */
export interface JournalFact {
  readonly serial: number;
  readonly atMs: number;
  readonly events: readonly JournalEvent[];
  readonly statuses: readonly KeptStatus[];
  readonly grants: readonly KeptGrant[];
  readonly holds: readonly KeptHold[];
  readonly mappings: readonly KeptMapping[];
}

interface Predecessor {
  readonly file: string;
  readonly sha256: string;
}

interface JournalFile {
  readonly path: string;
  readonly name: string;
  readonly startedAtMs: number;
  readonly follows: Predecessor | undefined;
  /** The hashes of its whole lines. */
  readonly hashes: ReadonlySet<string>;
  readonly facts: readonly JournalFact[];
}

/** More facts than this since a backup: take backups more often. */
const MAX_FACTS = 2_000_000;

/**
 * Reads the journals in these folders, each fact once, in the order in which the database knew
 * them. A line that was being written when a server died may be the last of its file; any other
 * change is refused with a ConfigError: an edit, a cut, and a file that is missing although it may
 * tell of something after `takenAt` (seconds since the epoch).
 */
export async function readJournals(
  folders: readonly string[],
  { origin, takenAt }: { readonly origin: string; readonly takenAt: number },
): Promise<readonly JournalFact[]> {
  const files = new Map<string, JournalFile>();
  const facts = new Map<number, JournalFact>();
  for (const folder of folders) {
    for (const name of await listFiles(folder)) {
      const file = await readJournalFile(join(folder, name), name, origin);
      files.set(name, file);
      for (const fact of file.facts) facts.set(fact.serial, fact);
      if (facts.size > MAX_FACTS)
        throw new ConfigError(`${folder}: expected at most ${MAX_FACTS} facts in the journals, got more`);
    }
  }
  for (const file of files.values()) checkPredecessor(file, files, takenAt);
  return [...facts.values()].sort((left, right) => left.serial - right.serial);
}

const LINE_FEED = 0x0a;
/** A fact that ends a hundred thousand consents at once is about this long. */
const MAX_LINE_BYTES = 67_108_864;

async function listFiles(folder: string): Promise<readonly string[]> {
  let names: readonly string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    throw new ConfigError(
      `--journal: expected a folder, got ${folder} (${error instanceof Error ? error.message : String(error)})`,
    );
  }
  const files = names.filter((name) => JOURNAL_FILE.test(name)).sort();
  if (files.length === 0) throw new ConfigError(`--journal: expected journal files in ${folder}, got none`);
  return files;
}

function checkPredecessor(file: JournalFile, files: ReadonlyMap<string, JournalFile>, takenAt: number): void {
  const { follows } = file;
  if (follows === undefined) return;
  const predecessor = files.get(follows.file);
  if (predecessor === undefined) {
    // What was written before the backup was taken is in the backup.
    if (file.startedAtMs < takenAt * 1_000) return;
    throw new ConfigError(`${file.path}: expected the journal file before it, ${follows.file}, beside it, got none`);
  }
  if (!predecessor.hashes.has(follows.sha256))
    throw new ConfigError(
      `${predecessor.path}: expected the line that ${file.name} follows, got a journal that was cut short`,
    );
}

async function readJournalFile(path: string, name: string, origin: string): Promise<JournalFile> {
  const hashes = new Set<string>();
  const facts: JournalFact[] = [];
  let header: Omit<JournalFile, "path" | "name" | "hashes" | "facts"> | undefined;
  let last = "";
  for await (const { text, isWhole } of readLines(path)) {
    if (!isWhole) break;
    if (header === undefined) header = headerOf(path, text, origin);
    else facts.push(factOf(path, text, { line: facts.length + 1, last }));
    last = sha256Hex(text);
    hashes.add(last);
  }
  // A server that died while it made the file wrote nothing else into it.
  return { path, name, hashes, facts, ...(header ?? { startedAtMs: 0, follows: undefined }) };
}

/** Lines, each with whether its end was written. Only a line feed ends one: other separators may stand in a text. */
async function* readLines(path: string): AsyncGenerator<{ readonly text: string; readonly isWhole: boolean }> {
  let begun = Buffer.alloc(0);
  for await (const chunk of createReadStream(path)) {
    let from = 0;
    for (let end = chunk.indexOf(LINE_FEED); end !== -1; end = chunk.indexOf(LINE_FEED, from)) {
      yield { text: Buffer.concat([begun, chunk.subarray(from, end)]).toString("utf8"), isWhole: true };
      begun = Buffer.alloc(0);
      from = end + 1;
    }
    begun = Buffer.concat([begun, chunk.subarray(from)]);
    if (begun.length > MAX_LINE_BYTES)
      throw new ConfigError(`${path}: expected lines of at most ${MAX_LINE_BYTES} bytes, got a longer one`);
  }
  if (begun.length > 0) yield { text: begun.toString("utf8"), isWhole: false };
}

function headerOf(path: string, text: string, origin: string): Pick<JournalFile, "startedAtMs" | "follows"> {
  const parsed = parseJsonObject(text);
  const value: JsonObject = parsed.ok ? parsed.value : {};
  const { licet_journal, started_at_ms, follows } = value;
  if (licet_journal !== 1 || typeof started_at_ms !== "number")
    throw new ConfigError(`${path}: expected a Licet journal, got ${JSON.stringify(text.slice(0, 80))}`);
  if (value["origin"] !== origin)
    throw new ConfigError(`${path}: expected the journal of ${origin}, got that of ${JSON.stringify(value["origin"])}`);
  return { startedAtMs: started_at_ms, follows: predecessorOf(follows) };
}

function predecessorOf(value: JsonValue | undefined): Predecessor | undefined {
  if (!isJsonObject(value)) return undefined;
  const { file, sha256 } = value;
  return typeof file === "string" && typeof sha256 === "string" ? { file, sha256 } : undefined;
}

function factOf(
  path: string,
  text: string,
  { line, last }: { readonly line: number; readonly last: string },
): JournalFact {
  const parsed = parseJsonObject(text);
  const value: JsonObject = parsed.ok ? parsed.value : {};
  const { fact, serial } = value;
  if (value["previous"] !== last || value["line"] !== line)
    throw new ConfigError(`${path}: expected line ${line} to follow the one before it: the journal was altered`);
  if (!isJsonObject(fact) || typeof serial !== "number" || typeof fact["at_ms"] !== "number")
    throw new ConfigError(`${path}: expected a fact in line ${line}: the journal was altered`);
  return {
    serial,
    atMs: fact["at_ms"],
    events: listOf(fact["events"]).flatMap(({ id, type, aggregate, body }) =>
      typeof id === "string" && typeof type === "string" && typeof aggregate === "string" && isJsonObject(body)
        ? [{ id, type, aggregate, body }]
        : [],
    ),
    statuses: listOf(fact["statuses"]).flatMap(({ status_list, status_idx, status }) =>
      typeof status_list === "number" && typeof status_idx === "number" && isStatus(status)
        ? [{ status_list, status_idx, status }]
        : [],
    ),
    grants: listOf(fact["grants"]).flatMap(({ jti, status_list, status_idx, expires_at }) =>
      typeof jti === "string" &&
      typeof status_list === "number" &&
      typeof status_idx === "number" &&
      typeof expires_at === "number"
        ? [{ jti, status_list, status_idx, expires_at }]
        : [],
    ),
    holds: listOf(fact["holds"]).flatMap(({ kind, id, holder, is_held }) =>
      isHeldKind(kind) && typeof id === "string" && isHolder(holder) && typeof is_held === "boolean"
        ? [{ kind, id, holder, is_held }]
        : [],
    ),
    mappings: listOf(fact["mappings"]).flatMap(mappingOf),
  };
}

function mappingOf(value: JsonObject): readonly KeptMapping[] {
  const { upstream_id, content_id, jti, upstream_dataset_id, upstream_content_id, upstream_jti, is_mapped } = value;
  if (typeof upstream_id !== "string" || typeof upstream_jti !== "string" || typeof is_mapped !== "boolean") return [];
  const ours = { content_id: textOrNull(content_id), jti: textOrNull(jti) };
  const theirs = {
    upstream_dataset_id: textOrNull(upstream_dataset_id),
    upstream_content_id: textOrNull(upstream_content_id),
    upstream_jti,
  };
  return [{ upstream_id, ...ours, ...theirs, is_mapped }];
}

function textOrNull(value: JsonValue | undefined): string | null {
  return typeof value === "string" ? value : null;
}

function isHeldKind(value: unknown): value is KeptHold["kind"] {
  return value === "consent" || value === "content" || value === "dataset";
}

function isHolder(value: unknown): value is KeptHold["holder"] {
  return value === "platform" || value === "creator" || (typeof value === "string" && value.startsWith("upstream:"));
}

function isStatus(value: unknown): value is KeptStatus["status"] {
  return value === "valid" || value === "revoked" || value === "suspended";
}

function listOf(value: unknown): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}
