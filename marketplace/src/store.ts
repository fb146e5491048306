import { closeSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import type { z } from "zod";

const SCHEMA = `
create table if not exists connection (
  id integer primary key check (id = 1),
  body text not null
) strict;

create table if not exists seen_document (
  url text primary key,
  seq integer not null
) strict;

create table if not exists dataset (
  dataset_id text primary key,
  name text not null,
  version integer not null,
  manifest_url text not null,
  items_root text not null,
  items_count integer not null,
  status text not null,
  revoked_count integer not null,
  withdrawn_items_count integer not null,
  verified_at text not null,
  training text not null check (training in ('allowed', 'stopped')),
  reason text check ((reason is null) = (training = 'allowed')),
  sequence integer not null default 0,
  model_id text,
  model_fingerprint text
) strict;

create table if not exists dataset_item (
  dataset_id text not null references dataset,
  position integer not null,
  content_id text not null,
  canonical_url text not null,
  sha256 text not null,
  mime_type text not null,
  length_seconds integer,
  size_bytes integer,
  jti text not null,
  withdrawn_at text,
  primary key (dataset_id, position)
) strict;

create table if not exists webhook_event (
  id integer primary key,
  event_id text not null unique,
  content_sha256 text not null,
  dataset_id text not null,
  change text not null,
  refuses integer not null,
  sequence integer not null,
  received_at text not null
) strict;

create table if not exists acknowledgement (
  event_id text primary key,
  state text not null check (state in ('waiting', 'sent', 'refused')),
  reason text
) strict;

create table if not exists feed_position (
  origin text not null,
  marketplace_id text not null,
  position text not null,
  primary key (origin, marketplace_id)
) strict;

create table if not exists training_run (
  run_id text primary key,
  dataset_id text not null references dataset,
  version integer not null,
  model_id text not null,
  state text not null check (state in ('running', 'completed', 'stopped', 'failed')),
  reason text,
  items integer not null default 0,
  model_fingerprint text,
  started_at text not null,
  ended_at text
) strict;

create table if not exists receipt (
  id integer primary key,
  receipt_id text not null unique,
  run_id text not null references training_run,
  dataset_id text not null references dataset,
  body text not null,
  state text not null check (state in ('waiting', 'posted', 'refused')),
  reason text,
  valid_for_future_training integer not null
) strict;
`;

const FILE_NAME = "marketplace.sqlite";

/** The marketplace's database: rows come out through a schema, so that their types are what they claim. */
export interface Store {
  readonly all: <T>(shape: z.ZodType<T>, sql: string, ...values: SQLInputValue[]) => T[];
  /** Answers how many rows changed. */
  readonly run: (sql: string, ...values: SQLInputValue[]) => number;
  /** Runs synchronous work as one transaction; it commits whole or, when the work throws, not at all. */
  readonly transaction: <T>(work: () => T) => T;
  readonly close: () => void;
}

/** Opens, or makes, the database in the data folder. Only its owner may read it: it holds secrets. */
export function openStore(dataDir: string): Store {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const path = join(dataDir, FILE_NAME);
  closeSync(openSync(path, "a", 0o600));
  const database = new DatabaseSync(path, { enableForeignKeyConstraints: true, timeout: 5_000 });
  // FULL: what was answered with 200 is still there after the machine, not only the process, went down.
  database.exec("pragma journal_mode = wal; pragma synchronous = full;");
  database.exec(SCHEMA);
  const run = (sql: string, ...values: SQLInputValue[]): number => Number(database.prepare(sql).run(...values).changes);
  return {
    all: (shape, sql, ...values) =>
      database
        .prepare(sql)
        .all(...values)
        .map((row) => shape.parse(row)),
    run,
    transaction: (work) => {
      database.exec("begin immediate");
      try {
        const value = work();
        database.exec("commit");
        return value;
      } catch (error) {
        database.exec("rollback");
        throw error;
      }
    },
    close: () => database.close(),
  };
}
