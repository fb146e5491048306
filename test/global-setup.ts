import { execFile } from "node:child_process";
import { statfsSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    templateFolder: string;
  }
}

const run = promisify(execFile);
/** A file system in memory, where Linux has one; whoever sets TMPDIR wants another place. */
const IN_MEMORY = "/dev/shm";
/** The folder of a run, by the process that makes it. */
const RUN_FOLDER = /^licet-run-(\d+)-/;
/** Some databases at a time, of 30 MB and what is written to them. */
const ROOM_BYTES = 4 * 2 ** 30;
const SCRIPT = new URL("./fixtures/template.ts", import.meta.url).pathname;

/** One template of each engine, however many projects copy it: each loads this file anew, in one process. */
interface Template {
  readonly folder: Promise<string>;
  users: number;
}
declare global {
  var licetTemplates: Map<string, Template> | undefined;
}

/**
 * Migrates one database of the project's engine; the tests copy it. In a process of its own, since
 * vitest resolves what a global setup imports without the workspaces' export condition.
 */
export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  const templates = (globalThis.licetTemplates ??= new Map<string, Template>());
  const engine = project.config.env["LICET_TEST_ENGINE"] ?? "pglite";
  const template = templates.get(engine) ?? { folder: createTemplate(engine), users: 0 };
  templates.set(engine, template);
  template.users += 1;
  const folder = await template.folder;
  project.provide("templateFolder", folder);
  return async () => {
    template.users -= 1;
    if (template.users > 0) return;
    try {
      await runScript("drop", engine, folder);
    } finally {
      await rm(dirname(folder), { recursive: true, force: true });
    }
  };
}

async function createTemplate(engine: string): Promise<string> {
  const place = isRoomInMemory() ? IN_MEMORY : tmpdir();
  await removeDeadRuns(place);
  const folder = join(await mkdtemp(join(place, `licet-run-${process.pid}-`)), "template");
  await runScript("create", engine, folder);
  return folder;
}

/** The embedded database is a thousand small files: copying and opening them on a disk is a third of what starting a server takes. */
function isRoomInMemory(): boolean {
  if (process.env["TMPDIR"] !== undefined || process.availableMemory() < ROOM_BYTES) return false;
  try {
    const { bavail, bsize } = statfsSync(IN_MEMORY);
    return bavail * bsize >= ROOM_BYTES;
  } catch {
    return false;
  }
}

/** Whoever was killed could not remove anything. */
async function removeDeadRuns(place: string): Promise<void> {
  for (const name of await readdir(place)) {
    const pid = RUN_FOLDER.exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) await rm(join(place, name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return Object(error).code === "EPERM";
  }
}

async function runScript(verb: "create" | "drop", engine: string, folder: string): Promise<void> {
  const env = { ...process.env, LICET_TEST_ENGINE: engine };
  await run(process.execPath, ["--conditions=@licet/source", SCRIPT, verb, folder], { env });
}
