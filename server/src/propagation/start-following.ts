import type { Context } from "../context.ts";
import { followFact } from "./follow-facts.ts";

/** Begins to follow facts, one after the other, beside whoever tells of them. */
export interface Following {
  /** Nobody waits for it: what is lost in a crash is found by the sweep. */
  readonly begin: (eventId: string) => void;
  /** Begins nothing more and waits for what is under way. */
  readonly settle: () => Promise<void>;
}

/** Facts that wait to be followed; beyond it they wait for the sweep. */
const MAX_WAITING = 10_000;

export function startFollowing(ctx: Context): Following {
  const waiting: string[] = [];
  const state = { isStopped: false };
  let running: Promise<void> | undefined;

  async function run(): Promise<void> {
    for (let eventId = waiting.shift(); eventId !== undefined && !state.isStopped; eventId = waiting.shift()) {
      try {
        await followFact(ctx, eventId);
      } catch (error) {
        ctx.log.warn({ event_id: eventId, error: String(error) }, "a refusal could not be followed and will be later");
      }
    }
    running = undefined;
  }

  return {
    begin: (eventId) => {
      if (state.isStopped || waiting.length >= MAX_WAITING) return;
      waiting.push(eventId);
      running ??= run();
    },
    settle: async () => {
      state.isStopped = true;
      await running;
    },
  };
}
