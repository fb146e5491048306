import { parseJsonObject } from "@licet/protocol";
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, unlinkSync, writeSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { ConfigError } from "../config.ts";

/** The locks of this process: its own pid in a file is otherwise a former process of the same number. */
const heldHere = new Set<string>();

/** How long a file without a holder may still be in the middle of being written. */
const WRITING_MS = 200;

/**
 * Two processes on one embedded database silently lose each other's rows, so the folder is held by
 * a file with the holder's pid and host. A holder that was killed is recognised and replaced.
 * Returns what releases the lock.
 */
export function lockDataFolder(folder: string): () => void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, "licet.lock");
  if (heldHere.has(path)) throw inUse(folder, process.pid);
  if (!create(path)) {
    const text = readLock(path);
    refuseWhileHeld(text, { path, folder });
    removeDead(text, { path, folder });
    if (!create(path)) throw inUse(folder, holderOf(readLock(path)).pid);
  }
  heldHere.add(path);
  return () => {
    heldHere.delete(path);
    unlinkSync(path);
  };
}

interface Place {
  readonly path: string;
  readonly folder: string;
}

/** Answers false when the file is there already. */
function create(path: string): boolean {
  try {
    const file = openSync(path, "wx", 0o600);
    writeSync(file, JSON.stringify({ pid: process.pid, host: hostname() }));
    closeSync(file);
    return true;
  } catch (error) {
    if (isCode(error, "EEXIST")) return false;
    throw error;
  }
}

/** What the file says; one that names nobody is looked at again, since its writer may not be done. */
function readLock(path: string): string {
  const text = readFileSync(path, "utf8");
  if (holderOf(text).pid > 0) return text;
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WRITING_MS);
  return readFileSync(path, "utf8");
}

function refuseWhileHeld(text: string, { path, folder }: Place): void {
  const holder = holderOf(text);
  if (holder.host !== hostname()) {
    throw new ConfigError(
      `LICET_DATA_DIR: ${folder} is held by process ${holder.pid} on ${holder.host}; remove ${path} once that one is stopped`,
    );
  }
  if (holder.pid !== process.pid && isAlive(holder.pid)) throw inUse(folder, holder.pid);
}

/** Takes a dead holder's file out of the way. Whoever finds another file in its place was not the first to come, and puts it back. */
function removeDead(text: string, { path, folder }: Place): void {
  const aside = `${path}.${process.pid}`;
  renameSync(path, aside);
  const moved = readFileSync(aside, "utf8");
  if (moved !== text) {
    renameSync(aside, path);
    throw inUse(folder, holderOf(moved).pid);
  }
  unlinkSync(aside);
}

function inUse(folder: string, pid: number): ConfigError {
  return new ConfigError(
    `LICET_DATA_DIR: ${folder} is in use by process ${pid}; stop it first, or choose another folder`,
  );
}

/** A file that was cut short by a crash names nobody, on this host. */
function holderOf(text: string): { readonly pid: number; readonly host: string } {
  const parsed = parseJsonObject(text);
  const { pid, host } = parsed.ok ? parsed.value : {};
  return typeof pid === "number" && typeof host === "string" ? { pid, host } : { pid: 0, host: hostname() };
}

function isAlive(pid: number): boolean {
  if (pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return isCode(error, "EPERM");
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
