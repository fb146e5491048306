import type { Insertable, Selectable } from "kysely";
import type { Db, Trx } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";
import type { Page } from "../http/parameters.ts";
import { anyOf } from "../db/any-of.ts";

export type ConsentRow = Selectable<Tables["consent"]>;
export type DraftRow = Selectable<Tables["consent_draft"]>;
export type ConsentState = ConsentRow["state"];

export async function insertDraft(trx: Trx, row: Insertable<Tables["consent_draft"]>): Promise<void> {
  await trx.insertInto("consent_draft").values(row).execute();
}

export async function findDraft(db: Db | Trx, jti: string): Promise<DraftRow | undefined> {
  return db.selectFrom("consent_draft").selectAll().where("jti", "=", jti).executeTakeFirst();
}

export async function lockDraft(trx: Trx, jti: string): Promise<DraftRow | undefined> {
  return trx.selectFrom("consent_draft").selectAll().where("jti", "=", jti).forUpdate().executeTakeFirst();
}

/** Open drafts whose time is over, locked; the ones that somebody is accepting right now are left for the next time. */
export async function lockAbandonedDrafts(trx: Trx, now: number, limit: number): Promise<readonly DraftRow[]> {
  return trx
    .selectFrom("consent_draft")
    .selectAll()
    .where("state", "=", "open")
    .where("expires_at", "<=", now)
    .orderBy("jti")
    .limit(limit)
    .forUpdate()
    .skipLocked()
    .execute();
}

export async function setDraftState(trx: Trx, jtis: readonly string[], state: DraftRow["state"]): Promise<void> {
  await trx.updateTable("consent_draft").set({ state }).where("jti", "=", anyOf(jtis)).execute();
}

export async function insertConsent(trx: Trx, row: Insertable<Tables["consent"]>): Promise<void> {
  await trx.insertInto("consent").values(row).execute();
}

export async function findConsent(db: Db | Trx, jti: string): Promise<ConsentRow | undefined> {
  return db.selectFrom("consent").selectAll().where("jti", "=", jti).executeTakeFirst();
}

/** Consents by their jti. */
export async function findConsents(db: Db | Trx, jtis: readonly string[]): Promise<readonly ConsentRow[]> {
  if (jtis.length === 0) return [];
  return db.selectFrom("consent").selectAll().where("jti", "=", anyOf(jtis)).orderBy("jti").execute();
}

/** Consents in the order of their jti, locked while they end. */
export async function lockConsents(trx: Trx, jtis: readonly string[]): Promise<readonly ConsentRow[]> {
  if (jtis.length === 0) return [];
  return trx.selectFrom("consent").selectAll().where("jti", "=", anyOf(jtis)).orderBy("jti").forUpdate().execute();
}

/** The active consents of these creators, locked for sharing in the order of their jti. */
export async function lockActiveConsentsOf(trx: Trx, creatorIds: readonly string[]): Promise<readonly ConsentRow[]> {
  if (creatorIds.length === 0) return [];
  return trx
    .selectFrom("consent")
    .selectAll()
    .where("creator_id", "=", anyOf(creatorIds))
    .where("state", "=", "active")
    .orderBy("jti")
    .forShare()
    .execute();
}

export async function endConsentRows(
  trx: Trx,
  jtis: readonly string[],
  ending: { readonly state: ConsentState; readonly at: number; readonly reason: string },
): Promise<void> {
  await trx
    .updateTable("consent")
    .set({ state: ending.state, ended_at: ending.at, reason: ending.reason })
    .where("jti", "=", anyOf(jtis))
    .execute();
}

export interface ConsentFilter extends Page {
  readonly creatorId: string | undefined;
  readonly state: ConsentState | undefined;
}

export async function readConsents(
  db: Db,
  { creatorId, state, after, limit }: ConsentFilter,
): Promise<readonly ConsentRow[]> {
  return db
    .selectFrom("consent")
    .selectAll()
    .$if(creatorId !== undefined, (query) => query.where("creator_id", "=", creatorId ?? ""))
    .$if(state !== undefined, (query) => query.where("state", "=", state ?? "active"))
    .$if(after !== undefined, (query) => query.where("jti", ">", after ?? ""))
    .orderBy("jti")
    .limit(limit + 1)
    .execute();
}

/** The jtis of a creator's standing consents, for one subject or for all. */
export async function readStandingJtis(trx: Trx, creatorId: string, subject?: string): Promise<readonly string[]> {
  const rows = await trx
    .selectFrom("consent")
    .select("jti")
    .where("creator_id", "=", creatorId)
    .where("state", "in", ["active", "suspended"])
    .$if(subject !== undefined, (query) => query.where("subject", "=", subject ?? ""))
    .orderBy("jti")
    .execute();
  return rows.map((row) => row.jti);
}

/** The jtis whose time is over but whose state does not say so yet. */
export async function readOverdueJtis(db: Db, now: number, limit: number): Promise<readonly string[]> {
  const rows = await db
    .selectFrom("consent")
    .select("jti")
    .where("state", "in", ["active", "suspended"])
    .where("expires_at", "<=", now)
    .orderBy("expires_at")
    .limit(limit)
    .execute();
  return rows.map((row) => row.jti);
}

/** What consents are about, without their tokens: those of these jtis, or all that stand of one creator. */
export async function readSubjects(
  db: Db | Trx,
  which: { readonly jtis: readonly string[] } | { readonly standingOf: string },
): Promise<readonly Pick<ConsentRow, "jti" | "subject">[]> {
  const query = db.selectFrom("consent").select(["jti", "subject"]).orderBy("jti");
  if ("jtis" in which) return query.where("jti", "=", anyOf(which.jtis)).execute();
  return query.where("creator_id", "=", which.standingOf).where("state", "in", ["active", "suspended"]).execute();
}
