import { type AiprefLabel, isOrigin, isWebUrl } from "@licet/protocol";
import { routePathOf } from "./routes.ts";

/** What is done on a route: nothing, tell what would be refused, or refuse it. */
export type RouteMode = "off" | "observe" | "enforce";

/** The addresses that begin with a path, and what holds there; of several the longest counts. */
export interface Route {
  /** As paths are compared: escapes undone, in lower case. */
  readonly path: string;
  readonly mode: RouteMode;
  /** True where only machines have business: whoever asks needs a license, whatever they say they are. */
  readonly isForMachines: boolean;
}

/** How the edge tells the platform what it decided. */
export interface ReportConfig {
  readonly clientId: string;
  readonly clientSecret: string;
}

export interface EdgeConfig {
  /** The platform's Licet server: the `iss` of all it signs. */
  readonly origin: string;
  /** Where it is reached, when that is another address than the one it signs with. */
  readonly address: string;
  readonly routes: readonly Route[];
  /** What the operator opens to everybody where no work that the platform knows says otherwise. */
  readonly policy: readonly AiprefLabel[];
  /** Where a license is had, in place of the platform's RSL documents. */
  readonly licenseUrl: string | undefined;
  /** `USD 0.01`: what a request costs, as crawlers read it. */
  readonly crawlerPrice: string | undefined;
  /** Product tokens and directories that are no agents here, such as those of search engines. */
  readonly exempt: readonly string[];
  /** SHA-256 of client certificates that AI agents present. */
  readonly agentCertificates: readonly string[];
  /** Exact `host:port` pairs of directories that may be private, or without https. */
  readonly allowedHosts: readonly string[];
  readonly allowsTest: boolean;
  /** The first clock here; the platform's is 15 seconds. */
  readonly ttlSeconds: number;
  readonly originTimeoutMs: number;
  readonly report: ReportConfig | undefined;
}

/** What a host reads its settings from: an environment, or the variables of a Worker. */
export type Settings = Readonly<Record<string, string | undefined>>;

/** A setting that is missing or cannot be used, in words. */
export class SettingsError extends Error {}

const DEFAULT_TTL_SECONDS = 15;
const DEFAULT_ORIGIN_TIMEOUT_MS = 2_000;
const MAX_ROUTES = 200;
const MAX_ENTRIES = 1_000;

/** Reads the settings that every host has. Throws a {@link SettingsError}. */
export function readEdgeConfig(settings: Settings): EdgeConfig {
  const origin = required(settings, "LICET_ORIGIN");
  if (!isOrigin(origin))
    throw new SettingsError(`LICET_ORIGIN: expected an origin such as https://licet.example.org, got ${origin}`);
  const address = settings["LICET_EDGE_ORIGIN_ADDRESS"] || origin;
  if (!isOrigin(address)) throw new SettingsError(`LICET_EDGE_ORIGIN_ADDRESS: expected an origin, got ${address}`);
  const licenseUrl = settings["LICET_EDGE_LICENSE_URL"] || undefined;
  if (licenseUrl !== undefined && !isWebUrl(licenseUrl))
    throw new SettingsError(`LICET_EDGE_LICENSE_URL: expected a URL, got ${licenseUrl}`);
  return {
    origin,
    address,
    licenseUrl,
    routes: readRoutes(settings["LICET_EDGE_ROUTES"]),
    policy: readPolicy(settings),
    crawlerPrice: readPrice(settings["LICET_EDGE_CRAWLER_PRICE"]),
    exempt: entriesOf(settings, "LICET_EDGE_EXEMPT", /^\S+$/),
    agentCertificates: entriesOf(settings, "LICET_EDGE_AGENT_CERTIFICATES", /^[0-9a-f]{64}$/),
    allowedHosts: entriesOf(settings, "LICET_ALLOW_HOSTS", /^(\[[0-9a-f:]+\]|[a-z0-9.-]+):\d{1,5}$/),
    allowsTest: oneOf(settings, "LICET_EDGE_TEST", ["0", "1"]) === "1",
    ttlSeconds: readNumber(settings, "LICET_EDGE_TTL_SECONDS", {
      standard: DEFAULT_TTL_SECONDS,
      most: DEFAULT_TTL_SECONDS,
    }),
    originTimeoutMs: readNumber(settings, "LICET_EDGE_ORIGIN_TIMEOUT_MS", {
      standard: DEFAULT_ORIGIN_TIMEOUT_MS,
      most: 30_000,
    }),
    report: readReport(settings),
  };
}

