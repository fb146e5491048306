import type { PGlite } from "@electric-sql/pglite";
import { type DatabaseConnection, type Dialect, type Driver, PGliteDialect, PGliteDriver } from "kysely";

/**
 * PGlite is one connection, and Kysely's driver hands that same connection to everybody: a query
 * from one request would run inside the transaction of another. Here a connection is held by one
 * query or one transaction at a time; the others wait in line.
 */
export function exclusivePgliteDialect(pglite: PGlite): Dialect {
  const shared = new PGliteDialect({ pglite });
  return {
    createDriver: () => new ExclusivePgliteDriver({ pglite }),
    createQueryCompiler: () => shared.createQueryCompiler(),
    createAdapter: () => shared.createAdapter(),
    createIntrospector: (db) => shared.createIntrospector(db),
  };
}

class ExclusivePgliteDriver extends PGliteDriver implements Driver {
  #line: Promise<void> = Promise.resolve();
  #leave: () => void = () => undefined;

  override async acquireConnection(): Promise<DatabaseConnection> {
    const before = this.#line;
    const turn = Promise.withResolvers<void>();
    this.#line = turn.promise;
    await before;
    this.#leave = turn.resolve;
    return super.acquireConnection();
  }

  override async releaseConnection(): Promise<void> {
    await super.releaseConnection();
    this.#leave();
  }
}
