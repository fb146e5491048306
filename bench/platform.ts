import { randomInt } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { pino } from "pino";
import { type Db, openDatabase } from "../server/src/db/open-database.ts";
import type { Reachable } from "../test/fixtures/actors.ts";
import { type Caller, type FetchBy, createCaller } from "../test/fixtures/caller.ts";
import { type Child, fileOf, startChild } from "../test/fixtures/child-process.ts";
import { configFor } from "../test/fixtures/databases.ts";
import type { BenchSettings } from "./row.ts";

/** A server in a process of its own, as it is run, on a fresh database. */
export interface MeasuredPlatform extends Reachable {
  readonly anonymous: Caller;
  readonly engine: "PGlite" | "PostgreSQL";
  readonly databaseUrl: string | undefined;
  /** Does something in the database of the server, which is stopped for as long and then started anew. */
  readonly whileStopped: (work: (db: Db) => Promise<void>) => Promise<void>;
  /** Ends the server as a crash would, and starts it anew at the same address. */
  readonly crash: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

/** What a server says once it answers; the token only when its database is new. */
interface Ready {
  readonly origin: string;
  readonly operator_token: string;
}

/** The bench is one client that does what thousands do. */
const UNLIMITED = { LICET_RATE_LIMITS: "off" };

/** `environment` is the server's beside what every measured server has, and comes before it: also another port. */
export async function startMeasuredPlatform(
  { postgresUrl }: Pick<BenchSettings, "postgresUrl">,
  environment: Readonly<Record<string, string>> = {},
  fetchBy?: FetchBy,
): Promise<MeasuredPlatform> {
  const folder = await mkdtemp(join(tmpdir(), "licet-bench-"));
  const database = postgresUrl === undefined ? undefined : await createDatabase(postgresUrl);
  const port = 20_000 + randomInt(12_000);
  const start = (): Promise<Child<Ready>> =>
    startChild(fileOf("server/src/main.ts"), {
      LICET_PORT: String(port),
      LICET_DATA_DIR: folder,
      LICET_LOG_LEVEL: "error",
      LICET_EXIT_WITH_PARENT: "1",
      ...UNLIMITED,
      ...(database === undefined ? {} : { DATABASE_URL: database.url }),
      ...environment,
    });
  let server = await start();
  const { origin, operator_token } = server.ready;
  return {
    origin,
    operator: createCaller(origin, operator_token, fetchBy),
    anonymous: createCaller(origin, undefined, fetchBy),
    clock: { nowMs: () => Date.now(), advance: () => undefined },
    as: (token) => createCaller(origin, token, fetchBy),
    engine: database === undefined ? "PGlite" : "PostgreSQL",
    databaseUrl: database?.url,
    whileStopped: async (work) => {
      await server.stop();
      const config = configFor({ dataFolder: folder, databaseUrl: database?.url });
      const opened = await openDatabase(config, pino({ level: "silent" }));
      try {
        await work(opened.db);
      } finally {
        await opened.close();
      }
      server = await start();
    },
    crash: async () => {
      await server.kill();
      server = await start();
    },
    stop: async () => {
      await server.stop();
      await database?.drop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A fresh database on a server that is there. */
export async function createDatabase(
  postgresUrl: string,
): Promise<{ readonly url: string; readonly drop: () => Promise<void> }> {
  const name = `licet_bench_${randomInt(2 ** 40)}`;
  await runOn(postgresUrl, `create database ${name}`);
  const url = new URL(postgresUrl);
  url.pathname = `/${name}`;
  return { url: url.href, drop: () => runOn(postgresUrl, `drop database if exists ${name} with (force)`) };
}

async function runOn(connectionString: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