function required(settings: Settings, name: string): string {
  const value = settings[name];
  if (value === undefined || value === "") throw new SettingsError(`${name}: expected a value, got none`);
  return value;
}

/** `/works/=enforce /feeds/=observe /bulk/=enforce+machines` */
function readRoutes(text = ""): readonly Route[] {
  const entries = text.split(/\s+/).filter((entry) => entry !== "");
  if (entries.length === 0) return [{ path: "/", mode: "enforce", isForMachines: false }];
  if (entries.length > MAX_ROUTES) throw new SettingsError(`LICET_EDGE_ROUTES: expected at most ${MAX_ROUTES} routes`);
  return entries.map((entry) => {
    const [, path, mode, machines] = /^(\/[^\s=]*)=(off|observe|enforce)(\+machines)?$/.exec(entry) ?? [];
    if (path === undefined || mode === undefined)
      throw new SettingsError(
        `LICET_EDGE_ROUTES: expected <path>=off, observe or enforce, with +machines where only machines ask, got ${entry}`,
      );
    const compared = routePathOf(path);
    if (compared === undefined)
      throw new SettingsError(
        `LICET_EDGE_ROUTES: expected a path as a request has it, without dot segments, doubled slashes, backslashes and queries, got ${path}`,
      );
    return { path: compared, mode: mode as RouteMode, isForMachines: machines !== undefined };
  });
}

const POLICY = [
  ["train-ai", "LICET_EDGE_AI_TRAIN"],
  ["ai-use", "LICET_EDGE_AI_INPUT"],
  ["search", "LICET_EDGE_SEARCH"],
] as const satisfies readonly (readonly [AiprefLabel, string])[];

function readPolicy(settings: Settings): readonly AiprefLabel[] {
  return POLICY.filter(([, name]) => oneOf(settings, name, ["yes", "no"]) === "yes").map(([label]) => label);
}

function oneOf<const T extends string>(settings: Settings, name: string, choices: readonly T[]): T | undefined {
  const value = settings[name];
  if (value === undefined || value === "") return undefined;
  const choice = choices.find((candidate) => candidate === value);
  if (choice === undefined) throw new SettingsError(`${name}: expected ${choices.join(" or ")}, got ${value}`);
  return choice;
}

function readPrice(text: string | undefined): string | undefined {
  if (text === undefined || text === "") return undefined;
  if (!/^[A-Z]{3} \d{1,9}(\.\d{1,6})?$/.test(text))
    throw new SettingsError(
      `LICET_EDGE_CRAWLER_PRICE: expected a currency and an amount such as USD 0.01, got ${text}`,
    );
  return text;
}

function entriesOf(settings: Settings, name: string, form: RegExp): readonly string[] {
  const entries = (settings[name] ?? "").split(/[\s,]+/).filter((entry) => entry !== "");
  const wrong = entries.find((entry) => !form.test(entry));
  if (wrong !== undefined || entries.length > MAX_ENTRIES)
    throw new SettingsError(
      `${name}: expected at most ${MAX_ENTRIES} entries of the form ${form.source}, got ${wrong ?? "more"}`,
    );
  return entries;
}

function readNumber(
  settings: Settings,
  name: string,
  { standard, most }: { readonly standard: number; readonly most: number },
): number {
  const text = settings[name];
  if (text === undefined || text === "") return standard;
  const value = Number(text);
  if (!/^\d{1,6}(\.\d{1,3})?$/.test(text) || value > most)
    throw new SettingsError(`${name}: expected a number of at most ${most}, got ${text}`);
  return value;
}

function readReport(settings: Settings): ReportConfig | undefined {
  const clientId = settings["LICET_EDGE_CLIENT_ID"] || undefined;
  const clientSecret = settings["LICET_EDGE_CLIENT_SECRET"] || undefined;
  if (clientId !== undefined && clientSecret !== undefined) return { clientId, clientSecret };
  if (clientId === undefined && clientSecret === undefined) return undefined;
  throw new SettingsError("LICET_EDGE_CLIENT_ID and LICET_EDGE_CLIENT_SECRET: expected both or neither, got one");
}
