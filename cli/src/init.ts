import { confirm, input, select } from "@inquirer/prompts";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, open } from "node:fs/promises";
import { join, resolve } from "node:path";
import { CommandError } from "./command-error.ts";
import { settingLine } from "./config-file.ts";
import { runOfflineTask } from "./offline-task.ts";
import type { Settings } from "./settings.ts";
import { type Terminal, wrap } from "./terminal.ts";

export interface InitFlags {
  readonly origin?: string;
  readonly host?: string;
  readonly port?: string;
  readonly tls?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly trustedProxies?: string;
  readonly database?: string;
  readonly databaseUrl?: string;
  readonly dataDir?: string;
  readonly journalDir?: string;
  readonly copiesDir?: string;
  readonly mode?: string;
  readonly yes?: true;
}

interface Surroundings {
  readonly settings: Settings;
  readonly terminal: Terminal;
}

const TLS_CHOICES = [
  { value: "proxy", name: "a proxy in front of it (nginx, Caddy) does it" },
  { value: "own", name: "this server does it, with a certificate of yours" },
  { value: "none", name: "none: only this machine reaches it" },
] as const;
const DATABASE_CHOICES = [
  { value: "embedded", name: "embedded (one server)" },
  { value: "postgres", name: "PostgreSQL (one server or several)" },
] as const;
const MODE_CHOICES = [
  { value: "live", name: "live" },
  { value: "test", name: "test: everything that is signed says so, and live readers refuse it" },
] as const;

/** `licet init`: asks what a server needs, tries it, and writes settings and a master key. Nothing that is there is overwritten. */
export async function init(folder: string, flags: InitFlags, { settings, terminal }: Surroundings): Promise<number> {
  const home = resolve(settings.workingFolder, folder);
  const file = join(home, "licet.env");
  const keyFile = join(home, "master.key");
  for (const path of [file, keyFile])
    if (existsSync(path)) throw new CommandError(`${path} is there already: init writes nothing over it`);
  const isAsking = flags.yes !== true && process.stdin.isTTY;
  const chosen = await answersOf(flags, { home, ask: createAsker(isAsking, flags.yes === true) });
  const environment = Object.fromEntries(chosen.map(({ name, value }) => [name, value]));
  const checked = await runOfflineTask({
    args: ["check-config"],
    environment: { ...settings.bareEnvironment, ...environment },
  });
  terminal.note(`The settings fit together; database: ${JSON.stringify(checked["database"])}.`);
  await mkdir(home, { recursive: true, mode: 0o700 });
  await writeNew(keyFile, randomBytes(32).toString("base64url"));
  await writeNew(file, renderFile([...chosen, keySetting(keyFile)]));
  terminal.print(nextSteps(file, keyFile, settings, terminal));
  return 0;
}

interface Setting {
  readonly name: string;
  readonly value: string;
  readonly says: string;
}

function keySetting(keyFile: string): Setting {
  return {
    name: "LICET_MASTER_KEY_FILE",
    value: keyFile,
    says: "It seals private keys and secrets. Keep a copy apart from every backup: without it none can be restored.",
  };
}

interface Asker {
  readonly text: (flag: string, given: string | undefined, message: string, fallback?: string) => Promise<string>;
  readonly choose: <T extends string>(
    flag: string,
    given: string | undefined,
    message: string,
    choices: readonly { readonly value: T; readonly name: string }[],
  ) => Promise<T>;
  /** Something that may be left out. */
  readonly maybe: (given: string | undefined, message: string, fallback: string) => Promise<string | undefined>;
}

/** A person is asked; a script is told which flag it forgot, and with --yes gets the defaults. */
function createAsker(isAsking: boolean, takesDefaults: boolean): Asker {
  const missing = (flag: string): never => {
    throw new CommandError(`expected ${flag}, since nobody is there to be asked (or --yes for what has a default)`);
  };
  return {
    text: async (flag, given, message, fallback) => {
      if (given !== undefined) return given;
      if (isAsking) return input({ message, required: true, ...(fallback === undefined ? {} : { default: fallback }) });
      return takesDefaults && fallback !== undefined ? fallback : missing(flag);
    },
    choose: async (flag, given, message, choices) => {
      const known = choices.find(({ value }) => value === given)?.value;
      if (known !== undefined) return known;
      if (given !== undefined)
        throw new CommandError(`${flag}: expected ${choices.map(({ value }) => value).join(" or ")}, got ${given}`);
      if (isAsking) return select({ message, choices: [...choices] });
      return (takesDefaults ? choices[0]?.value : undefined) ?? missing(flag);
    },
    maybe: async (given, message, fallback) => {
      if (given !== undefined || !isAsking) return given;
      return (await confirm({ message, default: false }))
        ? input({ message: "Which folder?", default: fallback })
        : undefined;
    },
  };
}

