import { sql } from "kysely";
import { access, constants, stat } from "node:fs/promises";
import { existsSync } from "node:fs";
import { pino } from "pino";
import { readMigrations } from "./backups/store.ts";
import { type Config, ConfigError } from "./config.ts";
import { masterKeyPath, readMasterKey } from "./db/master-key.ts";
import { listMigrations } from "./db/migrate.ts";
import { type Database, openDatabase } from "./db/open-database.ts";
import { sealerOf } from "./db/sealing.ts";
import { opensKeys } from "./keys/open-keys.ts";

/** What a look at one thing found, and what to do about it. */
export interface Finding {
  readonly name: string;
  readonly outcome: "ok" | "warning" | "error";
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

/** Looks at what a server on this machine would start with, and changes nothing. */
export async function examine(config: Config): Promise<readonly Finding[]> {
  const findings = [await examineKeyFile(config), await examineData(config), await examineJournal(config)];
  try {
    const database = await openOrRefuse(config);
    try {
      findings.push(...(await examineDatabase(config, database)));
    } finally {
      await database.close();
    }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const isInUse = config.databaseUrl === undefined;
    findings.push({ name: "database", outcome: isInUse ? "warning" : "error", detail: error.message });
  }
  return findings;
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
    return { name, outcome: "error", detail: error.message };
  }
}

async function examineData({ dataFolder }: Config): Promise<Finding> {
  const name = "data folder";
  if (!existsSync(dataFolder)) return { name, outcome: "warning", detail: `${dataFolder}: the first start makes it` };
  const mode = (await stat(dataFolder)).mode & 0o777;
  return (mode & 0o007) === 0
    ? { name, outcome: "ok", detail: dataFolder }
    : {
        name,
        outcome: "warning",
        detail: `${dataFolder}: everybody on this machine may look into it (mode ${mode.toString(8)}); chmod 700`,
      };
}

async function examineJournal({ journalFolder }: Config): Promise<Finding> {
  const name = "journal folder";
  if (!existsSync(journalFolder)) return { name, outcome: "ok", detail: `${journalFolder}: the first start makes it` };
  try {
    await access(journalFolder, constants.W_OK);
    return { name, outcome: "ok", detail: journalFolder };
  } catch (error) {
    return { name, outcome: "error", detail: `${journalFolder}: cannot be written (${reasonOf(error)})` };
  }
}

async function examineDatabase(config: Config, database: Database): Promise<readonly Finding[]> {
  const { version, ahead_seconds } = await readVersion(database);
  const findings: Finding[] = [{ name: "database", outcome: "ok", detail: version }];
  if (database.engine === "postgres")
    findings.push({
      name: "clock",
      outcome: Math.abs(ahead_seconds) <= MAX_CLOCK_SECONDS ? "ok" : "error",
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
  return findings;
}

async function examineMigrations({ db }: Database): Promise<Finding> {
  const name = "migrations";
  const known = await listMigrations();
  const applied = (await readMigrations(db)).map((migration) => migration.name);
  const later = applied.filter((migration) => !known.includes(migration));
  if (later.length > 0)
    return {
      name,
      outcome: "error",
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
          outcome: "error",
          detail: "the master key does not open this database's keys: find the one it was sealed with",
        }
      : {
          name,
          outcome: "ok",
          detail: opens === undefined ? "nothing is sealed yet" : "the master key opens the database's keys",
        };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { name, outcome: "error", detail: error.message };
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
