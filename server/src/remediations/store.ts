import { type Insertable, type Selectable, type Updateable, sql } from "kysely";
import { anyOf } from "../db/any-of.ts";
import type { Db, Trx } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";
import type { Page } from "../http/parameters.ts";

export type CaseRow = Selectable<Tables["remediation"]>;
export type GroundRow = Selectable<Tables["remediation_ground"]>;
export type MessageRow = Selectable<Tables["remediation_message"]>;
export type OfferRow = Selectable<Tables["remediation_offer"]>;

/** Rows that one statement inserts; their parameters stay far below the protocol's 65 535. */
const INSERT_BATCH = 1_000;
const UNDER_WAY: readonly CaseRow["state"][] = ["open", "offered"];

export async function insertCases(trx: Trx, rows: readonly Insertable<Tables["remediation"]>[]): Promise<void> {
  for (let at = 0; at < rows.length; at += INSERT_BATCH)
    await trx
      .insertInto("remediation")
      .values(rows.slice(at, at + INSERT_BATCH))
      .execute();
}

/** Adds what was taken back; what a case knows already stays as it is. */
export async function insertGrounds(trx: Trx, rows: readonly GroundRow[]): Promise<void> {
  for (let at = 0; at < rows.length; at += INSERT_BATCH)
    await trx
      .insertInto("remediation_ground")
      .values(rows.slice(at, at + INSERT_BATCH))
      .onConflict((conflict) => conflict.doNothing())
      .execute();
}

/** Cases of these creators about these datasets that are under way, held in the order of their ids. */
export async function lockUnderWay(
  trx: Trx,
  { creatorIds, datasetIds }: { readonly creatorIds: readonly string[]; readonly datasetIds: readonly string[] },
): Promise<readonly CaseRow[]> {
  return trx
    .selectFrom("remediation")
    .selectAll()
    .where("creator_id", "=", anyOf(creatorIds))
    .where("dataset_id", "=", anyOf(datasetIds))
    .where("state", "in", UNDER_WAY)
    .orderBy("case_id")
    .forUpdate()
    .execute();
}

/** Cases about one model's use of a dataset under one license, whatever became of them. */
export async function readCasesOf(
  trx: Trx,
  { license_id, dataset_id, model_fingerprint }: Pick<CaseRow, "license_id" | "dataset_id" | "model_fingerprint">,
): Promise<readonly Pick<CaseRow, "creator_id">[]> {
  return trx
    .selectFrom("remediation")
    .select("creator_id")
    .distinct()
    .where("dataset_id", "=", dataset_id)
    .where("license_id", "=", license_id)
    .where("model_fingerprint", "=", model_fingerprint)
    .execute();
}

export async function findCase(db: Db | Trx, caseId: string): Promise<CaseRow | undefined> {
  return db.selectFrom("remediation").selectAll().where("case_id", "=", caseId).executeTakeFirst();
}

/** A case, held until the commit: steps in it come one after the other. */
export async function lockCase(trx: Trx, caseId: string): Promise<CaseRow | undefined> {
  return trx.selectFrom("remediation").selectAll().where("case_id", "=", caseId).forUpdate().executeTakeFirst();
}

export async function updateCase(
  trx: Trx,
  caseId: string,
  changes: Updateable<Tables["remediation"]>,
): Promise<CaseRow> {
  return trx
    .updateTable("remediation")
    .set(changes)
    .where("case_id", "=", caseId)
    .returningAll()
    .executeTakeFirstOrThrow();
}

export interface CaseFilter extends Page {
  readonly creatorId: string | undefined;
  readonly marketplaceId: string | undefined;
  readonly datasetId: string | undefined;
  readonly state: CaseRow["state"] | undefined;
  /** Only what should have come to an end by this instant, in seconds since the epoch. */
  readonly overdueAt: number | undefined;
}