async function answersOf(
  flags: InitFlags,
  { home, ask }: { readonly home: string; readonly ask: Asker },
): Promise<readonly Setting[]> {
  const origin = await ask.text(
    "--origin",
    flags.origin,
    "How does the world reach the server? (https://licet.example.org)",
  );
  const tls = await ask.choose("--tls", flags.tls, "Who does TLS?", TLS_CHOICES);
  const host = await ask.text("--host", flags.host, "Which address does it listen on?", "127.0.0.1");
  const port = await ask.text("--port", flags.port, "Which port?", "4242");
  const settings: Setting[] = [
    {
      name: "LICET_ORIGIN",
      value: origin,
      says: "How the world reaches the server. Everything it signs names it: choose it once.",
    },
    { name: "LICET_HOST", value: host, says: "Where it listens." },
    { name: "LICET_PORT", value: port, says: "" },
    ...(await tlsSettings(tls, flags, ask)),
    ...(await databaseSettings(flags, ask)),
  ];
  const folderOf = (path: string): string => resolve(home, path);
  const data = await ask.text("--data-dir", flags.dataDir, "Where does it keep its data?", join(home, "data"));
  const journal = await ask.text(
    "--journal-dir",
    flags.journalDir,
    "Where does the journal of refusals go? (best on another disk)",
    join(home, "journal"),
  );
  const copies = await ask.maybe(
    flags.copiesDir,
    "Keep copies of the public documents for a web server?",
    join(home, "copies"),
  );
  const mode = await ask.choose("--mode", flags.mode, "Live, or a test?", MODE_CHOICES);
  settings.push(
    { name: "LICET_DATA_DIR", value: folderOf(data), says: "The embedded database, if it is used." },
    {
      name: "LICET_JOURNAL_DIR",
      value: folderOf(journal),
      says: "What a restore needs so that nothing revoked stands again. Copy it often.",
    },
    ...(copies === undefined
      ? []
      : [
          {
            name: "LICET_COPIES_DIR",
            value: folderOf(copies),
            says: "Copies of the public documents, for any web server.",
          },
        ]),
    { name: "LICET_MODE", value: mode, says: "live or test; a database keeps its mode." },
  );
  return settings;
}

async function tlsSettings(tls: "own" | "proxy" | "none", flags: InitFlags, ask: Asker): Promise<readonly Setting[]> {
  if (tls === "none") return [];
  if (tls === "proxy") {
    const proxies = await ask.text(
      "--trusted-proxies",
      flags.trustedProxies,
      "Which addresses does the proxy call from?",
      "127.0.0.1,::1",
    );
    return [{ name: "LICET_TRUSTED_PROXIES", value: proxies, says: "Who may say where a request came from." }];
  }
  const cert = await ask.text("--tls-cert", flags.tlsCert, "Where is the certificate with its chain (PEM)?");
  const key = await ask.text("--tls-key", flags.tlsKey, "Where is its private key (PEM)?");
  return [
    { name: "LICET_TLS_CERT", value: resolve(cert), says: "Read again when they change." },
    { name: "LICET_TLS_KEY", value: resolve(key), says: "" },
  ];
}

async function databaseSettings(flags: InitFlags, ask: Asker): Promise<readonly Setting[]> {
  const given = flags.database ?? (flags.databaseUrl === undefined ? undefined : "postgres");
  const database = await ask.choose("--database", given, "Which database?", DATABASE_CHOICES);
  if (database === "embedded") return [];
  const url = await ask.text("--database-url", flags.databaseUrl, "Its connection string? (postgres://…)");
  return [
    { name: "DATABASE_URL", value: url, says: "It may hold a password: this file is for the server's user alone." },
  ];
}

function renderFile(settings: readonly Setting[]): string {
  const lines = settings.flatMap(({ name, value, says }) => [
    ...(says === "" ? [] : [`# ${says}`]),
    settingLine(name, value),
  ]);
  return [
    "# Settings of a Licet server: licet serve --config licet.env, or EnvironmentFile= of systemd.",
    "# docs/operations.md names the others.",
    ...lines,
    "",
  ].join("\n");
}

async function writeNew(path: string, text: string): Promise<void> {
  const handle = await open(path, "wx", 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function nextSteps(file: string, keyFile: string, { commandName }: Settings, { columns, paint }: Terminal): string {
  return [
    `${paint("bold", file)} has the settings, ${paint("bold", keyFile)} the master key.`,
    "",
    wrap(
      "Copy the master key to where no backup of the database goes. Without it nothing that is sealed can be opened again.",
      { width: columns },
    ),
    "",
    "What comes next:",
    "",
    `    ${commandName} serve --config ${file}`,
    `    ${commandName} doctor --config ${file}`,
  ].join("\n");
}
