import { decodeBase64url, isOrigin } from "@licet/protocol";
import { resolve } from "node:path";

/** What an operator sets, read once at start; everything else derives from it. */
export interface Config {
  /** How the world reaches this server: the `iss` of everything it signs. */
  readonly origin: string;
  readonly host: string;
  readonly port: number;
  /** Holds the embedded database and the master key. */
  readonly dataFolder: string;
  /** PostgreSQL; undefined means the embedded PGlite. */
  readonly databaseUrl: string | undefined;
  /** 32 bytes; undefined means a key file in the data folder. */
  readonly masterKey: Uint8Array | undefined;
  readonly logLevel: LogLevel;
  /** `host:port` pairs that outbound requests may reach although they are private or not https. */
  readonly allowedHosts: readonly string[];
  readonly sessionSeconds: number;
  readonly drainSeconds: number;
  /** Stop when standard input closes, so that no server outlives the program that started it. */
  readonly exitWithParent: boolean;
}

export const LOG_LEVELS = ["silent", "fatal", "error", "warn", "info", "debug", "trace"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** A configuration that cannot be meant: one clear line, and the boot stops. */
export class ConfigError extends Error {}

export const ENVIRONMENT = {
  LICET_ORIGIN: "the origin the world sees, such as https://licet.example.org (default: http://localhost:<port>)",
  LICET_HOST: "the address to listen on (default: 127.0.0.1)",
  LICET_PORT: "the port to listen on; 0 picks a free one and needs no LICET_ORIGIN (default: 4242)",
  LICET_DATA_DIR: "the folder for the embedded database and the master key (default: ./data)",
  DATABASE_URL: "a PostgreSQL connection string; without it the embedded database is used",
  LICET_MASTER_KEY:
    "32 bytes in base64url that seal private keys and secrets (default: a 0600 file in the data folder)",
  LICET_LOG_LEVEL: `one of ${LOG_LEVELS.join(" ")} (default: info)`,
  LICET_ALLOW_HOSTS: "host:port pairs, separated by commas, that webhooks and registrations may reach without https",
  LICET_SESSION_HOURS: "how long a creator's session lasts (default: 12)",
  LICET_DRAIN_SECONDS: "how long a stop waits for open requests (default: 10)",
  LICET_EXIT_WITH_PARENT: "1 stops the server when its standard input closes (default: 0)",
} as const;

type Environment = Readonly<Record<string, string | undefined>>;

const DEFAULT_PORT = 4242;
const MAX_PORT = 65_535;

/** Reads the environment. Throws a {@link ConfigError} on what contradicts itself. */
export function readConfig(env: Environment): Config {
  refuseUnknown(env);
  const port = readNumber(env, "LICET_PORT", DEFAULT_PORT, { min: 0, max: MAX_PORT });
  const host = readText(env, "LICET_HOST", "127.0.0.1");
  return {
    origin: readOrigin(env["LICET_ORIGIN"], { host, port }),
    host,
    port,
    dataFolder: resolve(readText(env, "LICET_DATA_DIR", "data")),
    databaseUrl: readDatabaseUrl(env["DATABASE_URL"]),
    masterKey: readMasterKey(env["LICET_MASTER_KEY"]),
    logLevel: readLogLevel(env["LICET_LOG_LEVEL"]),
    allowedHosts: readAllowedHosts(env["LICET_ALLOW_HOSTS"]),
    sessionSeconds: readNumber(env, "LICET_SESSION_HOURS", 12, { min: 1, max: 720 }) * 3_600,
    drainSeconds: readNumber(env, "LICET_DRAIN_SECONDS", 10, { min: 0, max: 600 }),
    exitWithParent: readNumber(env, "LICET_EXIT_WITH_PARENT", 0, { min: 0, max: 1 }) === 1,
  };
}

/** True for addresses that never leave this machine, as they are written in a URL. */
function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127(\.\d{1,3}){3}$/.test(hostname);
}

