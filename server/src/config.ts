import { decodeBase64url, isOrigin } from "@licet/protocol";
import { join, resolve } from "node:path";
import { type DatabaseLimits, readDatabaseLimits } from "./database-config.ts";
import { ENVIRONMENT, LOG_LEVELS } from "./environment.ts";
import { type TrustedProxies, trustedProxiesOf } from "./http/trusted-proxies.ts";
import { isLoopback } from "./loopback.ts";
import { type MoneyConfig, readMoney } from "./money-config.ts";
import { type PaymentConfig, readPayments } from "./payment-config.ts";
import { type PurgeConfig, readPurges } from "./purge-config.ts";
import { type TracingConfig, readTracing } from "./tracing-config.ts";
import { type RateLimitPolicy, DEFAULT_RATE_LIMITS, parseRateLimits } from "./http/rate-limit-policy.ts";

export { ENVIRONMENT } from "./environment.ts";
export type { TracingConfig } from "./tracing-config.ts";

/** What an operator sets, read once at start; everything else derives from it. */
export interface Config {
  /** How the world reaches this server: the `iss` of everything it signs. */
  readonly origin: string;
  readonly host: string;
  readonly port: number;
  /** Holds the embedded database and the master key. */
  readonly dataFolder: string;
  /** Holds the journal of refusals, which a restore replays: best on another disk than the database. */
  readonly journalFolder: string;
  /** PostgreSQL; undefined means the embedded PGlite. */
  readonly databaseUrl: string | undefined;
  /** 32 bytes; undefined means a key file. */
  readonly masterKey: Uint8Array | undefined;
  /** That file; undefined means master.key in the data folder. */
  readonly masterKeyPath: string | undefined;
  /** 32 bytes that `licet keys rewrap` seals everything with instead. */
  readonly newMasterKey: Uint8Array | undefined;
  /** The file that has them, or will. */
  readonly newMasterKeyPath: string | undefined;
  /** In `test`, everything that is signed says `test: true`, and live readers refuse it. */
  readonly mode: Mode;
  readonly logLevel: LogLevel;
  /** `host:port` pairs that outbound requests may reach although they are private or not https. */
  readonly allowedHosts: readonly string[];
  /** The largest work that is read from its URL when it is registered. */
  readonly maxSourceBytes: number;
  readonly temporaryBytes: number;
  readonly sessionSeconds: number;
  readonly drainSeconds: number;
  /** How long after a dataset lost something its next version, without it, is published; undefined means never by itself. */
  readonly compactionSeconds: number | undefined;
  /** At what age a key is handed over by itself; undefined means at the end of its life only. */
  readonly keyRotationSeconds: number | undefined;
  /** How long a stop still takes requests while `/readyz` says no. */
  readonly unreadySeconds: number;
  /** Of PostgreSQL; the embedded database has one connection and waits for nobody. */
  readonly databaseLimits: DatabaseLimits;
  /** Where copies of the public documents are kept as files; undefined means nowhere. */
  readonly copiesFolder: string | undefined;
  readonly documentMemoryBytes: number;
  readonly rateLimits: RateLimitPolicy;
  readonly interactionRetentionDays: number;
  /** Over how many days `/propagation.json` says how long refusals took. */
  readonly propagationDays: number;
  /** PEM files of our own TLS; undefined means plain HTTP, for loopback or behind a proxy. */
  readonly tls: TlsFiles | undefined;
  /** A port that asks for client certificates; undefined means none. */
  readonly mtlsPort: number | undefined;
  /** A PEM file of the authorities that `tls_client_auth` certificates must come from. */
  readonly mtlsCaPath: string | undefined;
  /** Who may say where a request came from. */
  readonly trustedProxies: TrustedProxies;
  readonly connectionLimits: ConnectionLimits;
  /** A port of this machine alone for /metrics without a token; undefined means none. */
  readonly metricsPort: number | undefined;
  /** Where traces go; undefined means nowhere. */
  readonly tracing: TracingConfig | undefined;
  readonly money: MoneyConfig;
  readonly payments: PaymentConfig;
  readonly purges: PurgeConfig;
  /** Stop when standard input closes, so that no server outlives the program that started it. */
  readonly exitWithParent: boolean;
}

