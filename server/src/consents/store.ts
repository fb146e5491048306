import { type Insertable, type Selectable, sql } from "kysely";
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

/**
 * The consents of these creators, active or suspended, that may be about these works or this
 * dataset: the ones for single works of other names are left out.
 */
export async function readConsentsAbout(
  db: Db | Trx,
  {
    creatorIds,
    contentIds,
    datasetId,
  }: { readonly creatorIds: readonly string[]; readonly contentIds: readonly string[]; readonly datasetId: string },
): Promise<readonly ConsentRow[]> {
  if (creatorIds.length === 0) return [];
  const subjects = [...contentIds.map((id) => `content:${id}`), ...creatorIds.map((id) => `creator:${id}`)];
  return db
    .selectFrom("consent")
    .selectAll()
    .where("creator_id", "=", anyOf(creatorIds))
    .where("subject", "=", anyOf([...subjects, `dataset:${datasetId}`]))
    .where("state", "in", ["active", "suspended"])
    .orderBy("jti")
    .execute();
}

/** How many of these consents no longer grant anything now, each locked for sharing in the order of its jti: until the commit none of the others can end. */
export async function lockAndCountFallen(
  trx: Trx,
  jtis: readonly string[],
  { now, mayBeSuspended }: { readonly now: number; readonly mayBeSuspended: boolean },
): Promise<number> {
  const standing = mayBeSuspended ? ["active", "suspended"] : ["active"];
  const { rows } = await sql<{ fallen: number }>`
    with held as (select state, expires_at from consent where jti = ${anyOf(jtis)} order by jti for share)
    select count(*) filter (where not (state = ${anyOf(standing)} and expires_at > ${now})) as fallen from held`.execute(
    trx,
  );
  return rows[0]?.fallen ?? 0;
}

/** What stands of a creator, about one subject or all, in the order of the jti, locked while it ends. What ended before is left alone. */
export async function lockStandingConsents(
  trx: Trx,
  creatorId: string,
  subject?: string,
): Promise<readonly ConsentRow[]> {
  return trx
    .selectFrom("consent")
    .selectAll()
    .where("creator_id", "=", creatorId)
    .where("state", "in", ["active", "suspended"])
    .$if(subject !== undefined, (query) => query.where("subject", "=", subject ?? ""))
    .orderBy("jti")
    .forUpdate()
    .execute();
}

/** The consents that a creator took back, about one subject or all. */
export async function readRevokedConsents(
  trx: Trx,
  creatorId: string,
  subject?: string,
): Promise<readonly Pick<ConsentRow, "jti" | "subject" | "state" | "ended_at">[]> {
  return trx
    .selectFrom("consent")
    .select(["jti", "subject", "state", "ended_at"])
    .where("creator_id", "=", creatorId)
    .where("state", "=", "revoked")
    .$if(subject !== undefined, (query) => query.where("subject", "=", subject ?? ""))
    .orderBy("jti")
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

/** Named in an answer; whoever has more finds them in the list of consents. */
const MAX_OVERLAPPING = 1_000;

/** A creator's standing consents that overlap with any of these subjects: two subjects do, unless both name one thing of a kind and not the same. */
export async function readOverlapping(
  db: Db | Trx,
  creatorId: string,
  subjects: readonly string[],
): Promise<readonly string[]> {
  const rows = await db
    .selectFrom("consent")
    .select("jti")
    .where("creator_id", "=", creatorId)
    .where("state", "in", ["active", "suspended"])
    .where(
      sql<boolean>`exists (select from unnest(${[...subjects]}::text[]) as gone
        where gone = consent.subject or split_part(gone, ':', 1) <> split_part(consent.subject, ':', 1))`,
    )
    .orderBy("jti")
    .limit(MAX_OVERLAPPING)
    .execute();
  return rows.map((row) => row.jti);
}

/** Suspends a consent, or lifts that: its state, since when, and why. */
export async function setConsentSuspension(
  trx: Trx,
  jtis: readonly string[],
  suspension: { readonly at: number; readonly reason: string } | undefined,
): Promise<void> {
  await trx
    .updateTable("consent")
    .set(
      suspension === undefined
        ? { state: "active", ended_at: null, reason: null }
        : { state: "suspended", ended_at: suspension.at, reason: suspension.reason },
    )
    .where("jti", "=", anyOf(jtis))
    .execute();
}

/** Acceptances that a key of the platform signed since an instant, held. */
export async function lockAcceptancesBy(
  trx: Trx,
  { kid, since, limit }: { readonly kid: string; readonly since: number; readonly limit: number },
): Promise<readonly Pick<ConsentRow, "jti" | "acceptance">[]> {
  return trx
    .selectFrom("consent")
    .select(["jti", "acceptance"])
    .where("accepted_at", ">=", since)
    .where(sql<boolean>`position(${`"key_id":"${kid}"`} in acceptance) > 0`)
    .orderBy("jti")
    .limit(limit)
    .forUpdate()
    .execute();
}

export async function saveAcceptance(trx: Trx, jti: string, acceptance: string): Promise<void> {
  await trx.updateTable("consent").set({ acceptance }).where("jti", "=", jti).execute();
}

/** The standing consents that a key signed and that were accepted since an instant. */
export async function readJtisSignedWith(
  trx: Trx,
  { kid, since }: { readonly kid: string; readonly since: number },
): Promise<readonly string[]> {
  const rows = await trx
    .selectFrom("consent")
    .select("jti")
    .where("kid", "=", kid)
    .where("accepted_at", ">=", since)
    .where("state", "in", ["active", "suspended"])
    .orderBy("jti")
    .execute();
  return rows.map((row) => row.jti);
}
