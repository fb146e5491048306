import { type Result, accept, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";

/** Readers who wait until the feed grows. None holds a connection to the database meanwhile. */
export interface WaitingReaders {
  /**
   * Looks until there is something, for so long at most, and answers the last look. Refuses
   * `unavailable` and `rate_limited` when too many wait already.
   */
  readonly untilSomething: <T>(wait: Wait, look: () => Promise<Result<Look<T>>>) => Promise<Result<T>>;
  /** Lets everybody who waits look once more and go. */
  readonly stop: () => void;
}

export interface Look<T> {
  readonly isSomething: boolean;
  readonly value: T;
}

export interface Wait {
  readonly caller: string;
  readonly seconds: number;
  /** Aborted when the reader has gone. */
  readonly signal: AbortSignal;
}

/** Readers who wait at one server. */
const MAX_WAITING = 500;
/** Of those, with the same credentials. */
const MAX_WAITING_PER_CALLER = 8;
/** Somebody who waits looks no more often than this, however fast the feed grows. */
const PAUSE_MS = 250;

export function createWaitingReaders({ notices }: Pick<Context, "notices">): WaitingReaders {
  const waiting = new Map<string, number>();
  const stopping = new AbortController();
  let total = 0;
  let grown = Promise.withResolvers<void>();
  notices.on("event-feed", () => {
    grown.resolve();
    grown = Promise.withResolvers<void>();
  });

  function enter(caller: string): Result<() => void> {
    const count = waiting.get(caller) ?? 0;
    if (count >= MAX_WAITING_PER_CALLER)
      return refuse("rate_limited", `expected at most ${MAX_WAITING_PER_CALLER} requests of one caller to wait`);
    if (total >= MAX_WAITING) return refuse("unavailable", `expected at most ${MAX_WAITING} requests to wait`);
    waiting.set(caller, count + 1);
    total += 1;
    return accept(() => {
      total -= 1;
      const left = (waiting.get(caller) ?? 1) - 1;
      if (left === 0) waiting.delete(caller);
      else waiting.set(caller, left);
    });
  }

  return {
    untilSomething: async ({ caller, seconds, signal }, look) => {
      const leave = enter(caller);
      if (!leave.ok) return leave;
      const over = AbortSignal.any([AbortSignal.timeout(seconds * 1_000), signal, stopping.signal]);
      try {
        for (;;) {
          // What is written from here on is heard of, also while we look.
          const next = grown.promise;
          const isLast = over.aborted;
          const looked = await look();
          if (!looked.ok) return looked;
          if (looked.value.isSomething || isLast) return accept(looked.value.value);
          await unlessOver(next, over);
          await unlessOver(pause(PAUSE_MS), over);
        }
      } finally {
        leave.value();
      }
    },
    stop: () => stopping.abort(),
  };
}

async function unlessOver(wanted: Promise<void>, over: AbortSignal): Promise<void> {
  if (over.aborted) return;
  const isOver = Promise.withResolvers<void>();
  const end = (): void => isOver.resolve();
  over.addEventListener("abort", end, { once: true });
  await Promise.race([wanted, isOver.promise]);
  over.removeEventListener("abort", end);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
