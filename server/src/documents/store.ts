import { type DocumentType, STATUS_LIST_TYP, canonicalize, isJsonObject, parseJson } from "@licet/protocol";
import { type Selectable, sql } from "kysely";
import type { Db, Trx } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";
import type { DocumentContent, ServedDocument } from "./render-document.ts";
import { anyOf } from "../db/any-of.ts";
import { FIRST_NUMBER } from "../db/first-number.ts";

type Row = Selectable<Tables["document"]>;

/** Locks the rows of these paths, making the ones that are missing, in one order for everybody; answers each one's `seq`. */
export async function lockDocuments(trx: Trx, paths: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const sorted = [...paths].sort();
  const { rows } = await sql<{ locked_path: string; locked_seq: number }>`
    select * from lock_documents(${sorted}::text[], ${FIRST_NUMBER})`.execute(trx);
  return new Map(rows.map((row) => [row.locked_path, row.locked_seq]));
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

/** Writes several documents, whose rows are locked, in one statement. */
export async function saveDocuments(
  trx: Trx,
  saved: readonly { readonly document: DocumentContent; readonly served: ServedDocument }[],
): Promise<void> {
  if (saved.length === 0) return;
  const served = saved.map((entry) => entry.served);
  await sql`
    update document
       set seq = saved.seq, kind = saved.kind, content = saved.content, bytes = decode(saved.bytes, 'base64'),
           etag = saved.etag, content_type = saved.content_type, cache_control = saved.cache_control,
           cache_tag = saved.cache_tag, checked_at = saved.checked_at, expires_at = saved.expires_at
      from unnest(
             ${served.map((entry) => entry.path)}::text[],
             ${served.map((entry) => entry.seq)}::bigint[],
             ${saved.map((entry) => entry.document.kind)}::text[],
             ${saved.map((entry) => canonicalize(entry.document.content))}::text[],
             ${served.map((entry) => Buffer.from(entry.bytes).toString("base64"))}::text[],
             ${served.map((entry) => entry.etag)}::text[],
             ${served.map((entry) => entry.contentType)}::text[],
             ${served.map((entry) => entry.cacheControl)}::text[],
             ${served.map((entry) => entry.cacheTag)}::text[],
             ${served.map((entry) => entry.lifetime?.checkedAt ?? null)}::bigint[],
             ${served.map((entry) => entry.lifetime?.expiresAt ?? null)}::bigint[]
           ) as saved (path, seq, kind, content, bytes, etag, content_type, cache_control, cache_tag, checked_at, expires_at)
     where document.path = saved.path`.execute(trx);
}

/** The `seq` that each path's document was committed with last; 0 where there is none. */
export async function readSeqs(
  db: Db,
  paths: readonly string[],
): Promise<readonly { readonly path: string; readonly seq: number }[]> {
  const rows = await db
    .selectFrom("document")
    .select(["path", "seq"])
    .where("path", "=", anyOf(paths))
    .where("bytes", "is not", null)
    .execute();
  const seqs = new Map(rows.map(({ path, seq }) => [path, seq]));
  return paths.map((path) => ({ path, seq: seqs.get(path) ?? 0 }));
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

/** As the partial index has it, which a parameter would not match. */
const CONTENT_STATUS = sql.lit("content-status");

export interface DueDocument {
  readonly document: DocumentContent;
  readonly served: ServedDocument;
}

/** Documents that are due, locked until the commit; those that somebody else holds are left to them. */
export async function lockDue(
  trx: Trx,
  {
    of,
    expiringBy,
    limit,
  }: {
    /** Of all documents, or of content statuses alone, which live longer. */
    readonly of: "all" | "content-status";
    /** Seconds since the epoch. */
    readonly expiringBy: number;
    readonly limit: number;
  },
): Promise<readonly DueDocument[]> {
  return dueOf(
    await trx
      .selectFrom("document")
      .selectAll()
      .$if(of === "content-status", (query) => query.where("kind", "=", CONTENT_STATUS))
      .where("expires_at", "<=", expiringBy)
      .orderBy("expires_at")
      .limit(limit)
      .forUpdate()
      .skipLocked()
      .execute(),
  );
}

/** Content statuses after a path, in the order of their paths, that another key signed, locked. */
export async function lockSignedOtherwise(
  trx: Trx,
  { after, kid, limit }: { readonly after: string; readonly kid: string; readonly limit: number },
): Promise<readonly DueDocument[]> {
  return dueOf(
    await trx
      .selectFrom("document")
      .selectAll()
      .where("kind", "=", CONTENT_STATUS)
      .where("path", ">", after)
      .where(sql<boolean>`position(convert_to(${kid}, 'UTF8') in bytes) = 0`)
      .orderBy("path")
      .limit(limit)
      .forUpdate()
      .execute(),
  );
}

function dueOf(rows: readonly Row[]): readonly DueDocument[] {
  return rows.flatMap((row) => {
    const served = servedOf(row);
    return served === undefined ? [] : [{ document: contentOf(row), served }];
  });
}

/** Saves documents whose content stays what it was, in one statement. Their bytes are text. */
export async function saveResigned(trx: Trx, documents: readonly ServedDocument[]): Promise<void> {
  const column = <T>(read: (document: ServedDocument) => T): T[] => documents.map(read);
  await sql`
    update document
       set seq = signed.seq, bytes = convert_to(signed.text, 'UTF8'), etag = signed.etag,
           checked_at = signed.checked_at, expires_at = signed.expires_at
      from unnest(
             ${column(({ path }) => path)}::text[], ${column(({ seq }) => seq)}::bigint[],
             ${column(({ bytes }) => Buffer.from(bytes).toString("utf8"))}::text[], ${column(({ etag }) => etag)}::text[],
             ${column(({ lifetime }) => lifetime?.checkedAt ?? null)}::bigint[],
             ${column(({ lifetime }) => lifetime?.expiresAt ?? null)}::bigint[]
           ) as signed (path, seq, text, etag, checked_at, expires_at)
     where document.path = signed.path`.execute(trx);
}

export async function readDocuments(db: Db, paths: readonly string[]): Promise<readonly ServedDocument[]> {
  const rows = await db.selectFrom("document").selectAll().where("path", "=", anyOf(paths)).execute();
  return rows.flatMap((row) => servedOf(row) ?? []);
}

/** What is served where, page by page in the order of the paths, without the bytes. */
export async function readDocumentPage(
  db: Db,
  { after, limit }: { readonly after: string; readonly limit: number },
): Promise<readonly Pick<Row, "path" | "etag">[]> {
  return db
    .selectFrom("document")
    .select(["path", "etag"])
    .where("path", ">", after)
    .where("bytes", "is not", null)
    .orderBy("path")
    .limit(limit)
    .execute();
}

/**
 * The status documents that somebody may still trust at `now`, without content statuses: there is one
 * for each work, readers refuse those of a revoked key, and they are signed again when they are read.
 */
export async function readFreshPaths(trx: Trx, now: number): Promise<readonly string[]> {
  const rows = await trx
    .selectFrom("document")
    .select("path")
    .where("expires_at", ">", now)
    .where("kind", "<>", "content-status")
    .orderBy("path")
    .execute();
  return rows.map((row) => row.path);
}

/** The documents that never grow old and were signed by a key. */
export async function readDurablePaths(trx: Trx, kid: string): Promise<readonly string[]> {
  const rows = await trx
    .selectFrom("document")
    .select("path")
    .where("expires_at", "is", null)
    .where(sql<boolean>`position(convert_to(${kid}, 'UTF8') in bytes) > 0`)
    .orderBy("path")
    .execute();
  return rows.map((row) => row.path);
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