export async function readCases(db: Db, filter: CaseFilter): Promise<readonly CaseRow[]> {
  const { creatorId, marketplaceId, datasetId, state, overdueAt, after, limit } = filter;
  return db
    .selectFrom("remediation")
    .selectAll()
    .$if(creatorId !== undefined, (query) => query.where("creator_id", "=", creatorId ?? ""))
    .$if(marketplaceId !== undefined, (query) => query.where("marketplace_id", "=", marketplaceId ?? ""))
    .$if(datasetId !== undefined, (query) => query.where("dataset_id", "=", datasetId ?? ""))
    .$if(state !== undefined, (query) => query.where("state", "=", state ?? "open"))
    .$if(overdueAt !== undefined, (query) =>
      query.where("state", "in", UNDER_WAY).where("due_at", "<=", overdueAt ?? 0),
    )
    .$if(after !== undefined, (query) => query.where("case_id", ">", after ?? ""))
    .orderBy("case_id")
    .limit(limit + 1)
    .execute();
}

/** What was taken back, in the order in which it was. */
export async function readGrounds(db: Db, caseId: string, limit: number): Promise<readonly GroundRow[]> {
  return db
    .selectFrom("remediation_ground")
    .selectAll()
    .where("case_id", "=", caseId)
    .orderBy("at")
    .orderBy("kind")
    .orderBy("id")
    .limit(limit)
    .execute();
}

export async function insertMessage(trx: Trx, row: MessageRow): Promise<void> {
  await trx.insertInto("remediation_message").values(row).execute();
}

export async function countMessages(trx: Trx, caseId: string): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*) as count from remediation_message where case_id = ${caseId}`.execute(trx);
  return rows[0]?.count ?? 0;
}

export async function readMessages(db: Db, caseId: string, { after, limit }: Page): Promise<readonly MessageRow[]> {
  return db
    .selectFrom("remediation_message")
    .selectAll()
    .where("case_id", "=", caseId)
    .$if(after !== undefined, (query) => query.where("message_id", ">", after ?? ""))
    .orderBy("message_id")
    .limit(limit + 1)
    .execute();
}

export async function insertOffer(trx: Trx, row: Insertable<Tables["remediation_offer"]>): Promise<OfferRow> {
  return trx.insertInto("remediation_offer").values(row).returningAll().executeTakeFirstOrThrow();
}

/** The offers of a case, the oldest first. */
export async function readOffers(db: Db | Trx, caseId: string): Promise<readonly OfferRow[]> {
  return db.selectFrom("remediation_offer").selectAll().where("case_id", "=", caseId).orderBy("offer_id").execute();
}

/** Ends an offer of a case that the caller holds. */
export async function endOffer(
  trx: Trx,
  offerId: string,
  { state, at, by }: { readonly state: OfferRow["state"]; readonly at: number; readonly by: string },
): Promise<void> {
  await trx
    .updateTable("remediation_offer")
    .set({ state, decided_at: at, decided_by: by })
    .where("offer_id", "=", offerId)
    .execute();
}

/** Cases whose standing offer is over. */
export async function readExpiredOffers(db: Db, now: number, limit: number): Promise<readonly string[]> {
  const rows = await db
    .selectFrom("remediation_offer")
    .select("case_id")
    .where("state", "=", "standing")
    .where("expires_at", "<=", now)
    .orderBy("expires_at")
    .limit(limit)
    .execute();
  return rows.map((row) => row.case_id);
}

/** Cases that should have come to an end, and nobody has said so yet. */
export async function readNewlyOverdue(db: Db, now: number, limit: number): Promise<readonly string[]> {
  const rows = await db
    .selectFrom("remediation")
    .select("case_id")
    .where("state", "in", UNDER_WAY)
    .where("overdue_at", "is", null)
    .where("due_at", "<=", now)
    .orderBy("due_at")
    .limit(limit)
    .execute();
  return rows.map((row) => row.case_id);
}
