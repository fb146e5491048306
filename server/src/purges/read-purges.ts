import { type Result, accept, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { type Page, cutPage } from "../http/parameters.ts";
import { FAILING_MS } from "./judge-targets.ts";
import type { PurgeAdapter } from "./purge-port.ts";
import { type ListedPurge, type PurgeCursor, readPurges, readWaiting } from "./read-store.ts";
import { readTargets } from "./target-store.ts";

export const TARGET_STATES = ["ok", "retrying", "failing", "unused"] as const;

export interface TargetView {
  readonly target: string;
  readonly leg: PurgeAdapter["leg"];
  /** `retrying`: something it was asked for failed; `failing`: since so long ago that caches ask by themselves; `unused`: nothing was sent yet. */
  readonly state: (typeof TARGET_STATES)[number];
  readonly waiting: number;
  readonly oldest_waiting_at_ms?: number;
  readonly failing_since_ms?: number;
  readonly last_error?: string;
  readonly last_confirmed_at_ms?: number;
}

export interface PurgesView {
  readonly targets: readonly TargetView[];
  readonly purges: readonly ListedPurge[];
  readonly next: string | null;
}

export interface PurgeFilter extends Page {
  readonly target: string | undefined;
  readonly state: ListedPurge["state"] | undefined;
}

/** How caches and edges do, and what they were asked for, newest first. Refuses `input_invalid` for a cursor that no page named. */
export async function listPurges(
  ctx: Context,
  adapters: readonly Pick<PurgeAdapter, "target" | "leg">[],
  { after, ...filter }: PurgeFilter,
): Promise<Result<PurgesView>> {
  const cursor = after === undefined ? undefined : readCursor(after);
  if (after !== undefined && cursor === undefined)
    return refuse("input_invalid", "query.after: expected a cursor that a page named as next");
  const { rows, next } = cutPage(
    await readPurges(ctx.db, { ...filter, cursor, limit: filter.limit + 1 }),
    filter.limit,
    writeCursor,
  );
  return accept({ targets: await viewTargets(ctx, adapters), purges: rows, next });
}

async function viewTargets(
  ctx: Context,
  adapters: readonly Pick<PurgeAdapter, "target" | "leg">[],
): Promise<readonly TargetView[]> {
  const names = adapters.map((adapter) => adapter.target);
  const known = new Map((await readTargets(ctx.db, names)).map((row) => [row.target, row]));
  const waiting = new Map((await readWaiting(ctx.db, names)).map((row) => [row.target, row]));
  const beforeMs = ctx.clock.nowMs() - FAILING_MS;
  return adapters.map(({ target, leg }) => {
    const { failing_since_ms = null, last_error = null, last_confirmed_at_ms = null } = known.get(target) ?? {};
    const waits = waiting.get(target);
    const isAnswered = last_error !== null || (failing_since_ms ?? Number.POSITIVE_INFINITY) <= beforeMs;
    const standing = known.has(target) ? stateOf(isAnswered ? failing_since_ms : null, beforeMs) : "unused";
    return {
      target,
      leg,
      state: standing,
      waiting: waits?.waiting ?? 0,
      ...(waits === undefined ? {} : { oldest_waiting_at_ms: waits.oldest_ms }),
      ...(failing_since_ms === null || !isAnswered ? {} : { failing_since_ms }),
      ...(last_error === null ? {} : { last_error }),
      ...(last_confirmed_at_ms === null ? {} : { last_confirmed_at_ms }),
    };
  });
}

function stateOf(failingSinceMs: number | null, beforeMs: number): TargetView["state"] {
  if (failingSinceMs === null) return "ok";
  return failingSinceMs <= beforeMs ? "failing" : "retrying";
}

/** Where a page ended: the event and part, the target and round, which together are one row. */
function writeCursor({ event_id, part, target, round }: ListedPurge): string {
  return Buffer.from(JSON.stringify([event_id, part, target, round])).toString("base64url");
}

function readCursor(text: string): PurgeCursor | undefined {
  try {
    const read: unknown = JSON.parse(Buffer.from(text, "base64url").toString("utf8"));
    if (!Array.isArray(read)) return undefined;
    const [event_id, part, target, round]: readonly unknown[] = read;
    return typeof event_id === "string" &&
      Number.isSafeInteger(part) &&
      typeof target === "string" &&
      (round === 1 || round === 2)
      ? { event_id, part: Number(part), target, round }
      : undefined;
  } catch {
    return undefined;
  }
}
