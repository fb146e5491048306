import { type JsonObject, RECEIPT_FLAGS, type ReceiptFlag, type UsageReceipt, parseJsonObject } from "@licet/protocol";
import { type Selectable, sql } from "kysely";
import { ADVISORY_LOCKS } from "../db/advisory-locks.ts";
import type { Db, Trx } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";
import { anyOf } from "../db/any-of.ts";

export type ReceiptRow = Selectable<Tables["usage_receipt"]>;

/** What a marketplace has handed in before under any of these ids or nonces. In one look: of a receipt that arrives twice at once, half is never seen. */
export async function findClashes(
  trx: Db | Trx,
  marketplaceId: string,
  receipts: readonly Pick<UsageReceipt, "receipt_id" | "nonce">[],
): Promise<readonly ReceiptRow[]> {
  // One by one by a unique index: two lists at once would have everything of the marketplace read.
  const { rows } = await sql<ReceiptRow>`
    select known.*
      from unnest(${receipts.map((receipt) => receipt.receipt_id)}::text[], ${receipts.map((receipt) => receipt.nonce)}::text[])
             as wanted (receipt_id, nonce)
     cross join lateral (
        (select * from usage_receipt
          where marketplace_id = ${marketplaceId} and receipt_id = wanted.receipt_id limit 1)
        union all
        (select * from usage_receipt
          where marketplace_id = ${marketplaceId} and nonce = wanted.nonce limit 1)) known`.execute(trx);
  return rows;
}

/** A stretch of use in one unit under one license. */
export interface Use {
  readonly license_id: string;
  readonly unit: string;
  /** Seconds since the epoch. */
  readonly period_from: number;
  readonly period_to: number;
}

/** The receipt that an asked-for use overlaps. */
export interface Overlap {
  /** Its place in what was asked for, from 0. */
  readonly place: number;
  readonly receipt_id: string;
}

/**
 * What was reported before for a part of the same time. Periods that have a length do not overlap each
 * other, so that of those the one that begins last before the end says it all.
 */
export async function findOverlaps(trx: Trx, uses: readonly Use[]): Promise<readonly Overlap[]> {
  if (uses.length === 0) return [];
  const { rows } = await sql<Overlap>`
    select (wanted.place - 1)::int as place, coalesce(stretch.receipt_id, instant.receipt_id) as receipt_id
      from unnest(${uses.map((use) => use.license_id)}::text[], ${uses.map((use) => use.unit)}::text[],
                  ${uses.map((use) => use.period_from)}::bigint[], ${uses.map((use) => use.period_to)}::bigint[])
             with ordinality as wanted (license_id, unit, period_from, period_to, place)
      left join lateral (
        select known.receipt_id, known.period_to from usage_receipt known
         where known.license_id = wanted.license_id and known.unit = wanted.unit
           and known.period_to > known.period_from and known.period_from < wanted.period_to
         order by known.period_from desc limit 1) stretch on stretch.period_to > wanted.period_from
      left join lateral (
        select known.receipt_id from usage_receipt known
         where known.license_id = wanted.license_id and known.unit = wanted.unit
           and known.period_to = known.period_from
           and known.period_from > wanted.period_from and known.period_from < wanted.period_to
         limit 1) instant on true
     where stretch.receipt_id is not null or instant.receipt_id is not null`.execute(trx);
  return rows;
}

/** Receipts with this id, one for each marketplace that used it. */
export async function findReceiptsById(db: Db, receiptId: string): Promise<readonly ReceiptRow[]> {
  return db.selectFrom("usage_receipt").selectAll().where("receipt_id", "=", receiptId).orderBy("sequence").execute();
}

/** What is known of a receipt when it is written. */
export type NewReceipt = Omit<ReceiptRow, "sequence">;

