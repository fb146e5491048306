import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { startProgram } from "./child-process.ts";

test("a program gets the flags of Node that we got, but for a debugger's port and starting anew", async () => {
  const folder = await mkdtemp(join(tmpdir(), "licet-flags-"));
  const own = process.execArgv.splice(0, Infinity, "--no-warnings", "--inspect=9229", "--watch-path=.");
  onTestFinished(async () => {
    process.execArgv.splice(0, Infinity, ...own);
    await rm(folder, { recursive: true });
  });
  const entry = join(folder, "says-its-flags.mjs");
  await writeFile(entry, `console.log(JSON.stringify({ ready: true, flags: process.execArgv }));`);
  const program = startProgram({
    name: "the program",
    entry: pathToFileURL(entry).href,
    environment: {},
    errors: "inherit",
  });
  expect(await program.ready).toEqual({ ready: true, flags: ["--no-warnings"] });
  expect(await program.ended).toBe(0);
});
