import type { PGlite } from "@electric-sql/pglite";
import type { PostgresPool } from "kysely";
import type { ConstructorOptions } from "pg-boss";
import { Duplex } from "node:stream";
import pg from "pg";

/** What is asked of PGlite. */
type Embedded = Pick<PGlite, "execProtocolRaw">;

/** Statements that the embedded database keeps parsed and planned; those that come after them are parsed each time. */
const MAX_PREPARED = 500;
/** A longer statement is one of many rows, and their number differs from one to the next. */
const MAX_PREPARED_LENGTH = 4_000;

/** The one connection of the embedded database, held by one query or one transaction at a time; the others wait in line. */
export interface EmbeddedPool {
  readonly forKysely: PostgresPool;
  readonly forJobs: NonNullable<ConstructorOptions["db"]>;
  /** Several statements, all or, when one fails inside a transaction of theirs, none. */
  readonly runScript: (script: string) => Promise<void>;
  /** Hears what is notified on a channel; answers how to hear it no more. */
  readonly listen: (channel: string, onPayload: (payload: string) => void) => Promise<() => Promise<void>>;
  readonly end: () => Promise<void>;
}

interface EmbeddedPoolOptions {
  readonly types: pg.CustomTypesConfig;
  /** Called with the reason when PostgreSQL ends itself, or cannot be asked any more: no other connection can take the place of this one. */
  readonly onPanic: (reason: string) => void;
}

/**
 * Speaks to PGlite as to any PostgreSQL: node-postgres, over a stream that never leaves the process.
 * A statement is one message of its parts, and is parsed and planned once; PGlite's own interface
 * hands over each part by itself, and plans it each time, which takes eight times as long.
 */
export function openEmbeddedPool(pglite: Embedded, options: EmbeddedPoolOptions): EmbeddedPool {
  const pool = poolOfOne(pglite, options);
  const prepared = preparedStatements();

  const alone = async <T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> => {
    const client = await pool.connect();
    try {
      return await work(client);
    } finally {
      client.release();
    }
  };
  /** A script that fails leaves its transaction open; the connection must not go back to the pool like that. */
  const run = (text: string, values: unknown[] = []): Promise<pg.QueryResult | pg.QueryResult[]> =>
    alone(async (client) => {
      try {
        return await client.query(prepared(text, values));
      } catch (error) {
        // A connection that is lost is told of by itself; what the script failed at is the answer.
        await client.query("rollback").catch(() => undefined);
        throw error;
      }
    });
  const listen: EmbeddedPool["listen"] = (channel, onPayload) =>
    alone(async (client) => {
      const hear = (notice: pg.Notification): void => {
        if (notice.channel === channel) onPayload(notice.payload ?? "");
      };
      client.on("notification", hear);
      await client.query(`listen ${pg.escapeIdentifier(channel)}`);
      return async () => {
        client.off("notification", hear);
        await run(`unlisten ${pg.escapeIdentifier(channel)}`);
      };
    });

  return {
    forKysely: kyselyPool(pool, prepared),
    forJobs: {
      executeSql: async (text, values) => ({ rows: [await run(text, values)].flat().flatMap(({ rows }) => rows) }),
      listen: async (channel, onNotification, onReconnect) => {
        const close = await listen(channel, onNotification);
        onReconnect();
        return { close };
      },
    },
    runScript: async (script) => void (await run(script)),
    listen,
    end: () => pool.end(),
  };
}

function poolOfOne(pglite: Embedded, options: EmbeddedPoolOptions): pg.Pool {
  const pool = new pg.Pool({
    stream: () => new InProcessStream(pglite),
    max: 1,
    idleTimeoutMillis: 0,
    user: "postgres",
    database: "postgres",
    types: options.types,
  });
  pool.on("connect", (client) => {
    client.on("error", (error) => options.onPanic(error.message));
    client.connection.on("errorMessage", ({ severity, message }: pg.DatabaseError) => {
      if (severity === "PANIC") options.onPanic(message);
    });
  });
  pool.on("error", () => undefined);
  return pool;
}

function kyselyPool(pool: pg.Pool, prepared: ReturnType<typeof preparedStatements>): PostgresPool {
  return {
    connect: async () => {
      const client = await pool.connect();
      const query = (text: string, values: readonly unknown[] = []) => client.query(prepared(text, [...values]));
      return { query: query as pg.PoolClient["query"], release: () => client.release() };
    },
    end: () => pool.end(),
    options: pool.options,
  };
}

/** Names statements, so that the connection keeps them. One without values may be several statements, which have no name. */
function preparedStatements(): (text: string, values: unknown[]) => pg.QueryConfig {
  const names = new Map<string, string>();
  return (text, values) => {
    if (values.length === 0) return { text };
    const known = names.get(text);
    if (known !== undefined) return { name: known, text, values };
    if (names.size === MAX_PREPARED || text.length > MAX_PREPARED_LENGTH) return { text, values };
    const name = `s${names.size}`;
    names.set(text, name);
    return { name, text, values };
  };
}

/** What node-postgres takes for a socket: what is written is asked of the database, what it answers is read. */
class InProcessStream extends Duplex {
  static readonly #TERMINATE = "X".charCodeAt(0);
  readonly #pglite: Embedded;

  constructor(pglite: Embedded) {
    super();
    this.#pglite = pglite;
  }

  connect(): this {
    process.nextTick(() => this.emit("connect"));
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  override _read(): void {
    // Answers are pushed as they come.
  }

  override _write(message: Buffer, _encoding: string, done: (error?: Error) => void): void {
    void this.#ask(message, done);
  }

  override _writev(chunks: readonly { readonly chunk: Buffer }[], done: (error?: Error) => void): void {
    void this.#ask(Buffer.concat(chunks.map(({ chunk }) => chunk)), done);
  }

  async #ask(message: Buffer, done: (error?: Error) => void): Promise<void> {
    try {
      // The database outlives the connection, and its owner closes it.
      if (message[0] === InProcessStream.#TERMINATE) this.push(null);
      else this.push(Buffer.from(await this.#pglite.execProtocolRaw(message)));
      done();
    } catch (error) {
      done(error instanceof Error ? error : new Error(String(error)));
    }
  }
}
