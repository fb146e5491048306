import type { PGlite } from "@electric-sql/pglite";
import type { PostgresPool } from "kysely";
import type { ConstructorOptions } from "pg-boss";
import { Duplex } from "node:stream";
import { setImmediate as nextTurn } from "node:timers/promises";
import pg from "pg";

/** What is asked of PGlite. Its other ways to ask keep every answer, for ever. */
type Embedded = Pick<PGlite, "execProtocolRawStream">;

/** Statements that the embedded database keeps parsed; those that come after them are parsed each time. */
const MAX_PREPARED = 500;
/** A longer statement is one of many rows, and their number differs from one to the next. */
const MAX_PREPARED_LENGTH = 4_000;
/** Statements that were asked once: the second time one is kept, so that those of one occasion take nobody's place. */
const MAX_SEEN = 1_000;
/** The database answers within the call, so that everything else waits: requests, timers, whoever stops the server. No statement begins when they have waited this long. */
const MAX_WITHOUT_TURN_MS = 10;
/** The statement is not known, or what it answers has another shape since a table was changed. */
const STALE = new Set(["26000", "0A000"]);

/** The one connection of the embedded database, held by one query or one transaction at a time; the others wait in line. */
export interface EmbeddedPool {
  readonly forKysely: PostgresPool;
  readonly forJobs: NonNullable<ConstructorOptions["db"]>;
  /** Several statements, all or, when one fails inside a transaction of theirs, none. */
  readonly runScript: (script: string) => Promise<void>;
  /** Hears what is notified on a channel; answers how to hear it no more. */
  readonly listen: (channel: string, onPayload: (payload: string) => void) => Promise<() => Promise<void>>;
  /** Answers when everybody who waits has been answered; who asks from then on is refused. */
  readonly end: () => Promise<void>;
}

interface EmbeddedPoolOptions {
  readonly types: pg.CustomTypesConfig;
  /** Called with the reason when PostgreSQL ends itself, or cannot be asked any more: no other connection can take the place of this one. */
  readonly onPanic: (reason: string) => void;
}

/**
 * Speaks to PGlite as to any PostgreSQL: node-postgres, over a stream that never leaves the process.
 * A statement is one message of its parts, and is parsed once; PGlite's own interface hands over
 * each part by itself, parses it each time, and waits in between.
 */
