import { type RawBuilder, sql } from "kysely";
import type { Db, Trx } from "../db/open-database.ts";
import type { Leg } from "../db/propagation-tables.ts";

/** So many legs took more than the step below and at most `up_to_ms`. */
export interface TimeStep {
  readonly leg: Leg;
  readonly up_to_ms: number;
  readonly legs: number;
  readonly worst_ms: number;
}

/** The times of the facts of these days, by leg, shortest first. `fromDay` in UTC, such as 2026-11-28. */
export async function readTimes(db: Db | Trx, fromDay: string): Promise<readonly TimeStep[]> {
  const { rows } = await sql<TimeStep>`
    select leg, up_to_ms::float8 as up_to_ms, sum(legs)::float8 as legs, max(worst_ms)::float8 as worst_ms
      from propagation_day where day >= ${fromDay}::date
     group by leg, up_to_ms order by leg, up_to_ms`.execute(db);
  return rows;
}

export interface OpenLegs {
  readonly leg: Leg;
  readonly waiting: number;
  readonly failed: number;
  /** The fact, of those since then, for which somebody has waited longest; null when nobody waits. */
  readonly oldest_at_ms: number | null;
}

/** Legs that are not done, of facts since an instant. */
export async function readOpenLegs(db: Db | Trx, sinceMs: number): Promise<readonly OpenLegs[]> {
  const { rows } = await sql<OpenLegs>`
    select leg, count(*) filter (where state = 'waiting')::float8 as waiting,
           count(*) filter (where state = 'failed')::float8 as failed,
           min(propagation.at_ms) filter (where state = 'waiting')::float8 as oldest_at_ms
      from propagation_leg join propagation using (event_id)
     where state <> 'done' and propagation.at_ms >= ${sinceMs}
     group by leg`.execute(db);
  return rows;
}

export async function countFacts(db: Db | Trx, sinceMs: number): Promise<number> {
  const { facts } = await db
    .selectFrom("propagation")
    .select((query) => query.fn.countAll<number>().as("facts"))
    .where("at_ms", ">=", sinceMs)
    .executeTakeFirstOrThrow();
  return facts;
}

/** Adds up and forgets the legs of the oldest facts of before an instant; answers how many facts. */
export async function forgetLegs(db: Db, beforeMs: number, limit: number): Promise<number> {
  return db.transaction().execute(async (trx) => {
    const rows = await trx
      .selectFrom("propagation")
      .select("event_id")
      .where("at_ms", "<", beforeMs)
      .where("is_forgotten", "=", false)
      .orderBy("at_ms")
      .limit(limit)
      .forUpdate()
      .skipLocked()
      .execute();
    if (rows.length === 0) return 0;
    const named: RawBuilder<boolean> = sql`event_id = any(${rows.map((row) => row.event_id)}::text[])`;
    await sql`
      insert into propagation_total (event_id, leg, targets, done, failed, first_at_ms, last_at_ms)
      select event_id, leg, count(*), count(*) filter (where state = 'done'), count(*) filter (where state = 'failed'),
             min(at_ms), max(at_ms)
        from propagation_leg where ${named} group by event_id, leg
          on conflict (event_id, leg) do nothing`.execute(trx);
    await sql`delete from propagation_leg where ${named}`.execute(trx);
    await sql`update propagation set next_look_at_ms = null, is_forgotten = true where ${named}`.execute(trx);
    return rows.length;
  });
}
