import { ConfigError, startServer } from "@licet/server";
import { sql } from "kysely";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, readFile, rename, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import pg from "pg";
import { pino } from "pino";
import { expect, inject, test } from "vitest";
import { expectStatus } from "../../test/fixtures/actors.ts";
import { createCaller } from "../../test/fixtures/caller.ts";
import { bareEnvironment, fileOf } from "../../test/fixtures/child-process.ts";
import { type TestDatabase, configFor, createTestDatabase } from "../../test/fixtures/databases.ts";
import { engine } from "../../test/fixtures/settings.ts";
import { changeMasterKey } from "./change-master-key.ts";
import type { Config } from "./config.ts";
import { ADVISORY_LOCKS } from "./db/advisory-locks.ts";
import { openDatabase } from "./db/open-database.ts";
import { SEALED_COLUMNS } from "./db/sealed-columns.ts";

interface Used {
  readonly database: TestDatabase;
  readonly config: Config;
  /** The ids of what was sealed for a marketplace. */
  readonly marketplace: { readonly client_id: string; readonly webhook_endpoint_id: string };
}

/** A database that a server was started on, with a marketplace's secrets in it. */
async function usedDatabase(settings: Partial<Config> = {}): Promise<Used> {
  const database = await createTestDatabase(inject("templateFolder"));
  const config = configFor(database, settings);
  const server = await startServer({ config });
  const operator = createCaller(server.origin, server.bootstrapToken ?? "");
  const input = {
    name: "A marketplace",
    base_url: "https://marketplace.example",
    webhook_url: "https://marketplace.example/webhooks/consent-updated",
    platform_token: "a-platform-token-of-some-length",
  };
  const { body } = expectStatus(
    await operator.post("/api/v1/marketplaces", input, { "idempotency-key": "the-first-marketplace" }),
    201,
  );
  await server.stop();
  return { database, config: { ...config, origin: server.origin }, marketplace: body };
}

/** Boots, and opens what was sealed for the marketplace. Throws when anything does not open. */
async function openAll({ config, marketplace }: Used, settings: Partial<Config> = {}): Promise<void> {
  const server = await startServer({ config: { ...config, ...settings } });
  const { db, sealer } = server.ctx;
  try {
    const client = await db
      .selectFrom("oauth_client")
      .selectAll()
      .where("client_id", "=", marketplace.client_id)
      .executeTakeFirstOrThrow();
    sealer.open(`oauth_client/${client.client_id}`, client.sealed_secret ?? new Uint8Array());
    const row = await db.selectFrom("marketplace").selectAll().executeTakeFirstOrThrow();
    const token = sealer.open(
      `marketplace/${row.marketplace_id}/platform_token`,
      row.sealed_platform_token ?? new Uint8Array(),
    );
    expect(token).toBe("a-platform-token-of-some-length");
    const endpoint = await db.selectFrom("webhook_endpoint").selectAll().executeTakeFirstOrThrow();
    expect(sealer.open(`webhook_endpoint/${endpoint.endpoint_id}`, endpoint.sealed_secret)).toMatch(/^whsec_/);
    const held = await db.selectFrom("idempotency_key").selectAll().executeTakeFirstOrThrow();
    const label = `idempotency_key/${held.caller}/${held.route}/${held.key}`;
    expect(JSON.parse(sealer.open(label, held.sealed_answer ?? new Uint8Array()))).toMatchObject({ status: 201 });
  } finally {
    await server.stop();
  }
}

test("every column that holds something sealed is known to whoever changes the master key", async () => {
  const { database, config } = await usedDatabase();
  const opened = await openDatabase(config, pino({ level: "silent" }));
  const { rows } = await sql<{ name: string }>`
    select table_name || '.' || column_name as name from information_schema.columns
    where table_schema = 'public' and data_type = 'bytea' and column_name like '%sealed%'`.execute(opened.db);
  await opened.close();
  await database.drop();
  expect(rows.map(({ name }) => name).toSorted()).toEqual(
    SEALED_COLUMNS.map(({ table, column }) => `${table}.${column}`).toSorted(),
  );
});

test("the master key in the data folder is replaced by a new one, which opens everything, and the old one nothing", async () => {
  const used = await usedDatabase();
  const path = join(used.database.dataFolder, "master.key");
  const old = await readFile(path, "utf8");
  const change = await changeMasterKey(used.config);
  expect(change).toMatchObject({ key_file: path, in_place: true });
  expect(change.sealed).toBeGreaterThanOrEqual(9);
  expect(await readFile(path, "utf8")).not.toBe(old);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  await openAll(used);
  await writeFile(path, old);
  await expect(openAll(used)).rejects.toThrow(ConfigError);
  await used.database.drop();
});