export interface TlsFiles {
  readonly certPath: string;
  readonly keyPath: string;
}

/** What one server takes upon itself at once, and how long it waits for slow senders. */
export interface ConnectionLimits {
  readonly maxConnections: number;
  /** Of one client address; proxies that we trust may have as many as they like. */
  readonly maxConnectionsPerAddress: number;
  readonly headersSeconds: number;
  readonly requestSeconds: number;
}

export const MODES = ["live", "test"] as const;
export type Mode = (typeof MODES)[number];

export type LogLevel = (typeof LOG_LEVELS)[number];

/** A configuration that cannot be meant: one clear line, and the boot stops. */
export class ConfigError extends Error {}

type Environment = Readonly<Record<string, string | undefined>>;

const DEFAULT_PORT = 4242;
const MEGABYTE = 1_048_576;
const MAX_PORT = 65_535;
const MAX_COMPACTION_HOURS = 8_784;
/** Keys live for two years, and each stays in the key set for good: readers take 1 000. */
const KEY_ROTATION_DAYS = { min: 30, max: 700, isOrZero: true };

/** Reads the environment. Throws a {@link ConfigError} on what contradicts itself. */
export function readConfig(env: Environment): Config {
  refuseUnknown(env);
  const allowedHosts = readAllowedHosts(env["LICET_ALLOW_HOSTS"]);
  const sourceMegabytes = readNumber(env, "LICET_MAX_SOURCE_MEGABYTES", 2_048, { min: 1, max: 1_048_576 });
  const port = readNumber(env, "LICET_PORT", DEFAULT_PORT, { min: 0, max: MAX_PORT });
  const host = readText(env, "LICET_HOST", "127.0.0.1");
  const tls = readTlsFiles(env);
  const trustedProxies = readTrustedProxies(env["LICET_TRUSTED_PROXIES"]);
  return {
    origin: readOrigin(env["LICET_ORIGIN"], { host, port, tls }),
    host,
    port,
    dataFolder: resolve(readText(env, "LICET_DATA_DIR", "data")),
    journalFolder: readJournalFolder(env),
    databaseUrl: readDatabaseUrl(env["DATABASE_URL"]),
    masterKey: readMasterKey(env["LICET_MASTER_KEY"]),
    masterKeyPath: readMasterKeyPath(env),
    newMasterKey: readMasterKey(env["LICET_NEW_MASTER_KEY"], "LICET_NEW_MASTER_KEY"),
    newMasterKeyPath: readNewMasterKeyPath(env),
    mode: readMode(env["LICET_MODE"]),
    logLevel: readLogLevel(env["LICET_LOG_LEVEL"]),
    allowedHosts,
    maxSourceBytes: sourceMegabytes * MEGABYTE,
    temporaryBytes:
      readNumber(env, "LICET_TEMPORARY_MEGABYTES", 2 * sourceMegabytes, { min: sourceMegabytes, max: 16_777_216 }) *
      MEGABYTE,
    sessionSeconds: readNumber(env, "LICET_SESSION_HOURS", 12, { min: 1, max: 720 }) * 3_600,
    rateLimits: readRateLimits(env["LICET_RATE_LIMITS"]),
    interactionRetentionDays: readNumber(env, "LICET_INTERACTION_RETENTION_DAYS", 365, { min: 1, max: 36_500 }),
    propagationDays: readNumber(env, "LICET_PROPAGATION_DAYS", 30, { min: 1, max: 90 }),
    compactionSeconds:
      readNumber(env, "LICET_COMPACTION_AFTER_HOURS", 24, { min: 0, max: MAX_COMPACTION_HOURS }) * 3_600 || undefined,
    keyRotationSeconds: readNumber(env, "LICET_KEY_ROTATION_DAYS", 365, KEY_ROTATION_DAYS) * 86_400 || undefined,
    drainSeconds: readNumber(env, "LICET_DRAIN_SECONDS", 10, { min: 0, max: 600 }),
    unreadySeconds: readNumber(env, "LICET_UNREADY_SECONDS", 0, { min: 0, max: 600 }),
    databaseLimits: readDatabaseLimits(
      (name, fallback, range) => readNumber(env, name, fallback, range),
      refuseSetting,
    ),
    copiesFolder: readPath(env, "LICET_COPIES_DIR"),
    documentMemoryBytes: readNumber(env, "LICET_DOCUMENT_MEMORY_MB", 256, { min: 1, max: 65_536 }) * 1_048_576,
    tls,
    mtlsPort: readMtlsPort(env, { port, tls }),
    mtlsCaPath: readMtlsCaPath(env),
    trustedProxies,
    connectionLimits: readConnectionLimits(env),
    metricsPort: readMetricsPort(env, port),
    tracing: readTracing(env, refuseSetting),
    money: readMoney((name, fallback, range) => readNumber(env, name, fallback, range)),
    payments: readPayments(env, {
      readNumber: (name, fallback, range) => readNumber(env, name, fallback, range),
      refuse: refuseSetting,
      mode: readMode(env["LICET_MODE"]),
    }),
    purges: readPurges(env, { refuse: refuseSetting, allowedHosts }),
    exitWithParent: readNumber(env, "LICET_EXIT_WITH_PARENT", 0, { min: 0, max: 1 }) === 1,
  };
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
function readOrigin(text: string | undefined, { host, port, tls }: Pick<Config, "host" | "port" | "tls">): string {
  if (text === undefined && port !== 0)
    return tls === undefined ? `http://localhost:${port}` : `https://localhost${port === 443 ? "" : `:${port}`}`;
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
  if (url.protocol !== "https:" && tls !== undefined)
    throw new ConfigError(`LICET_ORIGIN: expected https, since LICET_TLS_CERT turns on TLS, got ${text}`);
  return text;
}

function readTlsFiles(env: Environment): TlsFiles | undefined {
  const cert = readPath(env, "LICET_TLS_CERT");
  const key = readPath(env, "LICET_TLS_KEY");
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined) throw new ConfigError("LICET_TLS_CERT: expected with LICET_TLS_KEY, got none");
  if (key === undefined) throw new ConfigError("LICET_TLS_KEY: expected with LICET_TLS_CERT, got none");
  return { certPath: cert, keyPath: key };
}

