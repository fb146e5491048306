import { execFile } from "node:child_process";
import { statfsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
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
/** A file system in memory, where Linux has one. */
const IN_MEMORY = "/dev/shm";
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
    await runScript("drop", engine, folder);
    await rm(dirname(folder), { recursive: true, force: true });
  };
}

async function createTemplate(engine: string): Promise<string> {
  const folder = join(await mkdtemp(join(placeOfRun(), "licet-run-")), "template");
  await runScript("create", engine, folder);
  return folder;
}

/** The embedded database is a thousand small files: copying and opening them takes longer on a disk than all else of a start. */
function placeOfRun(): string {
  try {
    const { bavail, bsize } = statfsSync(IN_MEMORY);
    return bavail * bsize >= ROOM_BYTES ? IN_MEMORY : tmpdir();
  } catch {
    return tmpdir();
  }
}

async function runScript(verb: "create" | "drop", engine: string, folder: string): Promise<void> {
  const env = { ...process.env, LICET_TEST_ENGINE: engine };
  await run(process.execPath, ["--conditions=@licet/source", SCRIPT, verb, folder], { env });
}
