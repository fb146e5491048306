import { type JsonObject, parseJsonObject } from "@licet/protocol";
import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:os";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { CommandError } from "./command-error.ts";
import type { Environment } from "./settings.ts";

/** A program that is not ready after this long is given up. */
const START_SECONDS = 180;
/** A program that was asked to stop gets this long to finish what it is doing. */
const STOP_SECONDS = 15;
const MAX_READY_LINE = 65_536;
/** The end of what a program said on standard error, kept for the moment something fails. */
const MAX_TAIL = 8_192;
/** Our programs from their TypeScript sources. */
const SOURCE = "--conditions=@licet/source";
/** What holds for any process: memory, certificates, TLS, name resolution. What is not named here, a script or a debugger's port above all, is not passed on. */
const INHERITED =
  /^--(max[-_][a-z_-]+[-_]size=\d+|use-(system|bundled|openssl)-ca|(enable|force)-fips|openssl-[a-z-]+(=.+)?|tls-[a-z]+[\w.-]*(=.+)?|dns-result-order=\w+|disable-wasm-trap-handler|liftoff-only)$/;

export interface ProgramOptions {
  /** How it is called in sentences. */
  readonly name: string;
  /** The file URL of its entry. */
  readonly entry: string;
  readonly environment: Environment;
  /** `inherit` shows its standard error to the person in front of us; `keep` keeps the end of it. */
  readonly errors: "inherit" | "keep";
}

/** A program of ours that runs, or is about to, as a process of its own. */
export interface Program {
  readonly name: string;
  /** The JSON line it prints once it is ready. Rejects when it ends before, or takes too long. */
  readonly ready: Promise<JsonObject>;
  /** Its exit code, as a shell counts it, once it has ended. */
  readonly ended: Promise<number>;
  /** The end of what it said on standard error. */
  readonly errorTail: () => string;
  readonly signal: (signal: NodeJS.Signals) => void;
  /** Closes its standard input, asks it to stop, and in the end makes it. */
  readonly stop: () => Promise<number>;
}

/**
 * Starts one of our programs. Its standard input is a pipe that closes when we end, however we
 * end, and the program stops with it.
 */
export function startProgram({ name, entry, environment, errors }: ProgramOptions): Program {
  const child = spawn(process.execPath, [...nodeArgsFor(entry), fileURLToPath(entry)], {
    env: { ...environment },
    stdio: ["pipe", "pipe", errors === "inherit" ? "inherit" : "pipe"],
  });
  // A program that has ended cannot be told anything any more.
  child.stdin?.on("error", () => undefined);
  const ended = endOf(child);
  const errorTail = child.stderr === null ? () => "" : keepTail(child.stderr);
  const ready = readReadyLine(child, name, ended, errorTail);
  // Whoever stops a program early does not wait for it to be ready.
  ready.catch(() => undefined);
  return {
    name,
    ready,
    ended,
    errorTail,
    signal: (signal) => void child.kill(signal),
    stop: () => stopChild(child, ended),
  };
}

/** What Node is told: what it was told about this process, as far as it holds for any. */
export function nodeArgsFor(entry: string): readonly string[] {
  const inherited = process.execArgv.filter((arg) => INHERITED.test(arg));
  return entry.endsWith(".ts") ? [...inherited, SOURCE] : inherited;
}

function endOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve) => {
    child.once("error", () => resolve(1));
    child.once("exit", (code, signal) => resolve(code ?? (signal === null ? 1 : 128 + constants.signals[signal])));
  });
}

async function stopChild(child: ChildProcess, ended: Promise<number>): Promise<number> {
  child.stdin?.end();
  if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
  const last = setTimeout(() => child.kill("SIGKILL"), STOP_SECONDS * 1_000);
  try {
    return await ended;
  } finally {
    clearTimeout(last);
  }
}

function keepTail(stream: Readable): () => string {
  let tail = "";
  stream.setEncoding("utf8").on("data", (text: string) => (tail = (tail + text).slice(-MAX_TAIL)));
  return () => tail.trimEnd();
}

async function readReadyLine(
  child: ChildProcess,
  name: string,
  ended: Promise<number>,
  errorTail: () => string,
): Promise<JsonObject> {
  const early = ended.then((code): never => {
    const said = errorTail();
    throw new CommandError(
      `expected ${name} to start, got its end with exit code ${code}${said === "" ? "" : `: ${said.split("\n").at(-1) ?? ""}`}`,
      code === 2 ? 2 : 1,
    );
  });
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new CommandError(`expected ${name} to be ready within ${START_SECONDS} seconds, got nothing`, 1)),
      START_SECONDS * 1_000,
    );
  });
  try {
    return await Promise.race([firstObject(child, name), early, late]);
  } finally {
    clearTimeout(timer);
  }
}

function firstObject(child: ChildProcess, name: string): Promise<JsonObject> {
  return new Promise((resolve, reject) => {
    let text = "";
    child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
      if (text.length > MAX_READY_LINE) return;
      text += chunk;
      const line = text.split("\n", 1)[0] ?? "";
      if (line.length === text.length) return;
      text = " ".repeat(MAX_READY_LINE + 1);
      const parsed = parseJsonObject(line);
      if (parsed.ok && parsed.value["ready"] === true) resolve(parsed.value);
      else
        reject(
          new CommandError(`expected ${name} to print that it is ready, got ${JSON.stringify(line.slice(0, 200))}`, 1),
        );
    });
  });
}

/** A member of a ready line that has to be a text. */
export function readyText(ready: JsonObject, member: string): string {
  const value = ready[member];
  if (typeof value !== "string")
    throw new CommandError(`expected a ready program to print ${member}, got ${JSON.stringify(value)}`, 1);
  return value;
}
