import { type Insertable, type Selectable, type Updateable, sql } from "kysely";
import type { Db, Trx } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";
import type { Page } from "../http/parameters.ts";

export type UpstreamRow = Selectable<Tables["upstream"]>;

export async function insertUpstream(trx: Trx, row: Insertable<Tables["upstream"]>): Promise<UpstreamRow> {
  return trx.insertInto("upstream").values(row).returningAll().executeTakeFirstOrThrow();
}

export async function findUpstream(db: Db | Trx, upstreamId: string): Promise<UpstreamRow | undefined> {
  return db.selectFrom("upstream").selectAll().where("upstream_id", "=", upstreamId).executeTakeFirst();
}

/** By what its messages name as `endpoint_id`, without regard to case. */
export async function findUpstreamByEndpoint(db: Db | Trx, endpointId: string): Promise<UpstreamRow | undefined> {
  return db
    .selectFrom("upstream")
    .selectAll()
    .where(sql`lower(endpoint_id)`, "=", endpointId.toLowerCase())
    .executeTakeFirst();
}

/** The upstream, its row locked until the commit: its events and mappings come one after the other. */
export async function lockUpstream(trx: Trx, upstreamId: string): Promise<UpstreamRow | undefined> {
  return trx.selectFrom("upstream").selectAll().where("upstream_id", "=", upstreamId).forUpdate().executeTakeFirst();
}

export async function updateUpstream(
  db: Db | Trx,
  upstreamId: string,
  changes: Updateable<Tables["upstream"]>,
): Promise<UpstreamRow> {
  return db
    .updateTable("upstream")
    .set(changes)
    .where("upstream_id", "=", upstreamId)
    .returningAll()
    .executeTakeFirstOrThrow();
}

/** Keeps a key set as it was read, unless a newer one is kept, also by somebody who read it meanwhile; answers whether. */
export async function saveKeySet(
  db: Db,
  upstreamId: string,
  row: { readonly key_set: string; readonly key_set_seq: number; readonly key_set_read_at: number },
): Promise<boolean> {
  const saved = await db
    .updateTable("upstream")
    .set(row)
    .where("upstream_id", "=", upstreamId)
    .where("key_set_seq", "<=", row.key_set_seq)
    .returning("upstream_id")
    .execute();
  return saved.length > 0;
}

export async function countUpstreams(trx: Trx): Promise<number> {
  const { count } = await trx
    .selectFrom("upstream")
    .select((query) => query.fn.countAll<number>().as("count"))
    .where("ended_at", "is", null)
    .executeTakeFirstOrThrow();
  return count;
}

export async function readUpstreams(db: Db, { after, limit }: Page): Promise<readonly UpstreamRow[]> {
  return db
    .selectFrom("upstream")
    .selectAll()
    .$if(after !== undefined, (query) => query.where("upstream_id", ">", after ?? ""))
    .orderBy("upstream_id")
    .limit(limit + 1)
    .execute();
}
