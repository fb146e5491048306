import { PGlite } from "@electric-sql/pglite";
import { Kysely, PostgresDialect, type Transaction, sql } from "kysely";
import pg from "pg";
import type { ConstructorOptions } from "pg-boss";
import { mkdirSync, statfsSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "pino";
import { ADVISORY_LOCKS } from "./advisory-locks.ts";
import { type Config, ConfigError } from "../config.ts";
import type { DatabaseLimits } from "../database-config.ts";
import { lockDataFolder } from "./data-folder-lock.ts";
import { openEmbeddedPool } from "./embedded-pool.ts";
import { listenOnPostgres } from "./listen-postgres.ts";
import { type Listener, type NoticeReceiver, NOTICE_CHANNEL } from "./notifications.ts";
import type { Tables } from "./tables.ts";
import { tendEmbedded } from "./tend-embedded.ts";
import type { PoolState } from "../telemetry/metrics.ts";
import { tracedDialect } from "../telemetry/traced-dialect.ts";
import { NO_TRACING, type Tracing } from "../telemetry/tracing.ts";

export type Db = Kysely<Tables>;
export type Trx = Transaction<Tables>;

/** An open database: queries, scripts of several statements, what pg-boss needs to join, and the end. */
export interface Database {
  readonly engine: "pglite" | "postgres";
  readonly db: Db;
  readonly runScript: (script: string) => Promise<void>;
  readonly bossOptions: ConstructorOptions;
  /** Hears the notices of every server on this database. */
  readonly listen: (listening: NoticeReceiver) => Promise<Listener>;
  /** Does something that no two servers of this database may do at once. */
  readonly alone: <T>(work: () => Promise<T>) => Promise<T>;
  /** How busy the connections are; undefined with the one connection of the embedded database. */
  readonly pool: () => PoolState | undefined;
  /** What has to be done now and then because this database does not do it by itself. */
  readonly tend?: (signal: AbortSignal) => Promise<void>;
  readonly close: () => Promise<void>;
}

const CONNECT_TIMEOUT_MS = 5_000;
/** When TCP begins to ask whether the other end of a silent connection is still there. */
const KEEP_ALIVE_AFTER_MS = 10_000;
/** Connections of the job queue, beside those of the pool. */
const BOSS_POOL_SIZE = 4;
/** int8, which node-postgres would hand over as text. Everything we keep in it is below 2^53. */
const INT8_OID = 20;
const TYPES: pg.CustomTypesConfig = {
  getTypeParser: (oid: number, format?: "text" | "binary") =>
    oid === INT8_OID ? Number : pg.types.getTypeParser(oid, format ?? "text"),
};

/** All buffers are written to at the start, and the system keeps the same pages once more: a small database needs few. */
const FEW_BUFFERS = ["-c", "shared_buffers=16MB"];
/** A plan that is kept was made for the table of that day; one that scans a table of ten rows scans it at a million too. */
const PLAN_EACH_TIME = ["-c", "plan_cache_mode=force_custom_plan"];
/** Two segments of the embedded database's write-ahead log. With less it cannot even recover, and hangs instead of saying so. */
const MIN_FREE_BYTES = 33_554_432;

function requireRoom(folder: string): void {
  const { bavail, bsize } = statfsSync(folder);
  const free = bavail * bsize;
  if (free < MIN_FREE_BYTES)
    throw new ConfigError(
      `LICET_DATA_DIR: expected at least ${MIN_FREE_BYTES / 1_048_576} MiB free for the embedded database, got ${Math.floor(free / 1_048_576)} MiB in ${folder}`,
    );
}

/** Opens PostgreSQL when `DATABASE_URL` says so, otherwise PGlite in the data folder, held exclusively. */
export async function openDatabase(config: Config, log: Logger, tracing: Tracing = NO_TRACING): Promise<Database> {
  return config.databaseUrl === undefined
    ? openPglite(config.dataFolder, { log, tracing })
    : openPostgres(config.databaseUrl, { limits: config.databaseLimits, log, tracing });
}

async function openPglite(
  dataFolder: string,
  { log, tracing }: { readonly log: Logger; readonly tracing: Tracing },
): Promise<Database> {
  const release = lockDataFolder(dataFolder);
  const folder = join(dataFolder, "pglite");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  requireRoom(folder);
  const pglite = await PGlite.create(folder, {
    startParams: [...PGlite.defaultStartParams, ...FEW_BUFFERS, ...PLAN_EACH_TIME],
  });
  // PostgreSQL panics when its write-ahead log finds no room, and ends. The embedded one cannot end:
  // at its next query it would hold the whole process for ever. What is committed is on disk, so the
  // process ends, and whoever supervises it starts it again.
  const endProcess = (error: string): never => {
    log.fatal({ error }, "the embedded database cannot be asked any more; the server ends and can be started again");
    process.exit(1);
  };
  const pool = openEmbeddedPool(pglite, { types: TYPES, onPanic: endProcess });
  return {
    engine: "pglite",
    db: new Kysely<Tables>({ dialect: tracedDialect(new PostgresDialect({ pool: pool.forKysely }), tracing) }),
    runScript: pool.runScript,
    bossOptions: { db: pool.forJobs, backend: "pglite", useListenNotify: true },
    listen: async ({ onNotice }) => ({
      isCurrent: () => true,
      stop: await pool.listen(NOTICE_CHANNEL, onNotice),
    }),
    alone: (work) => work(),
    pool: () => undefined,
    tend: (signal) => tendEmbedded(pool, signal),
    close: async () => {
      await pool.end();
      await pglite.close();
      release();
    },
  };
}

interface PostgresParts {
  readonly limits: DatabaseLimits;
  readonly log: Logger;
  readonly tracing: Tracing;
}

async function openPostgres(connectionString: string, { limits, log, tracing }: PostgresParts): Promise<Database> {
  const pool = new pg.Pool({
    connectionString,
    max: limits.poolSize,
    application_name: "licet",
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_AFTER_MS,
    statement_timeout: limits.statementSeconds * 1_000,
    lock_timeout: limits.lockSeconds * 1_000,
    idle_in_transaction_session_timeout: limits.idleTransactionSeconds * 1_000,
    types: TYPES,
  });
  // The pool hears of idle connections alone; one that breaks in use must not end the process.
  pool.on("connect", (client) =>
    client.on("error", (error) => log.warn({ error: error.message }, "a database connection broke")),
  );
  pool.on("error", () => undefined);
  const db = new Kysely<Tables>({ dialect: tracedDialect(new PostgresDialect({ pool }), tracing) });
  await sql`select 1`.execute(db);
  return {
    engine: "postgres",
    db,
    runScript: (script) => runOnOneConnection(pool, script),
    bossOptions: { connectionString, useListenNotify: true, max: BOSS_POOL_SIZE, application_name: "licet jobs" },
    listen: (listening) => listenOnPostgres({ ...listening, connectionString, log }),
    alone: (work) => holdingLock(connectionString, work),
    pool: () => ({ total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount }),
    close: () => db.destroy(),
  };
}

/** What the connection that holds it calls itself. */
export const BOOT_LOCK_HOLDER = "licet start";
/** A boot takes a second or two; one that hangs must not make the others wait for ever. */
const LOCK_PATIENCE_MS = 60_000;

/** On a connection of its own: a server that dies lets go as soon as PostgreSQL notices. */
async function holdingLock<T>(connectionString: string, work: () => Promise<T>): Promise<T> {
  const holder = new pg.Client({
    connectionString,
    application_name: BOOT_LOCK_HOLDER,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    lock_timeout: LOCK_PATIENCE_MS,
  });
  const broken = Promise.withResolvers<never>();
  broken.promise.catch(() => undefined);
  holder.on("error", broken.reject);
  await holder.connect();
  try {
    await holder.query("select pg_advisory_lock($1::bigint)", [ADVISORY_LOCKS.boot]);
    return await Promise.race([work(), broken.promise]);
  } finally {
    await holder.end();
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
