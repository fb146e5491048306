import type { Context } from "../context.ts";
import { hasUnsequenced, insertPositions, lockFeed, takeUnsequenced } from "./feed-store.ts";

/**
 * Gives committed events their positions in the feed. Ids and serials are given before the commit,
 * and facts commit in another order; a position is given after it, by one writer at a time, so a
 * reader who saw a position never later finds a lower one, and no event is skipped or comes twice.
 */
export interface Sequencer {
  /** Says that a fact was committed here: its events get their positions soon. */
  readonly wake: () => void;
  /** Gives positions to all events that wait, also those that a crash left. */
  readonly run: () => Promise<void>;
  /** Before this, waking does nothing: a task without a server leaves it to the next one. */
  readonly start: () => void;
  readonly stop: () => Promise<void>;
}

/** Events that get their positions in one transaction. */
const BATCH = 500;
/** Facts that commit within this time share a transaction. */
const GATHER_MS = 20;

export function createSequencer(ctx: Pick<Context, "db" | "clock" | "log" | "notices">): Sequencer {
  let isOpen = false;
  let timer: NodeJS.Timeout | undefined;
  let turn: Promise<void> = Promise.resolve();

  function runInTurn(): Promise<void> {
    const run = turn.then(() => sequenceAll(ctx));
    turn = run.catch(() => undefined);
    return run;
  }

  function wake(): void {
    if (!isOpen || timer !== undefined) return;
    timer = setTimeout(() => {
      timer = undefined;
      runInTurn().catch((error: unknown) =>
        ctx.log.warn({ error: String(error) }, "events got no positions in the feed; the sweep tries again"),
      );
    }, GATHER_MS);
  }

  return {
    wake,
    run: runInTurn,
    start: () => {
      isOpen = true;
      wake();
    },
    stop: async () => {
      isOpen = false;
      clearTimeout(timer);
      await turn;
    },
  };
}

async function sequenceAll(ctx: Pick<Context, "db" | "clock" | "notices">): Promise<void> {
  while (await hasUnsequenced(ctx.db)) {
    await ctx.db.transaction().execute(async (trx) => {
      await lockFeed(trx);
      const events = await takeUnsequenced(trx, BATCH);
      if (events.length === 0) return;
      const last = await insertPositions(trx, events, ctx.clock.nowMs());
      await ctx.notices.announce(trx, "event-feed", [String(last)]);
    });
  }
}
