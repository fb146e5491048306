import type { Context } from "../context.ts";
import { findEvent } from "../events/store.ts";
import { type Items, takenOf } from "./build-calls.ts";
import type { PurgeAdapter } from "./purge-port.ts";
import { readScope } from "./read-scope.ts";
import { type NewOrder, insertOrders } from "./store.ts";

/** Tags, URLs and paths in one part: as many as fit one call of each kind. */
export const PART_SIZE = 100;

/**
 * Writes down what is to be purged for an event, at every target that can hold any of it, due at
 * once. Done again after a crash, it adds nothing.
 */
export async function planPurges(ctx: Context, eventId: string, adapters: readonly PurgeAdapter[]): Promise<void> {
  if (adapters.length === 0) return;
  const event = await findEvent(ctx.db, eventId);
  if (event === undefined) return;
  const scope = await readScope(ctx, event);
  const nowMs = ctx.clock.nowMs();
  const orders = partsOf(scope).map((items, part): NewOrder => ({
    event_id: eventId,
    part,
    at_ms: event.atMs,
    ...items,
    targets: adapters.filter((adapter) => holdsAny(adapter, items)).map(({ target, leg }) => ({ target, leg })),
  }));
  await insertOrders(ctx.db, orders, nowMs);
}

function holdsAny(adapter: PurgeAdapter, items: Items): boolean {
  return Object.values(takenOf(adapter, items)).some((taken: readonly string[]) => taken.length > 0);
}

function partsOf({ tags, urls, paths }: Items): readonly Items[] {
  const count = Math.ceil(Math.max(tags.length, urls.length, paths.length) / PART_SIZE);
  const part = (items: readonly string[], index: number): readonly string[] =>
    items.slice(index * PART_SIZE, (index + 1) * PART_SIZE);
  return Array.from({ length: count }, (_, index) => ({
    tags: part(tags, index),
    urls: part(urls, index),
    paths: part(paths, index),
  }));
}