function readMtlsPort(env: Environment, { port, tls }: Pick<Config, "port" | "tls">): number | undefined {
  if (env["LICET_MTLS_PORT"] === undefined) return undefined;
  const mtlsPort = readNumber(env, "LICET_MTLS_PORT", 0, { min: 0, max: MAX_PORT });
  if (tls === undefined)
    throw new ConfigError("LICET_MTLS_PORT: expected with LICET_TLS_CERT and LICET_TLS_KEY, got neither");
  if (mtlsPort !== 0 && mtlsPort === port)
    throw new ConfigError(`LICET_MTLS_PORT: expected another port than LICET_PORT, got ${mtlsPort} for both`);
  return mtlsPort;
}

function readMtlsCaPath(env: Environment): string | undefined {
  const path = readPath(env, "LICET_MTLS_CA");
  if (path !== undefined && env["LICET_MTLS_PORT"] === undefined && env["LICET_TRUSTED_PROXIES"] === undefined)
    throw new ConfigError(
      "LICET_MTLS_CA: expected with LICET_MTLS_PORT or LICET_TRUSTED_PROXIES, since no client certificate arrives otherwise",
    );
  return path;
}

function readTrustedProxies(text = ""): TrustedProxies {
  const ranges = text
    .split(",")
    .map((range) => range.trim())
    .filter((range) => range !== "");
  try {
    return trustedProxiesOf(ranges);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new ConfigError(
      `LICET_TRUSTED_PROXIES: expected IP addresses or CIDR ranges separated by commas, got ${error.message}`,
    );
  }
}

