import { type JsonObject, type UsageReceipt, parseJsonObject } from "@licet/protocol";
import { type Insertable, type Selectable, sql } from "kysely";
import { ADVISORY_LOCKS } from "../db/advisory-locks.ts";
import type { Db, Trx } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";
import { anyOf } from "../db/any-of.ts";

export type ReceiptRow = Selectable<Tables["usage_receipt"]>;

/** What a marketplace has handed in before under this id or this nonce. In one look: of a receipt that arrives twice at once, half is never seen. */
export async function findClashes(
  trx: Trx,
  { iss, receipt_id, nonce }: Pick<UsageReceipt, "iss" | "receipt_id" | "nonce">,
): Promise<readonly ReceiptRow[]> {
  return trx
    .selectFrom("usage_receipt")
    .selectAll()
    .where("marketplace_id", "=", iss)
    .where((eb) => eb.or([eb("receipt_id", "=", receipt_id), eb("nonce", "=", nonce)]))
    .execute();
}

/** Receipts with this id, one for each marketplace that used it. */
export async function findReceiptsById(db: Db, receiptId: string): Promise<readonly ReceiptRow[]> {
  return db.selectFrom("usage_receipt").selectAll().where("receipt_id", "=", receiptId).orderBy("sequence").execute();
}

/** Inserts a receipt, as the last thing its fact does: a reader who has seen a `sequence` never misses a lower one. */
export async function insertReceipt(trx: Trx, row: Insertable<Tables["usage_receipt"]>): Promise<void> {
  await sql`select pg_advisory_xact_lock(${ADVISORY_LOCKS.receipts}::bigint)`.execute(trx);
  await trx.insertInto("usage_receipt").values(row).execute();
}

export interface ReceiptFilter {
  readonly marketplaceId: string | undefined;
  readonly datasetIds: readonly string[] | undefined;
  /** The sequence of the last receipt seen. */
  readonly after: number | undefined;
  readonly limit: number;
}

/** Receipts in the order of their acceptance. */
export async function readReceipts(
  db: Db,
  { marketplaceId, datasetIds, after, limit }: ReceiptFilter,
): Promise<readonly ReceiptRow[]> {
  if (datasetIds?.length === 0) return [];
  return db
    .selectFrom("usage_receipt")
    .selectAll()
    .$if(marketplaceId !== undefined, (query) => query.where("marketplace_id", "=", marketplaceId ?? ""))
    .$if(datasetIds !== undefined, (query) => query.where("dataset_id", "=", anyOf(datasetIds ?? [])))
    .$if(after !== undefined, (query) => query.where("sequence", ">", after ?? 0))
    .orderBy("sequence")
    .limit(limit + 1)
    .execute();
}

/** A list that is read by a person; beyond it there is a sorry state that needs more than a list. */
const MAX_LISTED = 1_000;

/** Receipts that a key of the platform countersigned since an instant: the newest ones. */
export async function readReceiptsCountersignedWith(
  trx: Trx,
  { kid, since }: { readonly kid: string; readonly since: number },
): Promise<readonly string[]> {
  return readIds(trx, { text: `"key_id":"${kid}"`, since });
}

/** Receipts that a marketplace signed with a key and that were accepted since an instant: the newest ones. */
export async function readReceiptsSignedWith(
  trx: Trx,
  { marketplaceId, kid, since }: { readonly marketplaceId: string; readonly kid: string; readonly since: number },
): Promise<readonly string[]> {
  return readIds(trx, { text: `"key_id":"${kid}"`, since, marketplaceId });
}

async function readIds(
  trx: Trx,
  {
    text,
    since,
    marketplaceId,
  }: { readonly text: string; readonly since: number; readonly marketplaceId?: string | undefined },
): Promise<readonly string[]> {
  const rows = await trx
    .selectFrom("usage_receipt")
    .select("receipt_id")
    .where("accepted_at", ">=", since)
    .where(sql<boolean>`position(${text} in receipt) > 0`)
    .$if(marketplaceId !== undefined, (query) => query.where("marketplace_id", "=", marketplaceId ?? ""))
    .orderBy("sequence", "desc")
    .limit(MAX_LISTED)
    .execute();
  return rows.map((row) => row.receipt_id);
}

/** The receipt as it was accepted, countersignature included. */
export function receiptOf(row: Pick<ReceiptRow, "receipt_id" | "receipt">): JsonObject {
  const parsed = parseJsonObject(row.receipt);
  if (!parsed.ok) throw new TypeError(`receipt ${row.receipt_id}: expected JSON that we wrote`);
  return parsed.value;
}
