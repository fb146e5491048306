import { type JsonObject, parseJsonObject } from "@licet/protocol";
import type { Insertable, Selectable } from "kysely";
import type { Db, Trx } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";
import type { Page } from "../http/parameters.ts";
import { anyOf } from "../db/any-of.ts";

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

/** Rows in the order of their ids, locked so that nobody withdraws them meanwhile; `none` only reads. */
export async function lockContent(
  trx: Trx,
  contentIds: readonly string[],
  mode: "none" | "share" | "update",
): Promise<readonly ContentRow[]> {
  if (contentIds.length === 0) return [];
  const query = trx
    .selectFrom("content_item")
    .selectAll()
    .where("content_id", "=", anyOf(contentIds))
    .orderBy("content_id");
  return { none: () => query, share: () => query.forShare(), update: () => query.forUpdate() }[mode]().execute();
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

/** The item's record as it was written: canonical JSON that we made. */
export function recordOf(row: Pick<ContentRow, "content_id" | "record">): JsonObject {
  const parsed = parseJsonObject(row.record);
  if (!parsed.ok) throw new TypeError(`content ${row.content_id}: expected its record to be JSON`);
  return parsed.value;
}