function readConnectionLimits(env: Environment): ConnectionLimits {
  const headersSeconds = readNumber(env, "LICET_HEADERS_SECONDS", 15, { min: 1, max: 600 });
  const requestSeconds = readNumber(env, "LICET_REQUEST_SECONDS", 120, { min: 1, max: 3_600 });
  if (requestSeconds < headersSeconds)
    throw new ConfigError(
      `LICET_REQUEST_SECONDS: expected at least LICET_HEADERS_SECONDS (${headersSeconds}), got ${requestSeconds}`,
    );
  return {
    maxConnections: readNumber(env, "LICET_MAX_CONNECTIONS", 10_000, { min: 1, max: 1_000_000 }),
    maxConnectionsPerAddress: readNumber(env, "LICET_MAX_CONNECTIONS_PER_ADDRESS", 256, { min: 1, max: 1_000_000 }),
    headersSeconds,
    requestSeconds,
  };
}

/** A path as it is written, from the working folder. */
function readPath(env: Environment, name: string): string | undefined {
  return env[name] === undefined ? undefined : resolve(readText(env, name, ""));
}

function readDatabaseUrl(text: string | undefined): string | undefined {
  if (text === undefined || text === "") return undefined;
  if (!/^postgres(ql)?:\/\//.test(text))
    throw new ConfigError("DATABASE_URL: expected postgres://…, got another scheme");
  return text;
}

function readMasterKeyPath(env: Environment): string | undefined {
  const path = readPath(env, "LICET_MASTER_KEY_FILE");
  if (path !== undefined && env["LICET_MASTER_KEY"] !== undefined)
    throw new ConfigError("LICET_MASTER_KEY_FILE: expected it or LICET_MASTER_KEY, got both");
  return path;
}

function readMetricsPort(env: Environment, port: number): number | undefined {
  if (env["LICET_METRICS_PORT"] === undefined) return undefined;
  const metricsPort = readNumber(env, "LICET_METRICS_PORT", 0, { min: 1, max: MAX_PORT });
  if (metricsPort === port || String(metricsPort) === env["LICET_MTLS_PORT"])
    throw new ConfigError(`LICET_METRICS_PORT: expected a port of its own, got ${metricsPort}, which is taken`);
  return metricsPort;
}

function refuseSetting(name: string, sentence: string): never {
  throw new ConfigError(`${name}: ${sentence}`);
}

function readNewMasterKeyPath(env: Environment): string | undefined {
  const path = readPath(env, "LICET_NEW_MASTER_KEY_FILE");
  if (path !== undefined && env["LICET_NEW_MASTER_KEY"] !== undefined)
    throw new ConfigError("LICET_NEW_MASTER_KEY_FILE: expected it or LICET_NEW_MASTER_KEY, got both");
  return path;
}

function readMasterKey(text: string | undefined, name = "LICET_MASTER_KEY"): Uint8Array | undefined {
  if (text === undefined) return undefined;
  const key = decodeBase64url(text);
  if (key?.length !== 32)
    throw new ConfigError(
      `${name}: expected 32 bytes in base64url, got ${key === undefined ? "other characters" : key.length}`,
    );
  return key;
}

function readMode(text = "live"): Mode {
  const mode = MODES.find((known) => known === text);
  if (mode === undefined) throw new ConfigError(`LICET_MODE: expected live or test, got ${text}`);
  return mode;
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

function readRateLimits(text: string | undefined): RateLimitPolicy {
  if (text === undefined) return DEFAULT_RATE_LIMITS;
  const policy = parseRateLimits(text);
  if (!policy.ok) throw new ConfigError(`LICET_RATE_LIMITS: ${policy.refusal.detail}`);
  return policy.value;
}

function readJournalFolder(env: Environment): string {
  return resolve(readText(env, "LICET_JOURNAL_DIR", join(readText(env, "LICET_DATA_DIR", "data"), "journal")));
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
  { min, max, isOrZero = false }: { readonly min: number; readonly max: number; readonly isOrZero?: boolean },
): number {
  const text = env[name];
  if (text === undefined) return fallback;
  const value = Number(text);
  if (!/^\d+$/.test(text) || (value < min && !(isOrZero && value === 0)) || value > max)
    throw new ConfigError(
      `${name}: expected ${isOrZero ? "0, or " : ""}a whole number from ${min} to ${max}, got ${text}`,
    );
  return value;
}
