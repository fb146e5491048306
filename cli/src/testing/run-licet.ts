import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { SHORT_LIVED } from "../../../test/fixtures/child-process.ts";
import { type Environment, readSettings } from "../settings.ts";

const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));
const NODE_ARGS = [...SHORT_LIVED, "--conditions=@licet/source"];

/** Starts the command line as a person would, without any setting of ours in its environment. */
export function startLicet(args: readonly string[], environment: Environment = {}): ChildProcess {
  const env = { ...readSettings().bareEnvironment, npm_lifecycle_event: undefined, ...environment };
  return spawn(process.execPath, [...NODE_ARGS, MAIN, ...args], {
    env,
    stdio: ["pipe", "pipe", "pipe"],
  });
}

export interface Ended {
  readonly exitCode: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs a command to its end. */
export async function runLicet(args: readonly string[], environment: Environment = {}): Promise<Ended> {
  const child = startLicet(args, environment);
  const out = collect(child.stdout);
  const err = collect(child.stderr);
  await once(child, "close");
  return { exitCode: child.exitCode, out: out(), err: err() };
}

/** What a stream has said so far. */
export function collect(stream: ChildProcess["stdout"]): () => string {
  let text = "";
  stream?.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  return () => text;
}
