import { type Insertable, type Selectable, sql } from "kysely";
import { anyOf } from "../db/any-of.ts";
import type { Db, Trx } from "../db/open-database.ts";
import type { FindingKind } from "../db/reporting-tables.ts";
import type { Tables } from "../db/tables.ts";
import type { Page } from "../http/parameters.ts";

export type FindingRow = Selectable<Tables["finding"]>;

/** Findings of a kind about these subjects, held until the commit. */
export async function holdFindings(
  trx: Trx,
  kind: FindingKind,
  subjects: readonly string[],
): Promise<readonly FindingRow[]> {
  if (subjects.length === 0) return [];
  return trx
    .selectFrom("finding")
    .selectAll()
    .where("kind", "=", kind)
    .where("subject", "=", anyOf(subjects))
    .orderBy("finding_id")
    .forUpdate()
    .execute();
}

export async function insertFindings(trx: Trx, rows: readonly Insertable<Tables["finding"]>[]): Promise<void> {
  if (rows.length > 0) await trx.insertInto("finding").values(rows).execute();
}

/** Says of findings that the caller holds that their causes were seen again; closed ones are open anew. */
export async function seeFindings(
  trx: Trx,
  seen: readonly Pick<FindingRow, "finding_id" | "detail">[],
  { now, runId }: { readonly now: number; readonly runId: string },
): Promise<void> {
  if (seen.length === 0) return;
  await sql`
    update finding set detail = seen.detail, last_seen_at = ${now}, seen_in = ${runId},
                       state = case state when 'closed' then 'open' else state end,
                       opened_at = case state when 'closed' then ${now}::bigint else opened_at end,
                       times_opened = times_opened + case state when 'closed' then 1 else 0 end,
                       closed_at = null
      from unnest(${seen.map((row) => row.finding_id)}::text[], ${seen.map((row) => row.detail)}::text[])
             as seen (finding_id, detail)
     where finding.finding_id = seen.finding_id`.execute(trx);
}

/** Findings that are not closed and that a run has not seen, held until the commit; up to a subject when it did not see all. */
export async function holdUnseen(
  trx: Trx,
  { kind, runId, upTo, limit }: { kind: FindingKind; runId: string; upTo: string | undefined; limit: number },
): Promise<readonly FindingRow[]> {
  return trx
    .selectFrom("finding")
    .selectAll()
    .where("kind", "=", kind)
    .where("state", "!=", "closed")
    .where("seen_in", "!=", runId)
    .$if(upTo !== undefined, (query) => query.where(sql<boolean>`subject collate "C" <= ${upTo}`))
    .orderBy("finding_id")
    .limit(limit)
    .forUpdate()
    .execute();
}

/** How many findings of a kind have a cause that is there, whether or not a person has dealt with it. */
export async function countStanding(db: Db | Trx, kind: FindingKind): Promise<number> {
  const row = await db
    .selectFrom("finding")
    .select((eb) => eb.fn.countAll<number>().as("standing"))
    .where("kind", "=", kind)
    .where("state", "!=", "closed")
    .executeTakeFirstOrThrow();
  return row.standing;
}

export async function closeFindings(trx: Trx, findingIds: readonly string[], now: number): Promise<void> {
  await trx
    .updateTable("finding")
    .set({ state: "closed", closed_at: now, resolved_at: null, resolved_by: null, note: null })
    .where("finding_id", "=", anyOf(findingIds))
    .execute();
}

export async function holdFinding(trx: Trx, findingId: string): Promise<FindingRow | undefined> {
  return trx.selectFrom("finding").selectAll().where("finding_id", "=", findingId).forUpdate().executeTakeFirst();
}

export async function resolveFinding(
  trx: Trx,
  findingId: string,
  resolution: Pick<FindingRow, "resolved_at" | "resolved_by" | "note">,
): Promise<FindingRow> {
  return trx
    .updateTable("finding")
    .set({ ...resolution, state: "resolved" })
    .where("finding_id", "=", findingId)
    .returningAll()
    .executeTakeFirstOrThrow();
}

export interface FindingFilter extends Page {
  readonly state?: FindingRow["state"] | undefined;
  readonly kind?: FindingKind | undefined;
}

/** Findings in the order in which they were first opened, one more than the limit. */
export async function readFindings(
  db: Db | Trx,
  { state, kind, after, limit }: FindingFilter,
): Promise<readonly FindingRow[]> {
  return db
    .selectFrom("finding")
    .selectAll()
    .$if(state !== undefined, (query) => query.where("state", "=", state ?? "open"))
    .$if(kind !== undefined, (query) => query.where("kind", "=", kind ?? "rollup_differs"))
    .$if(after !== undefined, (query) => query.where("finding_id", ">", after ?? ""))
    .orderBy("finding_id")
    .limit(limit + 1)
    .execute();
}

/** How many findings of each kind are open. */
export async function countOpen(db: Db | Trx): Promise<ReadonlyMap<FindingKind, number>> {
  const rows = await db
    .selectFrom("finding")
    .select(["kind", (eb) => eb.fn.countAll<number>().as("open")])
    .where("state", "=", "open")
    .groupBy("kind")
    .execute();
  return new Map(rows.map((row) => [row.kind, row.open]));
}
