import { sql } from "kysely";
import { anyOf } from "../db/any-of.ts";
import type { Db, Trx } from "../db/open-database.ts";
import type { BackupTable, Migration, Partition } from "./backup-format.ts";

/**
 * What a backup leaves out: the migrations, which its header names, and what waits for the journal,
 * which tells of facts that are in the backup.
 */
const LEFT_OUT = ["migration", "journal_entry"];

/**
 * The tables with the columns that are written into them, each after the ones it refers to.
 * Unlogged tables hold nothing that outlives a crash, so nothing that belongs in a backup.
 */
export async function readTables(db: Db | Trx): Promise<readonly BackupTable[]> {
  const { rows } = await sql<{ table: string; columns: string[] }>`
    select class.relname as table, json_agg(attribute.attname::text order by attribute.attnum) as columns
      from pg_class class
      join pg_attribute attribute on attribute.attrelid = class.oid and attribute.attnum > 0
           and not attribute.attisdropped and attribute.attgenerated = ''
     where class.relnamespace = 'public'::regnamespace and class.relkind in ('r', 'p')
           and not class.relispartition and class.relpersistence = 'p'
           and class.relname <> all (${LEFT_OUT}::text[])
     group by class.relname order by class.relname`.execute(db);
  const partitions = await readPartitions(db);
  const tables = rows.map((row) => ({
    table: row.table,
    columns: row.columns,
    partitions: partitions.filter(({ parent }) => parent === row.table).map(({ name, bound }) => ({ name, bound })),
  }));
  return inOrder(tables, await readReferences(db));
}

async function readPartitions(db: Db | Trx): Promise<readonly (Partition & { readonly parent: string })[]> {
  const { rows } = await sql<Partition & { parent: string }>`
    select parent.relname as parent, part.relname as name, pg_get_expr(part.relpartbound, part.oid) as bound
      from pg_inherits
      join pg_class part on part.oid = pg_inherits.inhrelid and part.relispartition
      join pg_class parent on parent.oid = pg_inherits.inhparent
     where parent.relnamespace = 'public'::regnamespace and part.relkind = 'r'
     order by part.relname`.execute(db);
  return rows;
}

interface Reference {
  readonly from: string;
  readonly to: string;
}

async function readReferences(db: Db | Trx): Promise<readonly Reference[]> {
  const { rows } = await sql<Reference>`
    select source.relname as from, target.relname as to
      from pg_constraint
      join pg_class source on source.oid = pg_constraint.conrelid
      join pg_class target on target.oid = pg_constraint.confrelid
     where contype = 'f' and source.relnamespace = 'public'::regnamespace and source.oid <> target.oid`.execute(db);
  return rows;
}

function inOrder(tables: readonly BackupTable[], references: readonly Reference[]): readonly BackupTable[] {
  const ordered: BackupTable[] = [];
  const left = new Map(tables.map((table) => [table.table, table]));
  while (left.size > 0) {
    const next = [...left.values()].filter(
      ({ table }) => !references.some(({ from, to }) => from === table && left.has(to)),
    );
    if (next.length === 0)
      throw new TypeError(`the tables ${[...left.keys()].join(", ")} refer to each other in a circle`);
    for (const table of next) {
      ordered.push(table);
      left.delete(table.table);
    }
  }
  return ordered;
}

export async function readMigrations(db: Db | Trx): Promise<readonly Migration[]> {
  const { rows } = await sql<Migration>`select name, sha256 from migration order by name`.execute(db);
  return rows;
}

/** Rows that are fetched, or inserted, at once. */
const PAGE_ROWS = 250;

/** The rows of a table as JSON, page by page, through a cursor of this transaction. */
export async function* readRows(trx: Trx, { table, columns }: BackupTable): AsyncGenerator<readonly string[]> {
  const list = sql.join(columns.map((column) => sql.ref(column)));
  await sql`declare backup_rows no scroll cursor for
    select row_to_json(rows)::text as text from (select ${list} from ${sql.table(table)}) rows`.execute(trx);
  for (;;) {
    const { rows } = await sql<{ text: string }>`fetch ${sql.lit(PAGE_ROWS)} from backup_rows`.execute(trx);
    if (rows.length > 0) yield rows.map((row) => row.text);
    if (rows.length < PAGE_ROWS) break;
  }
  await sql`close backup_rows`.execute(trx);
}

/** Inserts rows as JSON that {@link readRows} answered. */
export async function insertRows(trx: Trx, { table, columns }: BackupTable, rows: readonly string[]): Promise<void> {
  if (rows.length === 0) return;
  const list = sql.join(columns.map((column) => sql.ref(column)));
  await sql`insert into ${sql.table(table)} (${list}) overriding system value
    select ${list} from json_populate_recordset(null::${sql.table(table)}, ${`[${rows.join(",")}]`}::json)`.execute(
    trx,
  );
}

/** Triggers that act on inserted rows: what they made is in a backup already. */
async function readInsertTriggers(trx: Trx): Promise<readonly { readonly table: string; readonly name: string }[]> {
  const { rows } = await sql<{ table: string; name: string }>`
    select class.relname as table, tgname as name
      from pg_trigger join pg_class class on class.oid = tgrelid
     where class.relnamespace = 'public'::regnamespace and not tgisinternal and tgtype & ${INSERT_TRIGGER} <> 0
     order by class.relname, tgname`.execute(trx);
  return rows;
}

/** `TRIGGER_TYPE_INSERT` of PostgreSQL's catalog. */
const INSERT_TRIGGER = 4;

