import { TRUST_SECONDS, parseInstant, parseJsonObject } from "@licet/protocol";
import { constants, existsSync } from "node:fs";
import { access, readFile, stat, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Config } from "./config.ts";
import { documentPaths } from "./documents/document-paths.ts";
import { copyFileOf } from "./documents/copy-path.ts";
import type { Finding } from "./examine.ts";

/** Below these a disk is about to be full, and is full in all but name. */
const LOW_BYTES = 2_147_483_648;
const EMPTY_BYTES = 209_715_200;
const GIGABYTE = 1_073_741_824;

/** The folders of a configuration: who may look into them, on which disk they are, how much room is left. */
export async function examineFolders(config: Config): Promise<readonly Finding[]> {
  const { copiesFolder } = config;
  return [
    await examineData(config),
    await examineJournal(config),
    ...(copiesFolder === undefined ? [] : [await examineCopies(copiesFolder)]),
    ...(await examineDisks(config)),
  ];
}

async function examineData({ dataFolder }: Config): Promise<Finding> {
  const name = "data folder";
  if (!existsSync(dataFolder)) return { name, outcome: "warning", detail: `${dataFolder}: the first start makes it` };
  const mode = (await stat(dataFolder)).mode & 0o777;
  return (mode & 0o007) === 0
    ? { name, outcome: "ok", detail: dataFolder }
    : {
        name,
        outcome: "warning",
        detail: `${dataFolder}: everybody on this machine may look into it (mode ${mode.toString(8)}); chmod 700`,
      };
}

async function examineJournal({ journalFolder, dataFolder, databaseUrl }: Config): Promise<Finding> {
  const name = "journal folder";
  const folder = nearestOf(journalFolder);
  try {
    await access(folder, constants.W_OK);
  } catch {
    return {
      name,
      outcome: "wrong",
      detail: `${folder}: cannot be written, so refusals have no second place; give it to the server's user (chown)`,
    };
  }
  const isBesideData =
    databaseUrl === undefined && (await stat(folder)).dev === (await stat(nearestOf(dataFolder))).dev;
  return isBesideData
    ? {
        name,
        outcome: "warning",
        detail: `${journalFolder}: on the same disk as the data, so one broken disk takes both; set LICET_JOURNAL_DIR to a folder on another, or copy it away often`,
      }
    : { name, outcome: "ok", detail: journalFolder };
}

/** Copies are signed ahead: the oldest that may still be trusted shows whether somebody does. */
async function examineCopies(folder: string): Promise<Finding> {
  const name = "copies folder";
  if (!existsSync(folder)) return { name, outcome: "warning", detail: `${folder}: the first start makes it` };
  const path = join(folder, copyFileOf(documentPaths.revocations) ?? "");
  const text = await readFile(path, "utf8").catch(() => undefined);
  if (text === undefined)
    return { name, outcome: "warning", detail: `${path}: not there yet; a running server writes it` };
  const parsed = parseJsonObject(text);
  const checkedAt = parsed.ok ? parsed.value["checked_at"] : undefined;
  const at = typeof checkedAt === "string" ? parseInstant(checkedAt) : undefined;
  const age = at === undefined ? Number.POSITIVE_INFINITY : Math.round(Date.now() / 1_000 - at);
  return age < TRUST_SECONDS
    ? { name, outcome: "ok", detail: `${folder}, signed ${age} s ago` }
    : {
        name,
        outcome: "wrong",
        detail: `${path}: signed ${age} s ago, so readers refuse it; start a server with this LICET_COPIES_DIR, or stop serving the folder`,
      };
}

async function examineDisks(config: Config): Promise<readonly Finding[]> {
  const folders = [config.dataFolder, config.journalFolder, config.copiesFolder].filter((path) => path !== undefined);
  const disks = new Map<number, string>();
  for (const path of folders.map(nearestOf)) {
    const { dev } = await stat(path);
    if (!disks.has(dev)) disks.set(dev, path);
  }
  return Promise.all([...disks.values()].map(examineDisk));
}

async function examineDisk(path: string): Promise<Finding> {
  const { bavail, bsize } = await statfs(path);
  const free = bavail * bsize;
  const name = "disk space";
  const detail = `${path}: ${(free / GIGABYTE).toFixed(1)} GiB free`;
  if (free >= LOW_BYTES) return { name, outcome: "ok", detail };
  return {
    name,
    outcome: free < EMPTY_BYTES ? "wrong" : "warning",
    detail: `${detail}; make room before it is full: then nothing can be written down, refusals included`,
  };
}

/** A folder that is not there yet will be where its nearest ancestor is. */
function nearestOf(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : nearestOf(dirname(path));
}
