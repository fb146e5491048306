import type { JsonObject } from "@licet/protocol";
import { resolve } from "node:path";
import { readyText, startProgram } from "./child-process.ts";
import type { Settings } from "./settings.ts";
import { type Terminal, wrap } from "./terminal.ts";

export interface ServeFlags {
  readonly port?: string;
  readonly host?: string;
  readonly dataDir?: string;
  readonly origin?: string;
}

const FORWARDED = ["SIGINT", "SIGTERM", "SIGHUP"] as const satisfies readonly NodeJS.Signals[];

/** `licet serve`: the server in the foreground. Ends when it ends, with its exit code. */
export async function serve(
  flags: ServeFlags,
  { settings, terminal }: { readonly settings: Settings; readonly terminal: Terminal },
): Promise<number> {
  const program = startProgram({
    name: "the server",
    entry: serverEntry(),
    environment: environmentOf(flags, settings),
    errors: "inherit",
  });
  for (const signal of FORWARDED) process.on(signal, () => program.signal(signal === "SIGHUP" ? "SIGTERM" : signal));
  if (settings.exitWithParent) process.stdin.once("close", () => void program.stop()).resume();
  // A server that does not start has said why on standard error, which is ours too.
  const ready = await Promise.race([program.ended, program.ready]);
  if (typeof ready === "number") return ready;
  terminal.print(welcome(ready, settings, terminal));
  const exitCode = await program.ended;
  process.stdin.destroy();
  return exitCode;
}

/** The server's own entry, beside what its package exports. */
export function serverEntry(): string {
  const exported = import.meta.resolve("@licet/server");
  return new URL(exported.endsWith(".ts") ? "./main.ts" : "./main.js", exported).href;
}

function environmentOf(
  { port, host, dataDir, origin }: ServeFlags,
  { environment, workingFolder }: Settings,
): Settings["environment"] {
  return {
    ...environment,
    ...(port === undefined ? {} : { LICET_PORT: port }),
    ...(host === undefined ? {} : { LICET_HOST: host }),
    ...(dataDir === undefined ? {} : { LICET_DATA_DIR: resolve(workingFolder, dataDir) }),
    ...(origin === undefined ? {} : { LICET_ORIGIN: origin }),
    LICET_EXIT_WITH_PARENT: "1",
  };
}

function welcome(ready: JsonObject, { commandName }: Settings, { columns, paint }: Terminal): string {
  const origin = readyText(ready, "origin");
  const running = `Licet is running at ${paint("bold", origin)} (Ctrl-C stops it).`;
  if (ready["operator_token"] === undefined) return running;
  const advice =
    "It opens everything here, and it is shown this once: only its hash is kept. Put it where you keep passwords, give it to commands as LICET_TOKEN, and never write it into a repository, a URL or a chat.";
  return [
    running,
    "",
    "This is the operator's token:",
    "",
    `    ${paint("bold", readyText(ready, "operator_token"))}`,
    "",
    wrap(advice, { width: columns }),
    "",
    "What to do first:",
    "",
    ...firstSteps(origin, commandName),
  ].join("\n");
}

function firstSteps(origin: string, commandName: string): string[] {
  return [
    `    export LICET_ORIGIN=${origin} LICET_TOKEN=…`,
    `    ${commandName} import ./works --creator user:1 --register \\`,
    "      --base-url https://platform.example/works/",
    `    ${commandName} consent --creator user:1 --key user-1.jwk`,
    "",
    `${origin}/openapi.json says what else the server does.`,
  ];
}
