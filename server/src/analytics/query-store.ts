import { type RawBuilder, sql } from "kysely";
import type { Db } from "../db/open-database.ts";

/** A column that rollups are grouped by, as text or a number. */
export const COLUMN_TYPES = {
  day: "date",
  dataset_id: "text",
  dataset_version: "int",
  model_fingerprint: "text",
  model_id: "text",
  marketplace_id: "text",
  creator_id: "text",
  unit: "text",
  currency: "text",
} as const;
export type GroupColumn = keyof typeof COLUMN_TYPES;

/** What a group is of, by column. */
export type GroupKey = {
  readonly [Column in GroupColumn]?: Column extends "dataset_version" ? number : string;
} & { readonly currency: string };

/** Only rows of these; undefined means all. */
export type RollupFilters = Readonly<Partial<Record<GroupColumn, string | undefined>>>;

/** The same as a cursor holds it: every value as text. */
export type GroupCursor = Readonly<Partial<Record<GroupColumn, string>>>;

export interface RollupQuery {
  /** In the order in which groups are sorted; a column that is not named is added up over. */
  readonly columns: readonly GroupColumn[];
  /** Days such as `2026-11-28`: from the first on, and before the last. */
  readonly from: string | undefined;
  readonly until: string | undefined;
  readonly filters: RollupFilters;
  /** Only usage of versions that hold a work of this creator; undefined means all. */
  readonly creatorId: string | undefined;
  /** The last group of the page before. */
  readonly after: GroupCursor | undefined;
  readonly limit: number;
}

export interface UsageSums {
  readonly receipts: number;
  readonly units: string;
  readonly charged_micros: string;
}

export interface EarningSums {
  readonly amount_micros: string;
}

/** Usage by group, one more than the limit. Units add up only within one unit, so that is for the caller to see to. */
export async function sumUsage(db: Db, query: RollupQuery): Promise<readonly (GroupKey & UsageSums)[]> {
  return sumRollup(db, query, {
    table: "usage_rollup",
    sums: sql`sum(receipts)::bigint as receipts, sum(units)::text as units, sum(charged_micros)::text as charged_micros`,
  });
}

export async function sumEarnings(db: Db, query: RollupQuery): Promise<readonly (GroupKey & EarningSums)[]> {
  return sumRollup(db, query, { table: "earning_rollup", sums: sql`sum(amount_micros)::text as amount_micros` });
}

async function sumRollup<T>(
  db: Db,
  { columns, from, until, filters, creatorId, after, limit }: RollupQuery,
  { table, sums }: { readonly table: string; readonly sums: RawBuilder<unknown> },
): Promise<readonly (GroupKey & T)[]> {
  const conditions = [
    ...(from === undefined ? [] : [sql`day >= ${from}::date`]),
    ...(until === undefined ? [] : [sql`day < ${until}::date`]),
    ...(creatorId === undefined ? [] : [holdsWorkOf(creatorId, table)]),
    ...Object.entries(filters).flatMap(([column, value]) =>
      value === undefined ? [] : [sql`${sql.ref(column)} = ${value}`],
    ),
    ...(after === undefined ? [] : [isAfter(columns, after)]),
  ];
  const selected = columns.map((column) =>
    column === "day" ? sql`to_char(day, 'YYYY-MM-DD') as day` : sql.ref(column),
  );
  const keys = sql.join(columns.map((column) => sql`${sql.ref(`${table}.${column}`)}`));
  const { rows } = await sql<GroupKey & T>`
    select ${sql.join(selected)}, ${sums} from ${sql.table(table)}
     where ${conditions.length === 0 ? sql`true` : sql.join(conditions, sql` and `)}
     group by ${keys} order by ${keys} limit ${limit + 1}`.execute(db);
  return rows;
}

function holdsWorkOf(creatorId: string, table: string): RawBuilder<unknown> {
  return sql`exists (
    select from creator_weight own
     where own.creator_id = ${creatorId} and own.dataset_id = ${sql.ref(`${table}.dataset_id`)}
       and own.version = ${sql.ref(`${table}.dataset_version`)})`;
}

function isAfter(columns: readonly GroupColumn[], after: GroupCursor): RawBuilder<unknown> {
  const values = columns.map((column) => sql`${after[column] ?? ""}::text::${sql.raw(COLUMN_TYPES[column])}`);
  return sql`(${sql.join(columns.map((column) => sql.ref(column)))}) > (${sql.join(values)})`;
}
