import { execFile } from "node:child_process";
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
  const folder = join(await mkdtemp(join(tmpdir(), "licet-run-")), "template");
  await runScript("create", engine, folder);
  return folder;
}

async function runScript(verb: "create" | "drop", engine: string, folder: string): Promise<void> {
  const env = { ...process.env, LICET_TEST_ENGINE: engine };
  await run(process.execPath, ["--conditions=@licet/source", SCRIPT, verb, folder], { env });
}