export function openEmbeddedPool(pglite: Embedded, options: EmbeddedPoolOptions): EmbeddedPool {
  const pool = poolOfOne(pglite, options);
  const prepared = preparedStatements();
  let ended: Promise<void> | undefined;
  const end = (): Promise<void> => (ended ??= endInTurn(pool));
  const connect = async (): Promise<pg.PoolClient> => {
    if (ended !== undefined) throw new Error("the embedded database is closed");
    return pool.connect();
  };

  const alone = async <T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> => {
    const client = await connect();
    try {
      return await work(client);
    } finally {
      client.release();
    }
  };
  /** A script that fails leaves its transaction open; the connection must not go back to the pool like that. */
  const run = (text: string, values: readonly unknown[] = []): Promise<pg.QueryResult | pg.QueryResult[]> =>
    alone(async (client) => {
      try {
        return await prepared.ask(client, text, values);
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
      await client.query(`listen ${pg.escapeIdentifier(channel)}`);
      client.on("notification", hear);
      return async () => {
        client.off("notification", hear);
        await run(`unlisten ${pg.escapeIdentifier(channel)}`);
      };
    });

  return {
    forKysely: kyselyPool({ connect, end, options: pool.options }, prepared),
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
    end,
  };
}

function poolOfOne(pglite: Embedded, options: EmbeddedPoolOptions): pg.Pool {
  const pool = new pg.Pool({
    stream: () => new InProcessStream(pglite),
    max: 1,
    idleTimeoutMillis: 0,
    user: "postgres",
    database: "postgres",
    // Said here so that PGSSLMODE, which is about other servers, says nothing.
    ssl: false,
    sslnegotiation: "postgres",
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

/** Ends it behind whoever waits in line: node-postgres would leave them without an answer. */
async function endInTurn(pool: pg.Pool): Promise<void> {
  const client = await pool.connect();
  const ended = pool.end();
  client.release();
  return ended;
}

interface OwnPool {
  readonly connect: () => Promise<pg.PoolClient>;
  readonly end: () => Promise<void>;
  readonly options: pg.Pool["options"];
}

function kyselyPool({ connect, end, options }: OwnPool, prepared: PreparedStatements): PostgresPool {
  return {
    connect: async () => {
      const client = await connect();
      const query = (text: string, values: readonly unknown[] = []) => prepared.ask(client, text, values);
      return { query: query as pg.PoolClient["query"], release: () => client.release() };
    },
    end,
    options,
  };
}

interface PreparedStatements {
  readonly ask: (client: pg.PoolClient, text: string, values: readonly unknown[]) => Promise<pg.QueryResult>;
}

/**
 * Names statements, so that the connection keeps them. One without values may be several statements,
 * which have no name. One that failed for what is kept of it is named anew the next time.
 */
function preparedStatements(): PreparedStatements {
  const names = new Map<string, string>();
  const seen = new Set<string>();
  let named = 0;

  function nameOf(text: string): string | undefined {
    const known = names.get(text);
    if (known !== undefined || names.size === MAX_PREPARED || text.length > MAX_PREPARED_LENGTH) return known;
    if (!seen.delete(text)) {
      if (seen.size === MAX_SEEN) seen.clear();
      seen.add(text);
      return undefined;
    }
    named += 1;
    const name = `s${named}`;
    names.set(text, name);
    return name;
  }

  return {
    ask: async (client, text, values) => {
      if (values.length === 0) return client.query(text);
      const name = nameOf(text);
      try {
        return await client.query({ ...(name === undefined ? {} : { name }), text, values: [...values] });
      } catch (error) {
        // A value that cannot be sent leaves a name that node-postgres takes for known and PostgreSQL does not know.
        if (!(error instanceof pg.DatabaseError) || STALE.has(error.code ?? "")) names.delete(text);
        throw error;
      }
    },
  };
}

/** What node-postgres takes for a socket: what is written is asked of the database, what it answers is read. */
class InProcessStream extends Duplex {
  static readonly #TERMINATE = "X".charCodeAt(0);
  static readonly #QUERY = "Q".charCodeAt(0);
  /** `Sync`, which ends every message that is made of parts. */
  static readonly #SYNC = Buffer.from("S\0\0\0\x04", "latin1");
  /** `ReadyForQuery`, but for its last byte, the state of the transaction: what ends every answer to these two. */
  static readonly #READY = Buffer.from("Z\0\0\0\x05", "latin1");
  readonly #pglite: Embedded;
  /** When the first question since the event loop's last turn was asked, in milliseconds. */
  #askedSince: number | undefined;

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
      await this.#leaveTurn();
      // The database outlives the connection, and its owner closes it.
      this.push(message[0] === InProcessStream.#TERMINATE ? null : await this.#answerTo(message));
      done();
    } catch (error) {
      done(error instanceof Error ? error : new Error(reasonOf(error)));
    }
  }

  /** Who asks one thing after another never waits for anything but this stream, and would have the event loop for itself. */
  async #leaveTurn(): Promise<void> {
    if (this.#askedSince !== undefined && performance.now() - this.#askedSince > MAX_WITHOUT_TURN_MS) await nextTurn();
    if (this.#askedSince !== undefined) return;
    this.#askedSince = performance.now();
    setImmediate(() => (this.#askedSince = undefined));
  }

  /** Throws when the answer breaks off: PGlite goes on after a trap as if nothing had been, and whoever asked would wait for ever. */
  async #answerTo(message: Buffer): Promise<Buffer> {
    const parts: Buffer[] = [];
    // The bytes are the database's own memory, which the next ones overwrite.
    await this.#pglite.execProtocolRawStream(message, { onRawData: (bytes) => void parts.push(Buffer.from(bytes)) });
    const answer = Buffer.concat(parts);
    const wantsReady =
      message[0] === InProcessStream.#QUERY ||
      message.subarray(-InProcessStream.#SYNC.length).equals(InProcessStream.#SYNC);
    if (wantsReady && !answer.subarray(-InProcessStream.#READY.length - 1, -1).equals(InProcessStream.#READY))
      throw new Error("the embedded database broke off in the middle of an answer");
    return answer;
  }
}

/** PGlite also throws objects that are no errors, with a message. */
function reasonOf(error: unknown): string {
  return typeof error === "object" && error !== null && "message" in error ? String(error.message) : String(error);
}
