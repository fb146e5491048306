import type { DatabaseConnection, Dialect, Driver, QueryCompiler, TransactionSettings } from "kysely";
import type { RunningSpan, Tracing } from "./tracing.ts";

/** A dialect whose transactions are spans of the work that they are for; statements are not in them. */
export function tracedDialect(dialect: Dialect, tracing: Tracing): Dialect {
  if (!tracing.isOn) return dialect;
  return {
    createDriver: () => new TracedDriver(dialect.createDriver(), tracing),
    createQueryCompiler: () => dialect.createQueryCompiler(),
    createAdapter: () => dialect.createAdapter(),
    createIntrospector: (db) => dialect.createIntrospector(db),
  };
}

class TracedDriver implements Driver {
  readonly #driver: Driver;
  readonly #tracing: Tracing;
  readonly #open = new Map<DatabaseConnection, RunningSpan>();

  constructor(driver: Driver, tracing: Tracing) {
    this.#driver = driver;
    this.#tracing = tracing;
  }

  init(): Promise<void> {
    return this.#driver.init();
  }

  acquireConnection(): Promise<DatabaseConnection> {
    return this.#driver.acquireConnection();
  }

  async beginTransaction(connection: DatabaseConnection, settings: TransactionSettings): Promise<void> {
    await this.#driver.beginTransaction(connection, settings);
    const span = this.#tracing.child({
      name: "transaction",
      kind: "client",
      attributes: { "db.system.name": "postgresql" },
    });
    if (span !== undefined) this.#open.set(connection, span);
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await this.#driver.commitTransaction(connection);
    this.#end(connection);
  }

  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    this.#open.get(connection)?.fail("rollback");
    this.#end(connection);
    await this.#driver.rollbackTransaction(connection);
  }

  async savepoint(connection: DatabaseConnection, name: string, compile: QueryCompiler["compileQuery"]): Promise<void> {
    await this.#driver.savepoint?.(connection, name, compile);
  }

  async rollbackToSavepoint(
    connection: DatabaseConnection,
    name: string,
    compile: QueryCompiler["compileQuery"],
  ): Promise<void> {
    await this.#driver.rollbackToSavepoint?.(connection, name, compile);
  }

  async releaseSavepoint(
    connection: DatabaseConnection,
    name: string,
    compile: QueryCompiler["compileQuery"],
  ): Promise<void> {
    await this.#driver.releaseSavepoint?.(connection, name, compile);
  }

  async releaseConnection(connection: DatabaseConnection): Promise<void> {
    this.#end(connection);
    await this.#driver.releaseConnection(connection);
  }

  destroy(): Promise<void> {
    return this.#driver.destroy();
  }

  #end(connection: DatabaseConnection): void {
    this.#open.get(connection)?.end();
    this.#open.delete(connection);
  }
}
