import type { Selectable } from "kysely";
import { anyOf } from "../db/any-of.ts";
import type { Db, Trx } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";

export type OfferRow = Selectable<Tables["dataset_offer"]>;

/** Answers false when the dataset was offered to the marketplace before. */
export async function insertOffer(trx: Trx, row: OfferRow): Promise<boolean> {
  const inserted = await trx
    .insertInto("dataset_offer")
    .values(row)
    .onConflict((conflict) => conflict.doNothing())
    .returning("dataset_id")
    .execute();
  return inserted.length > 0;
}

export async function findOffer(db: Db | Trx, datasetId: string, marketplaceId: string): Promise<OfferRow | undefined> {
  return db
    .selectFrom("dataset_offer")
    .selectAll()
    .where("dataset_id", "=", datasetId)
    .where("marketplace_id", "=", marketplaceId)
    .executeTakeFirst();
}

export async function readOffers(db: Db | Trx, datasetId: string): Promise<readonly OfferRow[]> {
  return db
    .selectFrom("dataset_offer")
    .selectAll()
    .where("dataset_id", "=", datasetId)
    .orderBy("marketplace_id")
    .execute();
}

/** Which marketplaces these datasets were offered to, at an instant (seconds since the epoch) or before. */
export async function readOfferedTo(
  db: Db | Trx,
  datasetIds: readonly string[],
  until: number,
): Promise<readonly Pick<OfferRow, "dataset_id" | "marketplace_id">[]> {
  return db
    .selectFrom("dataset_offer")
    .select(["dataset_id", "marketplace_id"])
    .where("dataset_id", "=", anyOf(datasetIds))
    .where("offered_at", "<=", until)
    .execute();
}

export async function readDueOffers(db: Db, nowMs: number, limit: number): Promise<readonly OfferRow[]> {
  return db
    .selectFrom("dataset_offer")
    .selectAll()
    .where("state", "=", "pending")
    .where("next_attempt_at_ms", "<=", nowMs)
    .orderBy("next_attempt_at_ms")
    .limit(limit)
    .execute();
}

/** Takes the next attempt at an offer for ourselves, until the lease ends; false when somebody else has it, it is not due, or it is settled. */
export async function claimOffer(
  db: Db,
  offer: OfferRow,
  { nowMs, leaseUntilMs }: { readonly nowMs: number; readonly leaseUntilMs: number },
): Promise<boolean> {
  const claimed = await db
    .updateTable("dataset_offer")
    .set({ attempts: offer.attempts + 1, next_attempt_at_ms: leaseUntilMs })
    .where("dataset_id", "=", offer.dataset_id)
    .where("marketplace_id", "=", offer.marketplace_id)
    .where("state", "=", "pending")
    .where("attempts", "=", offer.attempts)
    .where("next_attempt_at_ms", "<=", nowMs)
    .returning("dataset_id")
    .execute();
  return claimed.length > 0;
}

/** Writes what came of an attempt. One that was given up for lost and ends late cannot undo what another one settled. */
export async function settleOffer(
  db: Db,
  offer: OfferRow,
  changes: Partial<Pick<OfferRow, "state" | "registered_at" | "next_attempt_at_ms" | "last_error">>,
): Promise<void> {
  await db
    .updateTable("dataset_offer")
    .set(changes)
    .where("dataset_id", "=", offer.dataset_id)
    .where("marketplace_id", "=", offer.marketplace_id)
    .where("state", "=", "pending")
    .execute();
}

/** Makes a refused offer pending again; false when it was not refused. */
export async function reopenOffer(
  trx: Trx,
  { dataset_id, marketplace_id, next_attempt_at_ms }: OfferRow,
): Promise<boolean> {
  const reopened = await trx
    .updateTable("dataset_offer")
    .set({ state: "pending", attempts: 0, next_attempt_at_ms, last_error: null })
    .where("dataset_id", "=", dataset_id)
    .where("marketplace_id", "=", marketplace_id)
    .where("state", "=", "refused")
    .returning("dataset_id")
    .execute();
  return reopened.length > 0;
}
