import {
  type JsonObject,
  PROPAGATION_LEGS,
  accept,
  cacheTags,
  canonicalize,
  formatInstant,
  parseJsonObject,
  without,
} from "@licet/protocol";
import type { Context } from "../context.ts";
import { documentPaths } from "../documents/document-paths.ts";
import { writeFact } from "../events/write-fact.ts";
import { type OpenLegs, type TimeStep, countFacts, readOpenLegs, readTimes } from "./aggregate-store.ts";
import { percentileOf } from "./time-steps.ts";

const DAY_MS = 86_400_000;
/** What the plumbing adds to a document. */
const FRAME = ["type", "iss", "seq", "test", "checked_at", "ttl_seconds", "expires_at", "signatures"];

/** Publishes how long refusals took in the last days, when it has changed. */
export async function publishPropagation(ctx: Context): Promise<void> {
  const content = await measure(ctx);
  const served = await ctx.documents.read(documentPaths.propagation);
  const held = served === undefined ? undefined : parseJsonObject(served.bytes);
  if (held?.ok === true && canonicalize(without(held.value, FRAME)) === canonicalize(content)) return;
  await writeFact(ctx, async (fact) => {
    fact.publish(documentPaths.propagation, async () => ({ kind: "propagation", content, tags: [cacheTags.all] }));
    return accept(undefined);
  });
}

async function measure({ db, clock, config }: Context): Promise<JsonObject> {
  const nowMs = clock.nowMs();
  const sinceMs = Math.floor(nowMs / DAY_MS) * DAY_MS - (config.propagationDays - 1) * DAY_MS;
  const times = Map.groupBy(await readTimes(db, new Date(sinceMs).toISOString().slice(0, 10)), (step) => step.leg);
  const open = new Map((await readOpenLegs(db, sinceMs)).map((row) => [row.leg, row]));
  return {
    window_days: config.propagationDays,
    from: formatInstant(sinceMs / 1_000),
    facts: await countFacts(db, sinceMs),
    legs: PROPAGATION_LEGS.map((leg) => ({ leg, ...sumOf(times.get(leg) ?? [], open.get(leg), nowMs) })),
  };
}

/** Rounded to seconds, so that the document changes no more often than somebody could notice. */
const SECOND_MS = 1_000;

function sumOf(steps: readonly TimeStep[], open: OpenLegs | undefined, nowMs: number): JsonObject {
  const done = steps.reduce((sum, step) => sum + step.legs, 0);
  const [p50_ms, p95_ms, p99_ms] = [0.5, 0.95, 0.99].map((part) => percentileOf(steps, part));
  const times =
    p50_ms === undefined || p95_ms === undefined || p99_ms === undefined
      ? {}
      : { p50_ms, p95_ms, p99_ms, worst_ms: Math.max(...steps.map((step) => step.worst_ms)) };
  const oldest = open?.oldest_at_ms ?? null;
  return {
    done,
    waiting: open?.waiting ?? 0,
    failed: open?.failed ?? 0,
    ...times,
    ...(oldest === null
      ? {}
      : { longest_waiting_ms: Math.max(0, Math.floor((nowMs - oldest) / SECOND_MS) * SECOND_MS) }),
  };
}
