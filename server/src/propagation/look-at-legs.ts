import type { Context } from "../context.ts";
import type { Trx } from "../db/open-database.ts";
import { readCommits } from "../events/store.ts";
import { readLegs as readPurgeLegs, targetNames } from "../purges/lookup.ts";
import { type DeliveryLeg, readDeliveryLegs } from "../webhooks/lookup.ts";
import {
  type LegRow,
  type PropagationRow,
  type TimedLeg,
  countTimes,
  lockPropagations,
  readLegs,
  readUnhandledIds,
  saveLegs,
  savePropagations,
} from "./store.ts";
import { timeStepOf } from "./time-steps.ts";

/** A leg as its own slice knows it. */
export type FoundLeg = Omit<LegRow, "sequence" | "number">;

/** The first looks come this soon after each other; later ones after a quarter of the fact's age. */
const MIN_PAUSE_MS = 500;
const MAX_PAUSE_MS = 6 * 3_600_000;
const PART_OF_AGE = 4;
/** Whoever commits a fact notes when, after the first look perhaps; what is not noted by then was lost with its server. */
const COMMIT_NOTED_WITHIN_MS = 60_000;

/**
 * Looks how far facts have come, and writes down what is new. Whoever looks at the same facts at
 * once waits; what was done stays done, at its first instant, and counts once.
 */
export async function lookAtLegs(ctx: Context, eventIds: readonly string[]): Promise<void> {
  if (eventIds.length === 0) return;
  // First: what a worker has dealt with by then has its legs, so that no fact is over before they are seen.
  const unhandled = await readUnhandledIds(ctx.db, eventIds);
  const found = Map.groupBy(await findLegs(ctx, eventIds), (leg) => leg.event_id);
  await saveFound(ctx, eventIds, { found, unhandled });
}

/** Writes that something is done that no other slice knows of. Whether all is done, the next look says. */
export async function saveDone(ctx: Context, trx: Trx, eventId: string, legs: readonly FoundLeg[]): Promise<void> {
  const [row] = await lockPropagations(trx, [eventId]);
  if (row === undefined) return;
  const known = await readLegs(trx, [eventId]);
  await saveChanges(ctx, trx, [changesOf(ctx, row, { known, found: legs, mayGrow: true })]);
}

async function findLegs({ db, config }: Context, eventIds: readonly string[]): Promise<readonly FoundLeg[]> {
  const commits = await readCommits(db, eventIds);
  const deliveries = await readDeliveryLegs(db, eventIds);
  const purges = await readPurgeLegs(db, eventIds, targetNames(config.purges));
  return [
    ...[...commits].map(([event_id, at_ms]) => ({
      ...OF_PLATFORM,
      event_id,
      leg: "committed" as const,
      target: "database",
      at_ms,
    })),
    ...deliveries.map(webhookLeg),
    ...[...purges].flatMap(([event_id, legs]) =>
      legs.map(({ leg, target, state, at_ms, attempts, last_error }) => ({
        ...OF_PLATFORM,
        event_id,
        leg,
        target,
        state,
        at_ms,
        attempts,
        last_error: last_error ?? null,
      })),
    ),
  ];
}

const OF_PLATFORM = { marketplace_id: null, dataset_id: null, state: "done", attempts: 1, last_error: null } as const;

function webhookLeg(delivery: DeliveryLeg): FoundLeg {
  const { event_id, endpoint_id, dataset_id, marketplace_id, state, delivered_at_ms, attempts, last_error } = delivery;
  const isOver = state === "failed" || (state === "waiting" && delivery.is_cancelled);
  return {
    event_id,
    leg: "webhook",
    target: `${endpoint_id}/${dataset_id}`,
    marketplace_id,
    dataset_id,
    state: state === "delivered" ? "done" : isOver ? "failed" : "waiting",
    at_ms: state === "delivered" ? delivered_at_ms : null,
    attempts,
    last_error: state === "delivered" ? null : (last_error ?? reasonOf(delivery)),
  };
}

function reasonOf({ is_cancelled, is_held }: DeliveryLeg): string | null {
  if (is_cancelled) return "the endpoint was deleted";
  return is_held ? "the endpoint is disabled" : null;
}

interface Sources {
  readonly found: ReadonlyMap<string, readonly FoundLeg[]>;
  readonly unhandled: ReadonlySet<string>;
}