/** Inserts receipts, as the last thing but the ledger that their fact does: a reader who has seen a `sequence` never misses a lower one. */
export async function insertReceipts(trx: Trx, rows: readonly NewReceipt[]): Promise<void> {
  await sql`select pg_advisory_xact_lock(${ADVISORY_LOCKS.receipts}::bigint)`.execute(trx);
  await sql`
    insert into usage_receipt (receipt_id, marketplace_id, dataset_id, dataset_version, nonce, sha256, model_id,
                               model_fingerprint, unit, units, receipt, accepted_at, license_id, flags, charged_micros,
                               currency, pulled, period_from, period_to)
    select receipt_id, marketplace_id, dataset_id, dataset_version, nonce, sha256, model_id, model_fingerprint, unit,
           units, receipt, accepted_at, license_id, flags, charged_micros, currency, pulled, period_from, period_to
      from unnest(${texts(rows, "receipt_id")}, ${texts(rows, "marketplace_id")}, ${texts(rows, "dataset_id")},
                  ${numbers(rows, "dataset_version")}, ${texts(rows, "nonce")}, ${texts(rows, "sha256")},
                  ${texts(rows, "model_id")}, ${texts(rows, "model_fingerprint")}, ${texts(rows, "unit")},
                  ${numbers(rows, "units")}, ${texts(rows, "receipt")}, ${numbers(rows, "accepted_at")},
                  ${texts(rows, "license_id")}, ${texts(rows, "flags")}, ${texts(rows, "charged_micros")}::numeric[],
                  ${texts(rows, "currency")}, ${rows.map((row) => row.pulled)}::boolean[],
                  ${numbers(rows, "period_from")}, ${numbers(rows, "period_to")})
             with ordinality as written (receipt_id, marketplace_id, dataset_id, dataset_version, nonce, sha256,
                                         model_id, model_fingerprint, unit, units, receipt, accepted_at, license_id,
                                         flags, charged_micros, currency, pulled, period_from, period_to, place)
     order by place`.execute(trx);
}

type TextColumn = { [K in keyof NewReceipt]: NewReceipt[K] extends string | null ? K : never }[keyof NewReceipt];
type NumberColumn = { [K in keyof NewReceipt]: NewReceipt[K] extends number ? K : never }[keyof NewReceipt];

function texts(rows: readonly NewReceipt[], column: TextColumn) {
  return sql`${rows.map((row) => row[column])}::text[]`;
}

function numbers(rows: readonly NewReceipt[], column: NumberColumn) {
  return sql`${rows.map((row) => row[column])}::bigint[]`;
}

export interface ReceiptFilter {
  readonly marketplaceId: string | undefined;
  readonly datasetIds: readonly string[] | undefined;
  /** Only receipts for versions that hold a work of this creator. */
  readonly creatorId: string | undefined;
  readonly licenseId?: string | undefined;
  readonly modelFingerprint?: string | undefined;
  /** The sequence of the last receipt seen. */
  readonly after: number | undefined;
  readonly limit: number;
}

/** True for a receipt for a version that holds a work of this creator. */
function holdsWorkOf(creatorId: string) {
  return sql<boolean>`exists (
    select from dataset_item item
     where item.creator_id = ${creatorId} and item.dataset_id = usage_receipt.dataset_id
       and item.version = usage_receipt.dataset_version)`;
}

/** Receipts in the order of their acceptance. */
export async function readReceipts(
  db: Db | Trx,
  { marketplaceId, datasetIds, creatorId, licenseId, modelFingerprint, after, limit }: ReceiptFilter,
): Promise<readonly ReceiptRow[]> {
  if (datasetIds?.length === 0) return [];
  return db
    .selectFrom("usage_receipt")
    .selectAll()
    .$if(marketplaceId !== undefined, (query) => query.where("marketplace_id", "=", marketplaceId ?? ""))
    .$if(creatorId !== undefined, (query) => query.where(holdsWorkOf(creatorId ?? "")))
    .$if(datasetIds !== undefined, (query) => query.where("dataset_id", "=", anyOf(datasetIds ?? [])))
    .$if(licenseId !== undefined, (query) => query.where("license_id", "=", licenseId ?? ""))
    .$if(modelFingerprint !== undefined, (query) => query.where("model_fingerprint", "=", modelFingerprint ?? ""))
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
  db: Db | Trx,
  { marketplaceId, kid, since }: { readonly marketplaceId: string; readonly kid: string; readonly since: number },
): Promise<readonly string[]> {
  return readIds(db, { text: `"key_id":"${kid}"`, since, marketplaceId });
}

async function readIds(
  db: Db | Trx,
  {
    text,
    since,
    marketplaceId,
  }: { readonly text: string; readonly since: number; readonly marketplaceId?: string | undefined },
): Promise<readonly string[]> {
  const rows = await db
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

/** What acceptance found, in the order of {@link RECEIPT_FLAGS}. */
export function flagsOf({ flags }: Pick<ReceiptRow, "flags">): readonly ReceiptFlag[] {
  const kept = flags.split(" ");
  return RECEIPT_FLAGS.filter((flag) => kept.includes(flag));
}
