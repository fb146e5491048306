import { sql } from "kysely";
import { createHash } from "node:crypto";
import { readFile, readdir } from "node:fs/promises";
import { ADVISORY_LOCKS } from "./advisory-locks.ts";
import { ConfigError } from "../config.ts";
import type { Database } from "./open-database.ts";

const FOLDER = new URL("./migrations/", import.meta.url);
interface Migration {
  readonly name: string;
  readonly script: string;
  readonly sha256: string;
}

/** Brings the database up to date: each numbered script once, in order, each in a transaction of its own. */
export async function migrate(database: Database): Promise<readonly string[]> {
  await database.runScript(
    locked(
      "create table if not exists migration (name text primary key, sha256 text not null, applied_at timestamptz not null default now());",
    ),
  );
  const applied = new Map((await readApplied(database)).map((row) => [row.name, row.sha256]));
  const added: string[] = [];
  for (const migration of await readMigrations()) {
    const known = applied.get(migration.name);
    if (known !== undefined && known !== migration.sha256)
      throw new ConfigError(`migration ${migration.name} differs from the one that this database was made with`);
    if (known === undefined) {
      await apply(database, migration);
      added.push(migration.name);
    }
  }
  return added;
}

async function readApplied(database: Database): Promise<readonly { readonly name: string; readonly sha256: string }[]> {
  const { rows } = await sql<{ name: string; sha256: string }>`select name, sha256 from migration`.execute(database.db);
  return rows;
}

/** The names of the migrations that this version knows, in order. */
export async function listMigrations(): Promise<readonly string[]> {
  return (await readMigrations()).map(({ name }) => name);
}

async function readMigrations(): Promise<readonly Migration[]> {
  const names = (await readdir(FOLDER)).filter((name) => name.endsWith(".sql")).sort();
  return Promise.all(
    names.map(async (name) => {
      const script = await readFile(new URL(name, FOLDER), "utf8");
      return { name, script, sha256: createHash("sha256").update(script).digest("hex") };
    }),
  );
}

/** In a transaction that the other servers of this database wait for: not even `if not exists` is safe against two at once. Takes the time it takes. */
function locked(script: string): string {
  return `begin;\nset local statement_timeout = 0;\nset local lock_timeout = 0;\nselect pg_advisory_xact_lock(${ADVISORY_LOCKS.migration});\n${script}\ncommit;`;
}

/** Names and hashes are ours: a file name and hexadecimal digits. A second server that waited for the lock finds the row and rolls back. */
async function apply(database: Database, { name, script, sha256 }: Migration): Promise<void> {
  try {
    await database.runScript(
      locked(`insert into migration (name, sha256) values ('${name}', '${sha256}');\n${script}`),
    );
  } catch (error) {
    const isApplied = (await readApplied(database)).some((row) => row.name === name);
    if (!isApplied) throw error;
  }
}
