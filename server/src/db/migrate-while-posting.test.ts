import { migrateOnly } from "@licet/server";
import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { expect, onTestFinished, test } from "vitest";
import { sha256Hex } from "@licet/protocol";
import { configFor } from "../../../test/fixtures/databases.ts";
import { engine, postgresUrl } from "../../../test/fixtures/settings.ts";

const FOLDER = new URL("./migrations/", import.meta.url);
const KEPT_SUMS = "0049-kept-sums.sql";

async function connect(databaseUrl: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}

/** An empty database, and its address. */
async function createEmpty(): Promise<string> {
  const name = `licet_test_${randomBytes(6).toString("hex")}`;
  const onServer = new pg.Client({ connectionString: postgresUrl });
  await onServer.connect();
  await onServer.query(`create database ${name}`);
  onTestFinished(async () => {
    await onServer.query(`drop database if exists ${name} with (force)`);
    await onServer.end();
  });
  const url = new URL(postgresUrl ?? "");
  url.pathname = `/${name}`;
  return url.href;
}

/** Brings a database to where it was before sums were kept. */
async function migrateBefore(client: pg.Client): Promise<void> {
  await client.query(
    "create table migration (name text primary key, sha256 text not null, applied_at timestamptz not null default now())",
  );
  for (const name of (await readdir(FOLDER)).filter((entry) => entry.endsWith(".sql") && entry < KEPT_SUMS).sort()) {
    const script = await readFile(new URL(name, FOLDER), "utf8");
    await client.query(script);
    await client.query("insert into migration (name, sha256) values ($1, $2)", [name, sha256Hex(script)]);
  }
}

test.skipIf(engine !== "postgres")(
  "what a server posts while sums are added up for the first time is in them",
  async () => {
    const databaseUrl = await createEmpty();
    const [writer, watcher] = [await connect(databaseUrl), await connect(databaseUrl)];
    await migrateBefore(writer);
    await writer.query(
      "insert into ledger_account (kind, owner, currency) values ('cash', '', 'EUR'), ('clearing', 'csv', 'EUR')",
    );
    await writer.query("begin");
    await writer.query(`insert into ledger_transaction (transaction_id, kind, reference, currency, value_at, recorded_at, explanation)
                      values ('ltx_1', 'payment', 'one', 'EUR', 1800000000, 1800000000, '{}')`);
    await writer.query(`insert into ledger_entry (transaction_id, account_id, currency, amount)
                      select 'ltx_1', account_id, 'EUR', case kind when 'cash' then 7 else -7 end from ledger_account`);
    const dataFolder = await mkdtemp(join(tmpdir(), "licet-test-"));
    onTestFinished(() => rm(dataFolder, { recursive: true, force: true }));
    const migrated = migrateOnly(configFor({ dataFolder, databaseUrl }));
    const waits = async () =>
      (
        await watcher.query(
          "select from pg_locks join pg_database on pg_database.oid = database where datname = current_database() and not granted",
        )
      ).rowCount;
    await expect.poll(waits, { timeout: 30_000 }).toBe(1);
    await writer.query("commit");
    await migrated;
    const { rows } = await watcher.query("select amount::text from account_month order by amount");
    expect(rows).toEqual([{ amount: "-7" }, { amount: "7" }]);
  },
);
