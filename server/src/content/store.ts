import type { JsonObject } from "@licet/protocol";
import { type Insertable, type Selectable, sql } from "kysely";
import type { Db, Trx } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";
import type { Page } from "../http/parameters.ts";
import { anyOf } from "../db/any-of.ts";
import { readOwnJson } from "../db/own-json.ts";

export type ContentRow = Selectable<Tables["content_item"]>;

export async function insertContent(trx: Trx, row: Insertable<Tables["content_item"]>): Promise<void> {
  await trx.insertInto("content_item").values(row).execute();
}

export async function updateContent(
  trx: Trx,
  contentId: string,
  changes: Pick<ContentRow, "sha256" | "mime_type" | "revision" | "record" | "registered_at">,
): Promise<void> {
  await trx.updateTable("content_item").set(changes).where("content_id", "=", contentId).execute();
}

export async function insertRevision(trx: Trx, row: Insertable<Tables["content_revision"]>): Promise<void> {
  await trx.insertInto("content_revision").values(row).execute();
}

export async function findContent(db: Db | Trx, contentId: string): Promise<ContentRow | undefined> {
  return db.selectFrom("content_item").selectAll().where("content_id", "=", contentId).executeTakeFirst();
}

/** What stands in the way of a new item: its id in any case, or its URL. */
export async function findClash(trx: Trx, contentId: string, canonicalUrl: string): Promise<ContentRow | undefined> {
  return trx
    .selectFrom("content_item")
    .selectAll()
    .where((eb) =>
      eb.or([
        eb(eb.fn<string>("lower", ["content_id"]), "=", contentId.toLowerCase()),
        eb("canonical_url", "=", canonicalUrl),
      ]),
    )
    .forUpdate()
    .executeTakeFirst();
}

/** Rows in the order of their ids, locked for who changes them. */
export async function lockContent(trx: Trx, contentIds: readonly string[]): Promise<readonly ContentRow[]> {
  if (contentIds.length === 0) return [];
  return trx
    .selectFrom("content_item")
    .selectAll()
    .where("content_id", "=", anyOf(contentIds))
    .orderBy("content_id")
    .forUpdate()
    .execute();
}

export async function readContent(
  db: Db,
  { creatorId, after, limit }: Page & { readonly creatorId: string | undefined },
): Promise<readonly ContentRow[]> {
  return db
    .selectFrom("content_item")
    .selectAll()
    .$if(creatorId !== undefined, (query) => query.where("creator_id", "=", creatorId ?? ""))
    .$if(after !== undefined, (query) => query.where("content_id", ">", after ?? ""))
    .orderBy("content_id")
    .limit(limit + 1)
    .execute();
}

export async function markWithdrawn(trx: Trx, contentIds: readonly string[], at: number): Promise<void> {
  await trx.updateTable("content_item").set({ withdrawn_at: at }).where("content_id", "=", anyOf(contentIds)).execute();
}

export async function markSuspended(trx: Trx, contentIds: readonly string[], at: number | null): Promise<void> {
  await trx.updateTable("content_item").set({ suspended_at: at }).where("content_id", "=", anyOf(contentIds)).execute();
}

/** Works by their ids, as they are; nobody is kept from changing them. */
export async function readContentById(db: Db | Trx, contentIds: readonly string[]): Promise<readonly ContentRow[]> {
  if (contentIds.length === 0) return [];
  return db.selectFrom("content_item").selectAll().where("content_id", "=", anyOf(contentIds)).execute();
}

/** Where works are, of a creator or by their ids: at most so many, in the order of their ids. */
export async function readAddresses(
  db: Db | Trx,
  of: { readonly creatorId: string } | { readonly contentIds: readonly string[] },
  limit: number,
): Promise<readonly Pick<ContentRow, "content_id" | "canonical_url">[]> {
  return db
    .selectFrom("content_item")
    .select(["content_id", "canonical_url"])
    .$if("creatorId" in of, (query) => query.where("creator_id", "=", "creatorId" in of ? of.creatorId : ""))
    .$if("contentIds" in of, (query) => query.where("content_id", "=", anyOf("contentIds" in of ? of.contentIds : [])))
    .orderBy("content_id")
    .limit(limit)
    .execute();
}

/** How many of these works do not stand, each locked for sharing in the order of its id: until the commit none of the others can fall. */
export async function lockAndCountFallenWorks(
  trx: Trx,
  contentIds: readonly string[],
  { mayBeSuspended }: { readonly mayBeSuspended: boolean },
): Promise<number> {
  const { rows } = await sql<{ fallen: number }>`
    with held as (
      select withdrawn_at, suspended_at from content_item
       where content_id = ${anyOf(contentIds)} order by content_id for share)
    select count(*) filter (where withdrawn_at is not null or (suspended_at is not null and not ${mayBeSuspended}::boolean)) as fallen
      from held`.execute(trx);
  return rows[0]?.fallen ?? 0;
}

/** The item's record as it was written: canonical JSON that we made. */
export function recordOf(row: Pick<ContentRow, "content_id" | "record">): JsonObject {
  return readOwnJson(row.record, `content ${row.content_id}`);
}
