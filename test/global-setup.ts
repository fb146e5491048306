import { execFile } from "node:child_process";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    templateFolder: string;
  }
}

const run = promisify(execFile);
const SCRIPT = new URL("./fixtures/template.ts", import.meta.url).pathname;

/**
 * Migrates one database of the project's engine; the tests copy it. In a process of its own, since
 * vitest resolves what a global setup imports without the workspaces' export condition.
 */
export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  const templateFolder = await mkdtemp(join(tmpdir(), "licet-template-"));
  const template = async (verb: "create" | "drop"): Promise<void> => {
    const env = { ...process.env, ...project.config.env };
    await run(process.execPath, ["--conditions=@licet/source", SCRIPT, verb, templateFolder], { env });
  };
  await template("create");
  project.provide("templateFolder", templateFolder);
  return () => template("drop");
}
