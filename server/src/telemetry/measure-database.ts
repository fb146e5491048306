import { sql } from "kysely";
import type { Clock } from "../context.ts";
import type { Db } from "../db/open-database.ts";
import { QUEUES } from "../jobs/jobs.ts";
import type { DatabaseMeasures } from "./metrics.ts";

/** Rows beyond this are not counted: reading the metrics must cost little when much waits. */
const MAX_COUNTED = 100_000;
/** Readers that come sooner after each other share one answer. */
const KEEP_MS = 2_000;
/** A database that answers later than this counts as away. */
const PATIENCE_MS = 3_000;

interface Row {
  readonly waiting: number;
  readonly oldest_ms: number | null;
  readonly due_ms: number | null;
  readonly failing: number;
  readonly disabled: number;
  readonly journal_waiting: number;
  readonly journal_ms: number | null;
  readonly pending_offers: number;
  readonly unsequenced_ms: number | null;
  readonly unrendered_ms: number | null;
  readonly keys: number;
}

/** What waits in the database, asked at most every two seconds. */
export function createDatabaseMeasures({ db, clock }: { readonly db: Db; readonly clock: Clock }) {
  let kept: { readonly untilMs: number; readonly answer: Promise<DatabaseMeasures> } | undefined;
  return (): Promise<DatabaseMeasures> => {
    if (kept === undefined || performance.now() >= kept.untilMs)
      kept = { untilMs: performance.now() + KEEP_MS, answer: inTime(measure(db, clock.nowMs())) };
    return kept.answer;
  };
}

async function measure(db: Db, nowMs: number): Promise<DatabaseMeasures> {
  const { rows } = await sql<Row>`
    select deliveries.*, journal.*,
           (select count(*)::int from webhook_endpoint
             where failing_since_ms is not null and disabled_at is null and deleted_at is null) as failing,
           (select count(*)::int from webhook_endpoint
             where disabled_reason in ('gone', 'failing') and deleted_at is null) as disabled,
           (select count(*)::int from dataset_offer where state = 'pending') as pending_offers,
           (select event.at_ms::float8
              from (select event_id from unsequenced_event order by serial limit 1) first
              join event on event.id = first.event_id) as unsequenced_ms,
           (select min(ordered_at_ms)::float8 from content_status_order) as unrendered_ms,
           (select count(*)::int from signing_key) as keys
      from (select count(*)::int as waiting, min(created_at_ms)::float8 as oldest_ms,
                   min(next_attempt_at_ms)::float8 as due_ms
              from (select created_at_ms, next_attempt_at_ms from webhook_delivery
                     where state = 'waiting' limit ${MAX_COUNTED}) delivery) deliveries,
           (select count(*)::int as journal_waiting, min(at_ms)::float8 as journal_ms
              from (select at_ms from journal_entry limit ${MAX_COUNTED}) entry) journal`.execute(db);
  const [row] = rows;
  if (row === undefined) throw new TypeError("expected one row of measures, got none");
  return {
    deliveries: {
      waiting: row.waiting,
      oldestSeconds: ageOf(row.oldest_ms, nowMs),
      overdueSeconds: ageOf(row.due_ms, nowMs),
    },
    endpoints: { failing: row.failing, disabled: row.disabled },
    journal: { waiting: row.journal_waiting, oldestSeconds: ageOf(row.journal_ms, nowMs) },
    feedLagSeconds: ageOf(row.unsequenced_ms, nowMs),
    contentStatusLagSeconds: ageOf(row.unrendered_ms, nowMs),
    pendingOffers: row.pending_offers,
    purges: await measurePurges(db, nowMs),
    reconciliation: await measureReconciliation(db),
    unhandled: await measureQueues(db, nowMs),
    keysListed: row.keys,
    keys: await measureKeys(db, Math.floor(nowMs / 1_000)),
  };
}

async function measureQueues(db: Db, nowMs: number): Promise<DatabaseMeasures["unhandled"]> {
  const { rows } = await sql<{ queue: string; count: number; oldest_ms: number | null }>`
    select name as queue, count(at_ms)::int as count, min(at_ms)::float8 as oldest_ms
      from unnest(${[...QUEUES]}::text[]) as name
      left join lateral (select at_ms from unhandled_event where queue = name order by at_ms limit ${MAX_COUNTED}) event
        on true
     group by name`.execute(db);
  return rows.map(({ queue, count, oldest_ms }) => ({ queue, count, oldestSeconds: ageOf(oldest_ms, nowMs) }));
}

/** Caches and edges that were ever asked for anything, those that are not configured any more among them while something waits. */
async function measurePurges(db: Db, nowMs: number): Promise<DatabaseMeasures["purges"]> {
  const { rows } = await sql<{ target: string; waiting: number; oldest_ms: number | null; failing_ms: number | null }>`
    select known.target, late.failing_ms, coalesce(waits.waiting, 0)::int as waiting, waits.oldest_ms
      from purge_target known
      left join lateral (select min(requested_at_ms)::float8 as failing_ms from purge
                          where purge.target = known.target and purge.confirmed_at_ms is null
                            and purge.given_up_at_ms is null and purge.attempts > 0) late on true
      left join (select target, count(*) as waiting, min(at_ms)::float8 as oldest_ms
                   from (select purge.target, ordered.at_ms
                           from purge
                           join purge_order ordered on ordered.event_id = purge.event_id and ordered.part = purge.part
                          where purge.confirmed_at_ms is null and purge.given_up_at_ms is null and purge.round = 1
                          limit ${MAX_COUNTED}) unconfirmed
                  group by target) waits on waits.target = known.target`.execute(db);
  return rows.map(({ target, waiting, oldest_ms, failing_ms }) => ({
    target,
    waiting,
    oldestSeconds: ageOf(oldest_ms, nowMs),
    failingSeconds: ageOf(failing_ms, nowMs),
  }));
}

/** Kinds of which there never was a finding are left out. */
async function measureReconciliation(db: Db): Promise<DatabaseMeasures["reconciliation"]> {
  const { rows } = await sql<{ kind: string; count: number }>`
    select kind, (count(*) filter (where state = 'open'))::int as count from finding group by kind`.execute(db);
  const last = await sql<{ at: number | null }>`
    select max(ended_at)::float8 as at from reconciliation where state = 'done'`.execute(db);
  return { open: rows, lastDoneAt: last.rows[0]?.at ?? undefined };
}

/** Of each purpose the key that signs: the one that took over last. */
async function measureKeys(db: Db, now: number): Promise<DatabaseMeasures["keys"]> {
  const { rows } = await sql<{ purpose: string; since: number; not_after: number }>`
    select distinct on (purpose) purpose, greatest(not_before, signs_from)::float8 as since, not_after::float8 as not_after
      from signing_key
     where status = 'active' and signs_from <= ${now}
     order by purpose, signs_from desc`.execute(db);
  return rows.map(({ purpose, since, not_after }) => ({
    purpose,
    ageSeconds: Math.max(0, now - since),
    leftSeconds: not_after - now,
  }));
}

function ageOf(ms: number | null, nowMs: number): number {
  return ms === null ? 0 : Math.max(0, (nowMs - ms) / 1_000);
}

async function inTime<T>(answer: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new Error(`expected the database to answer within ${PATIENCE_MS} ms`)),
    PATIENCE_MS,
  );
  try {
    return await Promise.race([answer, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