test("a change that a crash cut short is settled by the next start, whichever way it went", async () => {
  const used = await usedDatabase();
  const path = join(used.database.dataFolder, "master.key");
  // Crashed before the commit: the new key waits, and opens nothing.
  await writeFile(`${path}.new`, randomBytes(32).toString("base64url"), { mode: 0o600 });
  await openAll(used);
  expect(existsSync(`${path}.new`)).toBe(false);
  // Crashed between the commit and the new key's taking its place.
  const old = await readFile(path, "utf8");
  await changeMasterKey(used.config);
  await rename(path, `${path}.new`);
  await writeFile(path, old, { mode: 0o600 });
  await openAll(used);
  expect(existsSync(`${path}.new`)).toBe(false);
  expect(await readFile(path, "utf8")).not.toBe(old);
  await used.database.drop();
});

test("a change that is killed in the middle leaves everything as it was, or everything new", async () => {
  const used = await usedDatabase();
  const { databaseUrl, dataFolder } = used.database;
  const child = spawn(process.execPath, ["--conditions=@licet/source", fileOf("server/src/main.ts"), "rewrap"], {
    env: {
      ...bareEnvironment(),
      LICET_DATA_DIR: dataFolder,
      ...(databaseUrl === undefined ? {} : { DATABASE_URL: databaseUrl }),
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  // The first line of progress comes from within the transaction.
  await Promise.race([once(child.stdout, "data"), once(child, "exit")]);
  child.kill("SIGKILL");
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  await openAll(used);
  await used.database.drop();
});

test("a master key that comes from the environment is changed for a given one", async () => {
  const [masterKey, newMasterKey] = [new Uint8Array(randomBytes(32)), new Uint8Array(randomBytes(32))];
  const used = await usedDatabase({ masterKey });
  await expect(changeMasterKey(used.config)).rejects.toThrow(/LICET_NEW_MASTER_KEY: expected the new key/);
  expect(await changeMasterKey({ ...used.config, newMasterKey })).toMatchObject({ key_file: null, in_place: false });
  await openAll(used, { masterKey: newMasterKey });
  await expect(openAll(used)).rejects.toThrow("the master key does not open");
  const newMasterKeyPath = join(used.database.dataFolder, "next.key");
  const again = await changeMasterKey({ ...used.config, masterKey: newMasterKey, newMasterKeyPath });
  expect(again.key_file).toBe(newMasterKeyPath);
  const made = new Uint8Array(Buffer.from(await readFile(newMasterKeyPath, "utf8"), "base64url"));
  await openAll(used, { masterKey: made });
  await chmod(newMasterKeyPath, 0o644);
  await expect(changeMasterKey({ ...used.config, masterKey: made, newMasterKeyPath })).rejects.toThrow(/chmod 600/);
  await used.database.drop();
});

test("the master key is not changed under a running server, nor with a wrong old key", async () => {
  const used = await usedDatabase({ masterKey: new Uint8Array(randomBytes(32)) });
  const newMasterKey = new Uint8Array(randomBytes(32));
  const running = await startServer({ config: used.config });
  await expect(changeMasterKey({ ...used.config, newMasterKey })).rejects.toThrow(ConfigError);
  await running.stop();
  const wrong = { ...used.config, masterKey: newMasterKey, newMasterKey };
  await expect(changeMasterKey(wrong)).rejects.toThrow("the master key does not open");
  await openAll(used);
  await used.database.drop();
});

test("a key that opens neither what is sealed nor gives way to one that does is left where it is", async () => {
  const used = await usedDatabase();
  const path = join(used.database.dataFolder, "master.key");
  const right = await readFile(path, "utf8");
  const other = randomBytes(32).toString("base64url");
  await writeFile(path, other);
  await writeFile(`${path}.new`, other, { mode: 0o600 });
  await expect(openAll(used)).rejects.toThrow(ConfigError);
  expect(existsSync(`${path}.new`)).toBe(true);
  await writeFile(path, right);
  await openAll(used);
  expect(existsSync(`${path}.new`)).toBe(false);
  await used.database.drop();
});

/** Whoever starts settles which key is the right one under this lock; nobody can tell before the change is committed. */
test.skipIf(engine === "pglite")(
  "a server that starts and a change of the master key wait for each other",
  async () => {
    const used = await usedDatabase();
    const path = join(used.database.dataFolder, "master.key");
    const starting = new pg.Client({ connectionString: used.database.databaseUrl });
    await starting.connect();
    await starting.query("select pg_advisory_lock($1::bigint)", [ADVISORY_LOCKS.boot]);
    let isDone = false;
    const change = changeMasterKey(used.config).finally(() => (isDone = true));
    await expect
      .poll(
        async () => {
          const { rows } = await starting.query(
            `select count(*)::int as waiting from pg_locks join pg_database on pg_database.oid = pg_locks.database
            where datname = current_database() and locktype = 'advisory' and not granted`,
          );
          return isDone || rows[0]?.waiting > 0;
        },
        { timeout: 30_000 },
      )
      .toBe(true);
    expect([isDone, existsSync(`${path}.new`)]).toEqual([false, false]);
    await starting.end();
    expect(await change).toMatchObject({ key_file: path });
    await openAll(used);
    await used.database.drop();
  },
);
