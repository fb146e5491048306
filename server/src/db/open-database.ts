import { PGlite } from "@electric-sql/pglite";
import { Kysely, PostgresDialect, type Transaction, sql } from "kysely";
import pg from "pg";
import { type ConstructorOptions, fromPglite } from "pg-boss";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "pino";
import { type Config, ConfigError } from "../config.ts";
import { lockDataFolder } from "./data-folder-lock.ts";
import { exclusivePgliteDialect } from "./exclusive-pglite.ts";
import type { Tables } from "./tables.ts";

export type Db = Kysely<Tables>;
export type Trx = Transaction<Tables>;

/** An open database: queries, scripts of several statements, what pg-boss needs to join, and the end. */
export interface Database {
  readonly engine: "pglite" | "postgres";
  readonly db: Db;
  readonly runScript: (script: string) => Promise<void>;
  readonly bossOptions: ConstructorOptions;
  /** Refuses (a ConfigError) a second server on the same database: its memory would not learn of the first one's facts. */
  readonly holdAlone: () => Promise<void>;
  readonly close: () => Promise<void>;
}

const POOL_SIZE = 10;
const CONNECT_TIMEOUT_MS = 10_000;
/** int8, which node-postgres would hand over as text. Everything we keep in it is below 2^53. */
const INT8_OID = 20;

/** Opens PostgreSQL when `DATABASE_URL` says so, otherwise PGlite in the data folder, held exclusively. */
export async function openDatabase(config: Config, log: Logger): Promise<Database> {
  return config.databaseUrl === undefined ? openPglite(config.dataFolder) : openPostgres(config.databaseUrl, log);
}

async function openPglite(dataFolder: string): Promise<Database> {
  const release = lockDataFolder(dataFolder);
  const folder = join(dataFolder, "pglite");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const pglite = await PGlite.create(folder);
  return {
    engine: "pglite",
    db: new Kysely<Tables>({ dialect: exclusivePgliteDialect(pglite) }),
    runScript: async (script) => {
      try {
        await pglite.exec(script);
      } catch (error) {
        await pglite.exec("rollback");
        throw error;
      }
    },
    bossOptions: { db: fromPglite(pglite), backend: "pglite", useListenNotify: true },
    holdAlone: async () => undefined,
    close: async () => {
      await pglite.close();
      release();
    },
  };
}

async function openPostgres(connectionString: string, log: Logger): Promise<Database> {
  const pool = new pg.Pool({
    connectionString,
    max: POOL_SIZE,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    types: {
      getTypeParser: (oid: number, format?: "text" | "binary") =>
        oid === INT8_OID ? Number : pg.types.getTypeParser(oid, format ?? "text"),
    },
  });
  pool.on("error", (error) => log.warn({ error: error.message }, "an idle database connection broke"));
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) });
  await sql`select 1`.execute(db);
  const holder = new pg.Client({ connectionString });
  holder.on("error", (error) => log.error({ error: error.message }, "the connection that holds the database broke"));
  let isHeld = false;
  return {
    engine: "postgres",
    db,
    runScript: (script) => runOnOneConnection(pool, script),
    bossOptions: { connectionString, useListenNotify: true },
    holdAlone: async () => {
      await holder.connect();
      isHeld = true;
      await takeServerLock(holder);
    },
    close: async () => {
      if (isHeld) await holder.end();
      await db.destroy();
    },
  };
}

/** Held by the one server of a database for as long as its connection lives. */
const SERVER_LOCK = 7_265_382;
/** A server that was killed lets go as soon as PostgreSQL notices. */
const LOCK_PATIENCE_MS = 10_000;
const LOCK_PAUSE_MS = 100;

async function takeServerLock(holder: pg.Client): Promise<void> {
  const deadline = Date.now() + LOCK_PATIENCE_MS;
  for (;;) {
    const { rows } = await holder.query<{ held: boolean }>("select pg_try_advisory_lock($1::bigint) as held", [
      SERVER_LOCK,
    ]);
    if (rows[0]?.held === true) return;
    if (Date.now() > deadline)
      throw new ConfigError(
        "DATABASE_URL: another server uses this database; stop it first, since one database takes one server",
      );
    await new Promise((resolve) => setTimeout(resolve, LOCK_PAUSE_MS));
  }
}

/** A script that fails leaves its transaction open; the connection must not go back to the pool like that. */
async function runOnOneConnection(pool: pg.Pool, script: string): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query(script);
  } catch (error) {
    await client.query("rollback");
    throw error;
  } finally {
    client.release();
  }
}
