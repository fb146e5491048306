import { sql } from "kysely";
import { existsSync } from "node:fs";
import { pino } from "pino";
import { readMigrations } from "./backups/store.ts";
import { type Config, ConfigError, urlHost } from "./config.ts";
import { masterKeyPath, readMasterKey } from "./db/master-key.ts";
import { listMigrations } from "./db/migrate.ts";
import { type Database, openDatabase } from "./db/open-database.ts";
import { sealerOf } from "./db/sealing.ts";
import { examineFolders } from "./examine-folders.ts";
import { examinePurges } from "./examine-purges.ts";
import { readOauthKeys } from "./http/oauth/store.ts";
import { opensKeys } from "./keys/open-keys.ts";

/** What a look at one thing found, and what to do about it. */
export interface Finding {
  readonly name: string;
  readonly outcome: "ok" | "warning" | "wrong";
  readonly detail: string;
}

/** A clock that is this far from the database's makes instants that others find in the future. */
const MAX_CLOCK_SECONDS = 5;

/** Whether the configuration's database answers; the embedded one is made at the first start. Throws a ConfigError. */
export async function checkDatabase(config: Config): Promise<string> {
  if (config.databaseUrl === undefined) return "embedded";
  const database = await openOrRefuse(config);
  try {
    return (await readVersion(database)).version;
  } finally {
    await database.close();
  }
}

/** Where a server of this configuration listens, for whoever asks it from this machine, and what it does about its keys. */
export interface Listens {
  readonly url: string;
  /** Where its metrics need no token; undefined means nowhere. */
  readonly metrics_url: string | undefined;
  /** At what age its keys are handed over by themselves; undefined means near their end only. */
  readonly key_rotation_seconds: number | undefined;
}

export function listensOf({ host, port, tls, metricsPort, keyRotationSeconds }: Config): Listens {
  const reached = host === "0.0.0.0" || host === "::" ? "127.0.0.1" : urlHost(host);
  return {
    url: `${tls === undefined ? "http" : "https"}://${reached}:${port}`,
    metrics_url: metricsPort === undefined ? undefined : `http://127.0.0.1:${metricsPort}/metrics`,
    key_rotation_seconds: keyRotationSeconds,
  };
}

/** Looks at what a server on this machine would start with, and changes nothing. */
export async function examine(config: Config): Promise<readonly Finding[]> {
  const findings = [await examineKeyFile(config), ...(await examineFolders(config)), ...(await examinePurges(config))];
  try {
    const database = await openOrRefuse(config);
    try {
      findings.push(...(await examineDatabase(config, database)));
    } finally {
      await database.close();
    }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    findings.push(whyClosed(config, error));
  }
  return findings;
}

/** The embedded database has one owner: while a server runs, that one is asked instead (`/readyz`). */
function whyClosed({ databaseUrl, dataFolder }: Config, { message }: ConfigError): Finding {
  const name = "database";
  if (databaseUrl !== undefined) return { name, outcome: "wrong", detail: message };
  return / is in use by process \d+/.test(message)
    ? { name, outcome: "ok", detail: `${dataFolder}: a running server has it, so what is in it was not looked at` }
    : { name, outcome: "warning", detail: message };
}

