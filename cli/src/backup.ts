import { type JsonObject, type JsonValue, isJsonObject, parseJsonObject } from "@licet/protocol";
import { existsSync } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { CommandError, reasonOf } from "./command-error.ts";
import { operatorOf } from "./credentials.ts";
import { runOfflineTask } from "./offline-task.ts";
import type { Settings } from "./settings.ts";
import { type Terminal, counted } from "./terminal.ts";

export interface BackupFlags {
  readonly out?: string;
  readonly verify?: string;
  readonly origin?: string;
  readonly token?: string;
  readonly json?: true;
}

interface Surroundings {
  readonly settings: Settings;
  readonly terminal: Terminal;
}

/**
 * `licet backup`: takes a backup of a running server into a file, or checks one offline. The file
 * has its name only once it is whole and on disk. Ends with 0, with 1 when the server failed, and
 * with 2 when it was asked the wrong way or the file is not a whole backup.
 */
export async function backup(flags: BackupFlags, { settings, terminal }: Surroundings): Promise<number> {
  if ((flags.out === undefined) === (flags.verify === undefined))
    throw new CommandError(
      "expected --out <file> to take a backup or --verify <file> to check one, got neither or both",
    );
  const path = resolve(settings.workingFolder, flags.out ?? flags.verify ?? "");
  if (flags.out !== undefined) await takeBackup(path, flags, { settings, terminal });
  const checked = await checkBackup(path, settings);
  if (flags.json === true) terminal.print(JSON.stringify({ file: path, ...checked }));
  else for (const line of describe(path, checked)) terminal.print(line);
  return 0;
}

/** What a whole backup says of itself. */
async function checkBackup(path: string, { bareEnvironment }: Settings): Promise<JsonObject> {
  return runOfflineTask({ args: ["check-backup", path], environment: bareEnvironment });
}

function describe(path: string, { origin, taken_at, rows, backup_id }: JsonObject): readonly string[] {
  const counts = isJsonObject(rows) ? Object.values(rows).map(Number) : [];
  const total = counts.reduce((sum, count) => sum + count, 0);
  const at = new Date(Number(taken_at) * 1_000).toISOString();
  return [
    `${path} is a whole backup of ${say(origin)}, taken at ${at} (${say(backup_id)}).`,
    `It holds ${counted(total, "row")} of ${counted(counts.length, "table")}. Private keys and secrets in it are sealed:`,
    "without the master key it cannot be restored, so keep that key, and the journal's folder, apart from it.",
  ];
}

function say(value: JsonValue | undefined): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

async function takeBackup(path: string, flags: BackupFlags, { settings, terminal }: Surroundings): Promise<void> {
  const { origin, token } = operatorOf(settings, flags);
  if (existsSync(path)) throw new CommandError(`--out: expected a file that is not there yet, got ${path}`);
  const part = `${path}.${process.pid}.part`;
  try {
    await download({ origin, token, part, terminal });
    // Only what is whole gets the name.
    await checkBackup(part, settings);
    await rename(part, path);
    await syncFolder(dirname(path));
  } catch (error) {
    await rm(part, { force: true });
    throw error instanceof CommandError ? error : new CommandError(`the backup failed: ${reasonOf(error)}`, 1);
  }
}

interface Download {
  readonly origin: string;
  readonly token: string;
  readonly part: string;
  readonly terminal: Terminal;
}

/** Bytes between two looks at the progress. */
const PROGRESS_BYTES = 8_388_608;

async function download({ origin, token, part, terminal }: Download): Promise<void> {
  const response = await fetch(`${origin}/api/v1/backup`, {
    headers: { authorization: `Bearer ${token}` },
    redirect: "error",
  });
  if (response.status !== 200 || response.body === null)
    throw new CommandError(`${origin}: expected a backup, got ${response.status} ${await detailOf(response)}`, 1);
  const file = await open(part, "wx", 0o600);
  try {
    let bytes = 0;
    let shown = 0;
    for await (const chunk of response.body) {
      await file.writeFile(chunk);
      bytes += chunk.length;
      if (!terminal.isWatched || bytes - shown < PROGRESS_BYTES) continue;
      shown = bytes;
      terminal.note(`${Math.round(bytes / 1_048_576)} MiB`);
    }
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Longer answers are no problem of ours. */
const MAX_DETAIL = 400;

async function detailOf(response: Response): Promise<string> {
  const text = await response.text();
  const parsed = parseJsonObject(text);
  const detail = parsed.ok ? parsed.value["detail"] : undefined;
  return (typeof detail === "string" ? detail : text).slice(0, MAX_DETAIL);
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
