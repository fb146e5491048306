import { type JsonObject, isJsonObject, parseJsonObject } from "@licet/protocol";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { nodeArgsFor } from "./child-process.ts";
import { CommandError } from "./command-error.ts";
import { serverEntry } from "./serve.ts";
import type { Environment } from "./settings.ts";

/** The end of what the program said on standard error, kept for the moment it fails. */
const MAX_TAIL = 8_192;

export interface OfflineTask {
  /** What the server's own program is asked to do: `restore …` or `check-backup …`. */
  readonly args: readonly string[];
  readonly environment: Environment;
  readonly onProgress?: (progress: JsonObject) => void;
}

/**
 * Has the server's own program do something without serving, and answers its result. It ends when
 * we end, however we end. Throws a {@link CommandError} with its one line when it refuses.
 */
export async function runOfflineTask({ args, environment, onProgress }: OfflineTask): Promise<JsonObject> {
  const entry = serverEntry();
  const child = spawn(process.execPath, [...nodeArgsFor(entry), fileURLToPath(entry), ...args], {
    env: { ...environment, LICET_EXIT_WITH_PARENT: "1" },
    stdio: ["pipe", "pipe", "pipe"],
  });
  // A program that has ended cannot be told anything any more.
  child.stdin.on("error", () => undefined);
  let tail = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (tail = (tail + text).slice(-MAX_TAIL)));
  let result: JsonObject | undefined;
  createInterface({ input: child.stdout }).on("line", (text) => {
    const line = parseJsonObject(text);
    if (!line.ok) return;
    if (isJsonObject(line.value["progress"])) onProgress?.(line.value["progress"]);
    if (isJsonObject(line.value["result"])) result = line.value["result"];
  });
  await once(child, "close");
  if (child.exitCode === 0 && result !== undefined) return result;
  const said = tail.trimEnd().split("\n").at(-1) ?? "";
  throw new CommandError(
    said.replace(/^licet: /, "") || `expected a result, got the end with exit code ${child.exitCode}`,
    child.exitCode === 2 ? 2 : 1,
  );
}
