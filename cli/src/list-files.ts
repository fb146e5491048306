import { type Dirent } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { CommandError, reasonOf } from "./command-error.ts";

const MAX_FILES = 1_000_000;
const MAX_DEPTH = 64;

/** A file in a folder, by its path relative to it, with `/` between the segments. */
interface ListedFile {
  readonly relativePath: string;
  readonly sizeBytes: number;
}

/** Something that is no work, and why. */
interface SkippedEntry {
  readonly relativePath: string;
  readonly reason: string;
}

export interface Listing {
  readonly files: readonly ListedFile[];
  readonly skipped: readonly SkippedEntry[];
}

/**
 * Lists a folder and everything below it, in the same order everywhere. Hidden entries, symbolic
 * links, empty files and whatever is no file are named as skipped.
 */
export async function listFiles(folder: string): Promise<Listing> {
  const files: ListedFile[] = [];
  const skipped: SkippedEntry[] = [];

  async function visit(relativeFolder: string, depth: number): Promise<void> {
    for (const entry of await entriesOf(join(folder, relativeFolder))) {
      if (files.length + skipped.length === MAX_FILES)
        throw new CommandError(`expected at most ${MAX_FILES} files in ${folder}: import its folders one by one`);
      const relativePath = relativeFolder === "" ? entry.name : `${relativeFolder}/${entry.name}`;
      const reason = reasonToSkip(entry, depth);
      if (reason !== undefined) skipped.push({ relativePath, reason });
      else if (entry.isDirectory()) await visit(relativePath, depth + 1);
      else await take(relativePath);
    }
  }

  async function take(relativePath: string): Promise<void> {
    try {
      const { size } = await lstat(join(folder, relativePath));
      if (size === 0) skipped.push({ relativePath, reason: "it is empty" });
      else files.push({ relativePath, sizeBytes: size });
    } catch (error) {
      skipped.push({ relativePath, reason: `it cannot be read: ${reasonOf(error)}` });
    }
  }

  await visit("", 0);
  return { files, skipped };
}

async function entriesOf(folder: string): Promise<readonly Dirent[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.sort((left, right) => (left.name < right.name ? -1 : 1));
  } catch (error) {
    throw new CommandError(`expected a folder that can be read, got ${reasonOf(error)}`);
  }
}

function reasonToSkip(entry: Dirent, depth: number): string | undefined {
  if (entry.name.startsWith(".")) return "it is hidden";
  if (entry.isSymbolicLink()) return "it is a symbolic link";
  if (entry.isDirectory()) return depth < MAX_DEPTH ? undefined : `it is deeper than ${MAX_DEPTH} folders`;
  return entry.isFile() ? undefined : "it is not a file";
}
