import { type DocumentType, STATUS_LIST_TYP, canonicalize, isJsonObject, parseJson } from "@licet/protocol";
import { type Selectable, sql } from "kysely";
import type { Db, Trx } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";
import type { DocumentContent, ServedDocument } from "./render-document.ts";
import { anyOf } from "../db/any-of.ts";

type Row = Selectable<Tables["document"]>;

/** Locks the rows of these paths, making the ones that are missing, in one order for everybody; answers each one's `seq`. */
export async function lockDocuments(trx: Trx, paths: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const sorted = [...paths].sort();
  await sql`insert into document (path, seq) select path, 0 from unnest(${sorted}::text[]) as path on conflict do nothing`.execute(
    trx,
  );
  const rows = await trx
    .selectFrom("document")
    .select(["path", "seq"])
    .where("path", "=", anyOf(sorted))
    .orderBy("path")
    .forUpdate()
    .execute();
  return new Map(rows.map((row) => [row.path, row.seq]));
}

export async function saveDocument(trx: Trx, document: DocumentContent, served: ServedDocument): Promise<void> {
  await trx
    .updateTable("document")
    .set({
      seq: served.seq,
      kind: document.kind,
      content: canonicalize(document.content),
      bytes: served.bytes,
      etag: served.etag,
      content_type: served.contentType,
      cache_control: served.cacheControl,
      cache_tag: served.cacheTag,
      checked_at: served.lifetime?.checkedAt ?? null,
      expires_at: served.lifetime?.expiresAt ?? null,
    })
    .where("path", "=", served.path)
    .execute();
}

export async function readDocument(db: Db | Trx, path: string): Promise<ServedDocument | undefined> {
  const row = await db.selectFrom("document").selectAll().where("path", "=", path).executeTakeFirst();
  return row === undefined ? undefined : servedOf(row);
}

/** The row of a document, locked, with what it was rendered from. */
export async function lockForResigning(
  trx: Trx,
  path: string,
): Promise<{ readonly document: DocumentContent; readonly served: ServedDocument } | undefined> {
  const row = await trx.selectFrom("document").selectAll().where("path", "=", path).forUpdate().executeTakeFirst();
  const served = row === undefined ? undefined : servedOf(row);
  return row === undefined || served === undefined ? undefined : { document: contentOf(row), served };
}

function servedOf(row: Row): ServedDocument | undefined {
  if (row.bytes === null) return undefined;
  return {
    path: row.path,
    seq: row.seq,
    bytes: row.bytes,
    etag: row.etag,
    contentType: row.content_type,
    cacheControl: row.cache_control,
    cacheTag: row.cache_tag,
    lifetime:
      row.checked_at === null || row.expires_at === null
        ? undefined
        : { checkedAt: row.checked_at, expiresAt: row.expires_at },
  };
}

function contentOf(row: Row): DocumentContent {
  const parsed = parseJson(row.content);
  if (!parsed.ok || !isJsonObject(parsed.value))
    throw new TypeError(`document ${row.path}: expected its content to be a JSON object`);
  const tags = row.cache_tag.split(",");
  if (row.kind !== STATUS_LIST_TYP) return { kind: row.kind as DocumentType, content: parsed.value, tags };
  const { uri, lst } = parsed.value;
  if (typeof uri !== "string" || typeof lst !== "string")
    throw new TypeError(`document ${row.path}: expected uri and lst`);
  return { kind: STATUS_LIST_TYP, content: { uri, lst }, tags };
}
