/** What the environment says. It is read here and nowhere else. */
export interface Settings {
  /** The server that `import` registers with. */
  readonly origin: string | undefined;
  readonly token: string | undefined;
  readonly clientId: string | undefined;
  readonly clientSecret: string | undefined;
  /** What `listen` signs with. */
  readonly webhookSecret: string | undefined;
  /** Stop when standard input closes, so that nothing outlives the program that started us. */
  readonly exitWithParent: boolean;
  readonly wantsColour: boolean;
  /** What a person types to run a command the way this one was run. */
  readonly commandName: string;
  /** Where that person is: `npm run` starts its scripts in the repository's root. */
  readonly workingFolder: string;
  /** Handed on to a server in the foreground. */
  readonly environment: Environment;
  /** The same without the settings of any Licet program or database: for processes that must not touch what is in use. */
  readonly bareEnvironment: Environment;
}

export type Environment = Readonly<Record<string, string | undefined>>;

const OUR_SETTINGS = /^(LICET|MARKETPLACE|PLATFORM|CLOUDFLARE)_|^DATABASE_URL$/;

/** The root's scripts that start this program. */
const OUR_SCRIPTS = ["licet", "demo"];

export function readSettings(environment: Environment = process.env): Settings {
  const isScript = OUR_SCRIPTS.includes(environment["npm_lifecycle_event"] ?? "");
  return {
    origin: present(environment["LICET_ORIGIN"]),
    token: present(environment["LICET_TOKEN"]),
    clientId: present(environment["LICET_CLIENT_ID"]),
    clientSecret: present(environment["LICET_CLIENT_SECRET"]),
    webhookSecret: present(environment["LICET_WEBHOOK_SECRET"]),
    exitWithParent: environment["LICET_EXIT_WITH_PARENT"] === "1",
    // https://no-color.org: set and not empty means none.
    wantsColour: present(environment["NO_COLOR"]) === undefined && environment["TERM"] !== "dumb",
    commandName: commandNameOf(isScript, environment),
    workingFolder: (isScript ? present(environment["INIT_CWD"]) : undefined) ?? process.cwd(),
    environment,
    bareEnvironment: Object.fromEntries(Object.entries(environment).filter(([name]) => !OUR_SETTINGS.test(name))),
  };
}

/** npx says so; whoever installed us for everybody types the plain name. */
function commandNameOf(isScript: boolean, { npm_command: command }: Environment): string {
  if (isScript) return "npm run --silent licet --";
  return command === "exec" ? "npx licet" : "licet";
}

function present(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}