/** A host as it is written in a URL: an IPv6 address goes into brackets. */
export function urlHost(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

function refuseUnknown(env: Environment): void {
  const unknown = Object.keys(env).filter(
    (name) => name.startsWith("LICET_") && !Object.hasOwn(ENVIRONMENT, name) && !OTHER_PROGRAMS.includes(name),
  );
  if (unknown.length > 0)
    throw new ConfigError(
      `unknown setting ${unknown.join(", ")}: expected one of ${Object.keys(ENVIRONMENT).join(", ")}`,
    );
}

/** Settings of the command line and of the test suite, which may share an environment with the server. */
const OTHER_PROGRAMS = [
  "LICET_CLIENT_ID",
  "LICET_CLIENT_SECRET",
  "LICET_ROUNDS",
  "LICET_TOKEN",
  "LICET_TEST_DATABASE_URL",
];

/** Empty when a free port is to be part of it: then nobody but this machine can be meant. */
function readOrigin(text: string | undefined, { host, port }: Pick<Config, "host" | "port">): string {
  if (text === undefined && port !== 0) return `http://localhost:${port}`;
  if (text === undefined) {
    if (!isLoopback(urlHost(host)))
      throw new ConfigError(
        `LICET_ORIGIN: expected with LICET_PORT 0 and LICET_HOST ${host}, since others than this machine are to reach it, got none`,
      );
    return "";
  }
  if (!isOrigin(text))
    throw new ConfigError(
      `LICET_ORIGIN: expected scheme, host and port without a path, such as https://licet.example.org, got ${text}`,
    );
  const url = new URL(text);
  if (url.protocol !== "https:" && !isLoopback(url.hostname)) {
    throw new ConfigError(`LICET_ORIGIN: expected https, since ${url.hostname} is not this machine, got ${text}`);
  }
  return text;
}

function readDatabaseUrl(text: string | undefined): string | undefined {
  if (text === undefined || text === "") return undefined;
  if (!/^postgres(ql)?:\/\//.test(text))
    throw new ConfigError("DATABASE_URL: expected postgres://…, got another scheme");
  return text;
}

function readMasterKey(text: string | undefined): Uint8Array | undefined {
  if (text === undefined) return undefined;
  const key = decodeBase64url(text);
  if (key?.length !== 32)
    throw new ConfigError(
      `LICET_MASTER_KEY: expected 32 bytes in base64url, got ${key === undefined ? "other characters" : key.length}`,
    );
  return key;
}

function readLogLevel(text = "info"): LogLevel {
  const level = LOG_LEVELS.find((known) => known === text);
  if (level === undefined)
    throw new ConfigError(`LICET_LOG_LEVEL: expected one of ${LOG_LEVELS.join(" ")}, got ${text}`);
  return level;
}

function readAllowedHosts(text = ""): readonly string[] {
  const hosts = text
    .split(",")
    .map((host) => host.trim())
    .filter((host) => host !== "");
  const wrong = hosts.find(
    (host) =>
      !/^(\[[0-9a-f:]+\]|[a-z0-9.-]+):\d{1,5}$/.test(host) || Number(host.slice(host.lastIndexOf(":") + 1)) > MAX_PORT,
  );
  if (wrong !== undefined)
    throw new ConfigError(`LICET_ALLOW_HOSTS: expected host:port pairs separated by commas, got ${wrong}`);
  return hosts;
}

function readText(env: Environment, name: string, fallback: string): string {
  const text = env[name] ?? fallback;
  if (text.trim() === "") throw new ConfigError(`${name}: expected a value, got an empty one`);
  return text;
}

function readNumber(
  env: Environment,
  name: string,
  fallback: number,
  { min, max }: { readonly min: number; readonly max: number },
): number {
  const text = env[name];
  if (text === undefined) return fallback;
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < min || value > max)
    throw new ConfigError(`${name}: expected a whole number from ${min} to ${max}, got ${text}`);
  return value;
}
