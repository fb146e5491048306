import { type Selectable, sql } from "kysely";
import { anyOf } from "../db/any-of.ts";
import type { Db, Trx } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";

export type SignalDatasetRow = Selectable<Tables["signal_dataset"]>;
export type SignalWorkRow = Selectable<Tables["signal_work"]>;
export type SignalMarkRow = Selectable<Tables["signal_mark"]>;

/** Says that subjects are to be rendered again. */
export async function addMarks(trx: Trx, subjects: readonly string[]): Promise<void> {
  if (subjects.length === 0) return;
  await sql`
    insert into signal_mark (subject, marks) select distinct subject, 1 from unnest(${[...subjects].sort()}::text[]) as marked (subject)
    on conflict (subject) do update set marks = signal_mark.marks + 1`.execute(trx);
}

/** The same of datasets, and in the same round trip the hosts at which something of them is open to everybody. */
export async function markDatasets(trx: Trx, datasetIds: readonly string[]): Promise<readonly string[]> {
  const { rows } = await sql<{ host: string }>`
    with marked as (
      insert into signal_mark (subject, marks)
        select subject, 1 from unnest(${datasetIds.map((id) => `dataset:${id}`).sort()}::text[]) as marked (subject)
        on conflict (subject) do update set marks = signal_mark.marks + 1)
    select distinct host from signal_work
     where dataset_id = ${anyOf(datasetIds)} and open <> '' order by host`.execute(trx);
  return rows.map((row) => row.host);
}

/** Subjects that are to be rendered, datasets first, because hosts and the catalogue are made of them. */
export async function readMarks(db: Db, limit: number): Promise<readonly SignalMarkRow[]> {
  return db
    .selectFrom("signal_mark")
    .selectAll()
    .orderBy(sql`subject not like 'dataset:%'`)
    .orderBy("subject")
    .limit(limit)
    .execute();
}

/** Takes a mark away unless there is a further reason since it was read. */
export async function deleteMark(trx: Trx, { subject, marks }: SignalMarkRow): Promise<void> {
  await trx.deleteFrom("signal_mark").where("subject", "=", subject).where("marks", "=", marks).execute();
}

export async function findSignalDataset(db: Db | Trx, datasetId: string): Promise<SignalDatasetRow | undefined> {
  return db.selectFrom("signal_dataset").selectAll().where("dataset_id", "=", datasetId).executeTakeFirst();
}

/** Replaces what signals say of a dataset; undefined takes it out of them. */
export async function saveSignalDataset(
  trx: Trx,
  datasetId: string,
  saved: { readonly dataset: SignalDatasetRow; readonly works: readonly SignalWorkRow[] } | undefined,
): Promise<void> {
  await trx.deleteFrom("signal_dataset").where("dataset_id", "=", datasetId).execute();
  if (saved === undefined) return;
  const { dataset, works } = saved;
  await trx.insertInto("signal_dataset").values(dataset).execute();
  const column = <T>(read: (row: SignalWorkRow) => T): T[] => works.map(read);
  await sql`
    insert into signal_work (dataset_id, position, content_id, jti, host, url, open, license_xml, is_mining)
    select ${datasetId}, * from unnest(
      ${column((row) => row.position)}::int[], ${column((row) => row.content_id)}::text[],
      ${column((row) => row.jti)}::text[], ${column((row) => row.host)}::text[],
      ${column((row) => row.url)}::text[], ${column((row) => row.open)}::text[],
      ${column((row) => row.license_xml)}::text[], ${column((row) => row.is_mining)}::boolean[])`.execute(trx);
}

/** The hosts at which a dataset's works are, and whether something of them is open there. */
export async function readHosts(
  db: Db | Trx,
  datasetId: string,
): Promise<readonly { readonly host: string; readonly is_open: boolean }[]> {
  return db
    .selectFrom("signal_work")
    .select(["host", sql<boolean>`bool_or(open <> '')`.as("is_open")])
    .where("dataset_id", "=", datasetId)
    .groupBy("host")
    .orderBy("host")
    .execute();
}

export async function readOpenWorks(db: Db | Trx, host: string): Promise<readonly SignalWorkRow[]> {
  return db
    .selectFrom("signal_work")
    .selectAll()
    .where("host", "=", host)
    .where("open", "<>", "")
    .orderBy("url")
    .execute();
}

/** A work with what is offered of its dataset. */
export type NamedWork = SignalWorkRow & Pick<SignalDatasetRow, "version" | "terms_url">;

export interface WorkFilter {
  readonly datasetId?: string;
  readonly host?: string;
  /** As many of each dataset, so that one does not leave the others out. */
  readonly ofEach: number;
  readonly limit: number;
}

export async function readNamedWorks(
  db: Db | Trx,
  { datasetId, host, ofEach, limit }: WorkFilter,
): Promise<readonly NamedWork[]> {
  const { rows } = await sql<NamedWork>`
    select work.*, signal_dataset.version, signal_dataset.terms_url
      from signal_dataset
      cross join lateral (
        select * from signal_work
         where signal_work.dataset_id = signal_dataset.dataset_id
           and ${host === undefined ? sql`true` : sql`signal_work.host = ${host}`}
         order by position limit ${ofEach}) work
     where ${datasetId === undefined ? sql`true` : sql`signal_dataset.dataset_id = ${datasetId}`}
     order by signal_dataset.dataset_id, work.position limit ${limit}`.execute(db);
  return rows;
}

export async function countSignalDatasets(db: Db | Trx, host?: string): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*) as count from signal_dataset
     where ${
       host === undefined
         ? sql`true`
         : sql`exists (select from signal_work where signal_work.dataset_id = signal_dataset.dataset_id and host = ${host})`
     }`.execute(db);
  return rows[0]?.count ?? 0;
}

/** The work that a pattern of ours names in a dataset. */
export async function findNamedWork(db: Db, datasetId: string, pattern: string): Promise<SignalWorkRow | undefined> {
  return db
    .selectFrom("signal_work")
    .selectAll()
    .where("dataset_id", "=", datasetId)
    .where("url", "=", pattern)
    .executeTakeFirst();
}
