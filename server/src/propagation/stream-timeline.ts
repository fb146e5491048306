import { type Result, accept, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { type Principal, callerKey } from "../http/principal.ts";
import { type FoundRevocation, findRevocation } from "./find-revocation.ts";
import { lookAtLegs } from "./look-at-legs.ts";
import { headOf, legView } from "./read-timeline.ts";
import { type LegRow, findPropagation, readLegsAfter } from "./store.ts";
import type { TimelineStreams } from "./timeline-streams.ts";

/** A stream ends after this long although something still waits; its reader comes back with the last id. */
const MAX_STREAM_MS = 600_000;
/** So often it is looked for something new, */
const PAUSE_MS = 250;
/** and so long a connection is silent at most: proxies take a longer silence for a dead one. */
const HEARTBEAT_MS = 15_000;
/** When a reader whose stream ended comes back by itself. */
const RETRY_MS = 1_000;
/** Legs that are read at once. */
const BATCH = 500;

export interface StreamRequest {
  readonly principal: Principal;
  /** The `Last-Event-ID` header: the last leg that the reader has. */
  readonly lastEventId: string | undefined;
  /** Aborted when the reader has gone. */
  readonly signal: AbortSignal;
}

/**
 * The legs of a refusal as server-sent events, each with its sequence as its id, as they happen.
 * Undefined when the reader has everything there will be.
 *
 * Refuses `not_found`, `input_invalid`, and what {@link TimelineStreams} refuses.
 */
export async function streamTimeline(
  ctx: Context,
  streams: TimelineStreams,
  id: string,
  { principal, lastEventId = "0", signal }: StreamRequest,
): Promise<Result<AsyncIterable<string> | undefined>> {
  if (!/^\d{1,9}$/.test(lastEventId))
    return refuse("input_invalid", `Last-Event-ID: expected the id of an event of this stream, got ${lastEventId}`);
  const found = await findRevocation(ctx, id, principal);
  if (!found.ok) return found;
  const after = Number(lastEventId);
  if (found.value.row.is_done && after > 0) {
    const more = await readLegsAfter(ctx.db, found.value.filter, { sequence: after, limit: 1 });
    if (more.length === 0) return accept(undefined);
  }
  const place = streams.enter(callerKey(principal));
  if (!place.ok) return place;
  const over = AbortSignal.any([signal, streams.stopping]);
  return accept(givingBack(place.value, eventsOf(ctx, { found: found.value, principal, after, over })));
}

/** The place is taken until the stream ends, in whichever way. */
async function* givingBack(leave: () => void, events: AsyncIterable<string>): AsyncIterable<string> {
  try {
    yield* events;
  } finally {
    leave();
  }
}

interface OpenStream {
  readonly found: FoundRevocation;
  readonly principal: Principal;
  readonly after: number;
  readonly over: AbortSignal;
}

async function* eventsOf(ctx: Context, { found, principal, after, over }: OpenStream): AsyncIterable<string> {
  const { row, filter } = found;
  const startedMs = performance.now();
  let [sequence, spokenMs] = [after, startedMs];
  yield `retry: ${RETRY_MS}\n${eventText("revocation", { ...headOf(ctx, found) })}`;
  for (;;) {
    // Read first: what is done by then is among the legs that are read after it.
    const isDone = (await findPropagation(ctx.db, row.event_id))?.is_done ?? true;
    const legs = await readLegsAfter(ctx.db, filter, { sequence, limit: BATCH });
    for (const leg of legs) {
      sequence = leg.sequence ?? sequence;
      yield eventText("leg", { ...legView(leg, { principal, atMs: row.at_ms }) }, leg);
    }
    const nowMs = performance.now();
    if (legs.length > 0) spokenMs = nowMs;
    if (legs.length === BATCH) continue;
    const end = isDone ? "done" : over.aborted ? "stopping" : nowMs - startedMs > MAX_STREAM_MS ? "limit" : undefined;
    if (end !== undefined) return yield eventText("end", { reason: end });
    if (nowMs - spokenMs > HEARTBEAT_MS) {
      spokenMs = nowMs;
      yield ": still waiting\n\n";
    }
    await pause(PAUSE_MS, over);
    await lookAtLegs(ctx, [row.event_id]);
  }
}

function eventText(event: string, data: object, leg?: Pick<LegRow, "sequence">): string {
  const id = leg === undefined ? "" : `id: ${leg.sequence}\n`;
  return `${id}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}

async function pause(ms: number, over: AbortSignal): Promise<void> {
  if (over.aborted) return;
  const ended = Promise.withResolvers<void>();
  const end = (): void => ended.resolve();
  const timer = setTimeout(end, ms);
  over.addEventListener("abort", end, { once: true });
  await ended.promise;
  clearTimeout(timer);
  over.removeEventListener("abort", end);
}
