import { type Result, accept, refuse } from "@licet/protocol";

/** Streams of timelines that are open at one server. None holds a connection to the database. */
export interface TimelineStreams {
  /** Takes a place; whoever has it gives it back. Refuses `rate_limited` and `unavailable` when too many are open. */
  readonly enter: (caller: string) => Result<() => void>;
  /** Aborted when the server stops: every stream ends, and its reader comes back to another server. */
  readonly stopping: AbortSignal;
  readonly stop: () => void;
}

/** Streams at one server, and of those with the same credentials. */
const MAX_STREAMS = 200;
const MAX_STREAMS_PER_CALLER = 8;

export function createTimelineStreams(): TimelineStreams {
  const open = new Map<string, number>();
  const stopping = new AbortController();
  let total = 0;
  return {
    enter: (caller) => {
      const count = open.get(caller) ?? 0;
      if (count >= MAX_STREAMS_PER_CALLER)
        return refuse("rate_limited", `expected at most ${MAX_STREAMS_PER_CALLER} timelines of one caller to be open`);
      if (total >= MAX_STREAMS) return refuse("unavailable", `expected at most ${MAX_STREAMS} timelines to be open`);
      open.set(caller, count + 1);
      total += 1;
      return accept(() => {
        total -= 1;
        const left = (open.get(caller) ?? 1) - 1;
        if (left === 0) open.delete(caller);
        else open.set(caller, left);
      });
    },
    stopping: stopping.signal,
    stop: () => stopping.abort(),
  };
}