async function saveFound(ctx: Context, eventIds: readonly string[], { found, unhandled }: Sources): Promise<void> {
  await ctx.db.transaction().execute(async (trx) => {
    const rows = await lockPropagations(trx, eventIds);
    const known = Map.groupBy(
      await readLegs(
        trx,
        rows.map((row) => row.event_id),
      ),
      (leg) => leg.event_id,
    );
    await saveChanges(
      ctx,
      trx,
      rows.map((row) =>
        changesOf(ctx, row, {
          known: known.get(row.event_id) ?? [],
          found: found.get(row.event_id) ?? [],
          mayGrow: unhandled.has(row.event_id),
        }),
      ),
    );
  });
}

interface Looked {
  readonly known: readonly LegRow[];
  readonly found: readonly FoundLeg[];
  /** True when there may be legs that were not looked for. */
  readonly mayGrow: boolean;
}

interface Changes {
  readonly row: PropagationRow;
  readonly legs: readonly LegRow[];
}

function changesOf(ctx: Context, row: PropagationRow, { known, found, mayGrow }: Looked): Changes {
  const before = new Map(known.map((leg) => [nameOf(leg), leg]));
  const changed = found.filter((leg) => isNews(before.get(nameOf(leg)), leg));
  const done = changed
    .filter((leg) => leg.state === "done")
    .sort((left, right) => (left.at_ms ?? 0) - (right.at_ms ?? 0))
    .map((leg, index) => ({ ...leg, sequence: row.last_sequence + index + 1 }));
  const open = changed.filter((leg) => leg.state !== "done").map((leg) => ({ ...leg, sequence: null }));
  const legs = numbered(known, [...done, ...open]);
  const now = new Map([...before, ...legs.map((leg) => [nameOf(leg), leg] as const)]);
  const states = [...now.values()].map((leg) => leg.state);
  const ageMs = ctx.clock.nowMs() - row.at_ms;
  const isCommitNoted = [...now.values()].some(({ leg }) => leg === "committed") || ageMs > COMMIT_NOTED_WITHIN_MS;
  const isDone = !mayGrow && isCommitNoted && !states.includes("waiting");
  const pauseMs = Math.min(Math.max(Math.floor(ageMs / PART_OF_AGE), MIN_PAUSE_MS), MAX_PAUSE_MS);
  return {
    row: {
      ...row,
      last_sequence: row.last_sequence + done.length,
      is_done: isDone,
      next_look_at_ms: isDone && !states.includes("failed") ? null : ctx.clock.nowMs() + pauseMs,
    },
    legs,
  };
}

/** A leg keeps the number that it was first written with; new ones are counted on, those of each kind by themselves. */
export function numbered(known: readonly LegRow[], legs: readonly Omit<LegRow, "number">[]): readonly LegRow[] {
  const numbers = new Map(known.map((leg) => [nameOf(leg), leg.number]));
  const counts = new Map<string, number>();
  for (const { leg } of known) counts.set(leg, (counts.get(leg) ?? 0) + 1);
  return legs.map((leg) => {
    const number = numbers.get(nameOf(leg)) ?? (counts.get(leg.leg) ?? 0) + 1;
    if (!numbers.has(nameOf(leg))) counts.set(leg.leg, number);
    return { ...leg, number };
  });
}

function isNews(before: LegRow | undefined, leg: FoundLeg): boolean {
  if (before === undefined) return true;
  if (before.state === "done") return false;
  return before.state !== leg.state || before.attempts !== leg.attempts || before.last_error !== leg.last_error;
}

function nameOf({ leg, target }: Pick<LegRow, "leg" | "target">): string {
  return `${leg} ${target}`;
}

async function saveChanges(ctx: Context, trx: Trx, changes: readonly Changes[]): Promise<void> {
  await saveLegs(
    trx,
    changes.flatMap(({ legs }) => legs),
  );
  await savePropagations(
    trx,
    changes.map(({ row }) => row),
  );
  const timed = changes.flatMap(({ row, legs }) => legs.flatMap((leg) => timedOf(row, leg)));
  await countTimes(trx, timed);
  for (const { leg, took_ms } of timed) ctx.metrics.refusalArrived(leg, took_ms / 1_000);
}

function timedOf({ at_ms }: PropagationRow, leg: LegRow): readonly TimedLeg[] {
  if (leg.at_ms === null) return [];
  const took_ms = Math.max(0, leg.at_ms - at_ms);
  const day = new Date(at_ms).toISOString().slice(0, 10);
  return [{ day, leg: leg.leg, up_to_ms: timeStepOf(took_ms), took_ms }];
}
