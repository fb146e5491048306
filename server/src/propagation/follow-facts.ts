import type { Context } from "../context.ts";
import { readOfferedTo } from "../datasets/lookup.ts";
import { isRefusalEvent } from "../events/event-jobs.ts";
import { type StoredEvent, findEvent } from "../events/store.ts";
import { forgetLegs } from "./aggregate-store.ts";
import { type FoundLeg, lookAtLegs, numbered } from "./look-at-legs.ts";
import { findPropagation, insertPropagation, readDueIds, readUnfollowedIds, saveLegs } from "./store.ts";

/** Single legs are kept as long as deliveries are; then what they add up to. */
const RETENTION_MS = 90 * 86_400_000;
/** Facts that are looked at in one transaction, and transactions in one sweep. */
const BATCH = 100;
const MAX_BATCHES = 100;

/** Begins to follow a fact that refuses something, and looks at it for the first time. Done again, it looks again. */
export async function followFact(ctx: Context, eventId: string): Promise<void> {
  if ((await findPropagation(ctx.db, eventId)) === undefined) {
    const event = await findEvent(ctx.db, eventId);
    if (event === undefined || !isRefusalEvent(event.type)) return;
    await beginFollowing(ctx, event);
  }
  await lookAtLegs(ctx, [eventId]);
}

async function beginFollowing(ctx: Context, event: StoredEvent): Promise<void> {
  const asked = await findAsked(ctx, event);
  await ctx.db.transaction().execute(async (trx) => {
    const row = await insertPropagation(trx, {
      event_id: event.id,
      type: event.type,
      at_ms: event.atMs,
      last_sequence: 0,
      is_done: false,
      next_look_at_ms: ctx.clock.nowMs(),
      is_forgotten: false,
    });
    if (row === undefined) return;
    const legs = asked.map((target) => ({ ...acknowledgementLeg(event.id, target), sequence: null }));
    await saveLegs(trx, numbered([], legs));
  });
}

/** A marketplace that a dataset was offered to. */
export interface AskedMarketplace {
  readonly marketplace_id: string;
  readonly dataset_id: string;
}

/** An acknowledgement that is waited for. */
function acknowledgementLeg(eventId: string, { marketplace_id, dataset_id }: AskedMarketplace): FoundLeg {
  return {
    event_id: eventId,
    leg: "acknowledgement",
    target: `${marketplace_id}/${dataset_id}`,
    marketplace_id,
    dataset_id,
    state: "waiting",
    at_ms: null,
    attempts: 0,
    last_error: null,
  };
}

/** Who has to acknowledge it: the license's marketplace, or whoever the datasets were offered to by then. */
async function findAsked(ctx: Context, { body, atMs }: StoredEvent): Promise<readonly AskedMarketplace[]> {
  const { marketplace_id, dataset_id, dataset_ids } = body;
  if (typeof marketplace_id === "string" && typeof dataset_id === "string") return [{ marketplace_id, dataset_id }];
  if (!Array.isArray(dataset_ids)) return [];
  const datasetIds = dataset_ids.filter((id) => typeof id === "string");
  return readOfferedTo(ctx.db, datasetIds, Math.floor(atMs / 1_000));
}

/** So far back it is looked for refusals that nobody follows. */
const UNFOLLOWED_MS = 3_600_000;

/** Begins with what was left, and looks at every fact that is due. */
export async function lookAtDueFacts(ctx: Context, signal: AbortSignal): Promise<void> {
  const sinceMs = ctx.clock.nowMs() - UNFOLLOWED_MS;
  for (const eventId of await readUnfollowedIds(ctx.db, { sinceMs, limit: BATCH })) await followFact(ctx, eventId);
  for (let batch = 0; batch < MAX_BATCHES && !signal.aborted; batch += 1) {
    const eventIds = await readDueIds(ctx.db, { nowMs: ctx.clock.nowMs(), limit: BATCH });
    await lookAtLegs(ctx, eventIds);
    if (eventIds.length < BATCH) return;
  }
}

/** Keeps of old facts what their legs add up to. */
export async function forgetOldLegs(ctx: Context): Promise<void> {
  for (let batch = 0; batch < MAX_BATCHES; batch += 1) {
    if ((await forgetLegs(ctx.db, ctx.clock.nowMs() - RETENTION_MS, BATCH)) < BATCH) return;
  }
}
