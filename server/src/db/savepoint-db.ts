import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
} from "kysely";
import type { Db, Trx } from "./open-database.ts";
import type { Tables } from "./tables.ts";

/**
 * A database inside one transaction: what others would commit is a savepoint here, so that many
 * facts, written by the operations everybody uses, become true together or not at all. One query or
 * one inner transaction at a time; the others wait in line.
 */
export function savepointDb(trx: Trx): Db {
  const dialect: Dialect = {
    createDriver: () => new SavepointDriver(trx),
    createQueryCompiler: () => new PostgresQueryCompiler(),
    createAdapter: () => new PostgresAdapter(),
    createIntrospector: (db) => new PostgresIntrospector(db),
  };
  return new Kysely<Tables>({ dialect });
}

const SAVEPOINT = "inner_transaction";

class SavepointDriver implements Driver {
  readonly #connection: DatabaseConnection;
  #line: Promise<void> = Promise.resolve();
  #leave: () => void = () => undefined;

  constructor(trx: Trx) {
    this.#connection = {
      executeQuery: <R>(query: CompiledQuery) => trx.executeQuery<R>({ ...query }),
      streamQuery: () => {
        throw new TypeError("expected no streamed query inside a transaction");
      },
    };
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<DatabaseConnection> {
    const before = this.#line;
    const turn = Promise.withResolvers<void>();
    this.#line = turn.promise;
    await before;
    this.#leave = turn.resolve;
    return this.#connection;
  }

  async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw(`savepoint ${SAVEPOINT}`));
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw(`release savepoint ${SAVEPOINT}`));
  }

  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw(`rollback to savepoint ${SAVEPOINT}`));
  }

  async releaseConnection(): Promise<void> {
    this.#leave();
  }

  async destroy(): Promise<void> {}
}