/** Loads rows with what inserting usually causes left out, and turned on again afterwards. */
export async function withoutInsertTriggers<T>(trx: Trx, load: () => Promise<T>): Promise<T> {
  const triggers = await readInsertTriggers(trx);
  for (const { table, name } of triggers)
    await sql`alter table ${sql.table(table)} disable trigger ${sql.ref(name)}`.execute(trx);
  const loaded = await load();
  for (const { table, name } of triggers)
    await sql`alter table ${sql.table(table)} enable trigger ${sql.ref(name)}`.execute(trx);
  return loaded;
}

export async function createPartition(trx: Trx, table: string, { name, bound }: Partition): Promise<void> {
  await sql`create table if not exists ${sql.table(name)} partition of ${sql.table(table)} ${sql.raw(bound)}`.execute(
    trx,
  );
}

/** Has the numbers that the database gives out itself go on after the ones that are there. */
export async function moveSequences(trx: Trx): Promise<void> {
  const { rows } = await sql<{ table: string; column: string; sequence: string }>`
    select table_name as table, column_name as column,
           pg_get_serial_sequence(quote_ident(table_name), column_name) as sequence
      from information_schema.columns
     where table_schema = 'public' and pg_get_serial_sequence(quote_ident(table_name), column_name) is not null`.execute(
    trx,
  );
  for (const { table, column, sequence } of rows)
    await sql`select setval(${sequence}::regclass, coalesce(max(${sql.ref(column)}), 0) + 1, false) from ${sql.table(table)}`.execute(
      trx,
    );
}

/** The first table that holds rows; undefined in an empty database. */
export async function findFilled(db: Db | Trx, tables: readonly BackupTable[]): Promise<string | undefined> {
  for (const { table } of tables) {
    const { rows } = await sql`select 1 from ${sql.table(table)} limit 1`.execute(db);
    if (rows.length > 0) return table;
  }
  return undefined;
}

/** Which of these the revocation view lists already. */
export async function readListedJtis(trx: Trx, jtis: readonly string[]): Promise<ReadonlySet<string>> {
  if (jtis.length === 0) return new Set();
  const rows = await trx.selectFrom("revocation").select("jti").where("jti", "=", anyOf(jtis)).execute();
  return new Set(rows.map((row) => row.jti));
}

/** Which of these events are there. */
export async function readKnownEvents(trx: Trx | Db, ids: readonly string[]): Promise<ReadonlySet<string>> {
  if (ids.length === 0) return new Set();
  const rows = await trx.selectFrom("event").select("id").where("id", "=", anyOf(ids)).execute();
  return new Set(rows.map((row) => row.id));
}

/** The facts of journals that an earlier restore dealt with. */
export async function readReplayed(trx: Trx | Db): Promise<ReadonlySet<number>> {
  const rows = await trx.selectFrom("journal_replayed").select("serial").execute();
  return new Set(rows.map((row) => row.serial));
}

export async function markReplayed(trx: Trx | Db, serials: readonly number[]): Promise<void> {
  for (let at = 0; at < serials.length; at += PAGE_ROWS)
    await trx
      .insertInto("journal_replayed")
      .values(serials.slice(at, at + PAGE_ROWS).map((serial) => ({ serial })))
      .onConflict((conflict) => conflict.doNothing())
      .execute();
}

/** What the backup knows of usage and of versions, to tell what is lost. */
export async function readKnownReceipts(db: Db, receiptIds: readonly string[]): Promise<ReadonlySet<string>> {
  if (receiptIds.length === 0) return new Set();
  const rows = await db
    .selectFrom("usage_receipt")
    .select(["marketplace_id", "receipt_id"])
    .where("receipt_id", "=", anyOf(receiptIds))
    .execute();
  return new Set(rows.map((row) => `${row.marketplace_id} ${row.receipt_id}`));
}

export async function readCurrentVersions(db: Db, datasetIds: readonly string[]): Promise<ReadonlyMap<string, number>> {
  if (datasetIds.length === 0) return new Map();
  const rows = await db
    .selectFrom("dataset")
    .select(["dataset_id", "current_version"])
    .where("dataset_id", "=", anyOf(datasetIds))
    .execute();
  return new Map(rows.map((row) => [row.dataset_id, row.current_version]));
}

export async function saveLostVersion(db: Db, datasetId: string, version: number): Promise<void> {
  await sql`insert into lost_version (dataset_id, version) values (${datasetId}, ${version})
    on conflict (dataset_id) do update set version = greatest(lost_version.version, excluded.version)`.execute(db);
}

export interface RestoreRow {
  readonly first_seq: number;
  readonly backup_id: string;
  readonly taken_at: number;
  readonly restored_at: number;
}

export async function readLastRestore(db: Db): Promise<RestoreRow | undefined> {
  return db.selectFrom("restore").selectAll().orderBy("first_seq", "desc").limit(1).executeTakeFirst();
}

/**
 * Lifts everything that the world counts by above what it can have seen: documents, of which those
 * with clocks are signed again when they are next asked for, webhook sequences, and the journal.
 */
export async function liftCounters(db: Db, row: RestoreRow): Promise<void> {
  await db.insertInto("restore").values(row).execute();
  const { first_seq } = row;
  await sql`update document set seq = greatest(seq + 1, ${first_seq}),
       checked_at = case when checked_at is null then null else 0 end,
       expires_at = case when expires_at is null then null else 0 end`.execute(db);
  await sql`update webhook_sequence set sequence = greatest(sequence + 1, ${first_seq})`.execute(db);
}

/** The journal's serials go on after everything that any journal holds. */
export async function liftJournal(db: Db, first: number): Promise<void> {
  await sql`select setval(pg_get_serial_sequence('journal_entry', 'serial'), ${first}, false)`.execute(db);
}

/** Ends every session and every token: one that was ended after the backup must not live again. */
export async function endSessions(db: Db): Promise<void> {
  await db.deleteFrom("session_token").execute();
  await db.deleteFrom("oauth_record").execute();
}