async function openOrRefuse(config: Config): Promise<Database> {
  if (config.databaseUrl === undefined && !existsSync(config.dataFolder))
    throw new ConfigError(`${config.dataFolder}: expected the embedded database, which the first start makes`);
  const log = pino({ level: "silent" });
  try {
    return await openDatabase(config, log);
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    // What PostgreSQL says may name the user; the URL with its password is not in it.
    throw new ConfigError(`DATABASE_URL: the database cannot be reached (${reasonOf(error)})`);
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.message !== "" || !("code" in error) ? error.message : String(error.code);
}

async function examineKeyFile(config: Config): Promise<Finding> {
  const name = "master key";
  if (config.masterKey !== undefined) return { name, outcome: "ok", detail: "in LICET_MASTER_KEY" };
  const path = masterKeyPath(config);
  if (!existsSync(path)) return { name, outcome: "warning", detail: `${path}: not there; the first start makes it` };
  try {
    readMasterKey(config, { isFirstStart: false });
    return { name, outcome: "ok", detail: path };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { name, outcome: "wrong", detail: error.message };
  }
}

async function examineDatabase(config: Config, database: Database): Promise<readonly Finding[]> {
  const { version, ahead_seconds } = await readVersion(database);
  const findings: Finding[] = [{ name: "database", outcome: "ok", detail: version }];
  if (database.engine === "postgres")
    findings.push({
      name: "clock",
      outcome: Math.abs(ahead_seconds) <= MAX_CLOCK_SECONDS ? "ok" : "wrong",
      detail: `${Math.abs(ahead_seconds).toFixed(1)} s from the database's; expected at most ${MAX_CLOCK_SECONDS} s`,
    });
  const { rows } = await sql<{ there: boolean }>`select to_regclass('migration') is not null as there`.execute(
    database.db,
  );
  if (rows[0]?.there !== true)
    return [...findings, { name: "migrations", outcome: "warning", detail: "none yet; the first start makes them" }];
  findings.push(await examineMigrations(database));
  if (config.masterKey !== undefined || existsSync(masterKeyPath(config)))
    findings.push(await examineSeals(config, database));
  findings.push(await examineOauthKey(config, database));
  return findings;
}

const DAY_SECONDS = 86_400;
/** A key that is due is handed over in seconds by a server that runs. */
const OVERDUE_SECONDS = DAY_SECONDS;

/** The key of the OAuth server stands in no public document with its age, and has no end of its own. */
async function examineOauthKey({ keyRotationSeconds }: Config, { db }: Database): Promise<Finding> {
  const name = "key for oauth";
  const signing = (await readOauthKeys(db)).find((row) => row.retire_at === null);
  if (signing === undefined) return { name, outcome: "ok", detail: "none yet; the first start makes it" };
  const seconds = Date.now() / 1_000 - signing.created_at;
  const days = Math.floor(seconds / DAY_SECONDS);
  if (keyRotationSeconds === undefined || seconds <= keyRotationSeconds + OVERDUE_SECONDS)
    return { name, outcome: "ok", detail: `${days} days old` };
  const due = keyRotationSeconds / DAY_SECONDS;
  return {
    name,
    outcome: "warning",
    detail: `${days} days old, and was not handed over at ${due}: see the server's log, or licet keys rotate --purpose oauth`,
  };
}

async function examineMigrations({ db }: Database): Promise<Finding> {
  const name = "migrations";
  const known = await listMigrations();
  const applied = (await readMigrations(db)).map((migration) => migration.name);
  const later = applied.filter((migration) => !known.includes(migration));
  if (later.length > 0)
    return {
      name,
      outcome: "wrong",
      detail: `a newer Licet was here: ${later.join(", ")} is unknown; upgrade this one`,
    };
  const missing = known.filter((migration) => !applied.includes(migration));
  return missing.length === 0
    ? { name, outcome: "ok", detail: `${applied.length} applied` }
    : { name, outcome: "warning", detail: `${missing.length} to apply, which the next start does` };
}

async function examineSeals(config: Config, { db }: Database): Promise<Finding> {
  const name = "seals";
  try {
    const opens = await opensKeys(db, sealerOf(readMasterKey(config, { isFirstStart: false })));
    return opens === false
      ? {
          name,
          outcome: "wrong",
          detail: "the master key does not open this database's keys: find the one it was sealed with",
        }
      : {
          name,
          outcome: "ok",
          detail: opens === undefined ? "nothing is sealed yet" : "the master key opens the database's keys",
        };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { name, outcome: "wrong", detail: error.message };
  }
}

async function readVersion({ db }: Database): Promise<{ readonly version: string; readonly ahead_seconds: number }> {
  const startedMs = Date.now();
  const { rows } = await sql<{ version: string; now_ms: number }>`
    select split_part(version(), ' on ', 1) as version, (extract(epoch from clock_timestamp()) * 1000)::float8 as now_ms`.execute(
    db,
  );
  const [row] = rows;
  if (row === undefined) throw new TypeError("expected one row, got none");
  return { version: row.version, ahead_seconds: ((startedMs + Date.now()) / 2 - row.now_ms) / 1_000 };
}
