import { type Selectable, sql } from "kysely";
import { anyOf } from "../db/any-of.ts";
import type { Db, Trx } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";

export type UpstreamWorkRow = Selectable<Tables["upstream_work"]>;
export type UpstreamConsentRow = Selectable<Tables["upstream_consent"]>;

/** Answers how many were not mapped so before. */
export async function insertWorks(trx: Trx, rows: readonly UpstreamWorkRow[]): Promise<number> {
  if (rows.length === 0) return 0;
  const inserted = await trx
    .insertInto("upstream_work")
    .values(rows)
    .onConflict((conflict) => conflict.doNothing())
    .returning("content_id")
    .execute();
  return inserted.length;
}

/** Answers how many were not mapped so before. */
export async function insertConsents(trx: Trx, rows: readonly UpstreamConsentRow[]): Promise<number> {
  if (rows.length === 0) return 0;
  const inserted = await trx
    .insertInto("upstream_consent")
    .values(rows)
    .onConflict((conflict) => conflict.doNothing())
    .returning("jti")
    .execute();
  return inserted.length;
}

/** One of the upstream's names in these mappings under which more than the limit is mapped, if there is one. */
export async function findCrowdedName(
  trx: Trx,
  upstreamId: string,
  {
    limit,
    works,
    consents,
  }: {
    readonly limit: number;
    readonly works: readonly UpstreamWorkRow[];
    readonly consents: readonly UpstreamConsentRow[];
  },
): Promise<string | undefined> {
  const columns = ["upstream_dataset_id", "upstream_content_id", "upstream_jti"] as const;
  const asked = [
    ...columns.map((column) => ({ table: "upstream_work", column, rows: works.map((row) => row[column]) })),
    { table: "upstream_consent", column: "upstream_jti", rows: consents.map((row) => row.upstream_jti) },
  ];
  for (const { table, column, rows } of asked.filter((each) => each.rows.length > 0)) {
    const found = await sql<{ readonly name: string }>`
      select ${sql.ref(column)} as name from ${sql.table(table)}
       where upstream_id = ${upstreamId} and ${sql.ref(column)} = ${anyOf([...new Set(rows)])}
       group by 1 having count(*) > ${limit} limit 1`.execute(trx);
    if (found.rows[0] !== undefined) return found.rows[0].name;
  }
  return undefined;
}

/** Answers whether it was mapped. */
export async function deleteWork(trx: Trx, row: Omit<UpstreamWorkRow, "mapped_at">): Promise<boolean> {
  const deleted = await trx
    .deleteFrom("upstream_work")
    .where("upstream_id", "=", row.upstream_id)
    .where("content_id", "=", row.content_id)
    .where("upstream_dataset_id", "=", row.upstream_dataset_id)
    .where("upstream_content_id", "=", row.upstream_content_id)
    .where("upstream_jti", "=", row.upstream_jti)
    .returning("content_id")
    .execute();
  return deleted.length > 0;
}

/** Answers whether it was mapped. */
export async function deleteConsent(trx: Trx, row: Omit<UpstreamConsentRow, "mapped_at">): Promise<boolean> {
  const deleted = await trx
    .deleteFrom("upstream_consent")
    .where("upstream_id", "=", row.upstream_id)
    .where("jti", "=", row.jti)
    .where("upstream_jti", "=", row.upstream_jti)
    .returning("jti")
    .execute();
  return deleted.length > 0;
}

/** The works that an upstream means by one of its datasets, works or consents. */
export async function readMeantWorks(
  trx: Trx,
  upstreamId: string,
  by: { readonly column: "upstream_dataset_id" | "upstream_content_id" | "upstream_jti"; readonly value: string },
): Promise<readonly string[]> {
  const rows = await trx
    .selectFrom("upstream_work")
    .select("content_id")
    .distinct()
    .where("upstream_id", "=", upstreamId)
    .where(by.column, "=", by.value)
    .orderBy("content_id")
    .execute();
  return rows.map((row) => row.content_id);
}

export async function readMeantConsents(trx: Trx, upstreamId: string, upstreamJti: string): Promise<readonly string[]> {
  const rows = await trx
    .selectFrom("upstream_consent")
    .select("jti")
    .distinct()
    .where("upstream_id", "=", upstreamId)
    .where("upstream_jti", "=", upstreamJti)
    .orderBy("jti")
    .execute();
  return rows.map((row) => row.jti);
}

/** What is carried, works and consents as one list. */
export interface MappedRow {
  readonly cursor: string;
  readonly content_id: string | null;
  readonly jti: string | null;
  readonly upstream_dataset_id: string | null;
  readonly upstream_content_id: string | null;
  readonly upstream_jti: string;
  readonly mapped_at: number;
}

/** In the order of a cursor that is the same for the same mapping, one more than the limit. */
export async function readMapped(
  db: Db,
  upstreamId: string,
  { after, limit }: { readonly after: string | undefined; readonly limit: number },
): Promise<readonly MappedRow[]> {
  const { rows } = await sql<MappedRow>`select * from (
      select md5(concat_ws(' ', content_id, upstream_dataset_id, upstream_content_id, upstream_jti)) as cursor,
        content_id, null as jti, upstream_dataset_id, upstream_content_id, upstream_jti, mapped_at
      from upstream_work where upstream_id = ${upstreamId}
      union all
      select md5(concat_ws(' ', jti, upstream_jti)), null, jti, null, null, upstream_jti, mapped_at
      from upstream_consent where upstream_id = ${upstreamId}
    ) as mapped
    where ${after ?? ""} = '' or cursor > ${after ?? ""}
    order by cursor limit ${limit + 1}`.execute(db);
  return rows;
}

/** How many mappings an upstream has. */
export async function countMapped(db: Db, upstreamId: string): Promise<number> {
  const { rows } = await sql<{ readonly count: number }>`select
      (select count(*) from upstream_work where upstream_id = ${upstreamId})
      + (select count(*) from upstream_consent where upstream_id = ${upstreamId}) as count`.execute(db);
  return rows[0]?.count ?? 0;
}
