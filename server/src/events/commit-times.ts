import type { Logger } from "pino";
import type { Clock } from "../context.ts";
import type { Db } from "../db/open-database.ts";
import { insertCommits } from "./store.ts";

/** When facts that refuse something were committed, which only whoever committed them can say. */
export interface CommitTimes {
  /** Notes that facts were committed at this instant. Nobody waits for it to be written. */
  readonly note: (eventIds: readonly string[]) => void;
  /** Waits until everything that was noted is written, or given up. */
  readonly settle: () => Promise<void>;
}

interface Noted {
  readonly eventIds: readonly string[];
  readonly atMs: number;
}

/** Notes that wait while the database does not take them; beyond it the oldest are lost, and with them an instant that is good for a measurement only. */
const MAX_WAITING = 10_000;

export function createCommitTimes({
  db,
  clock,
  log,
}: {
  readonly db: Db;
  readonly clock: Clock;
  readonly log: Logger;
}): CommitTimes {
  const waiting: Noted[] = [];
  let writing: Promise<void> | undefined;

  async function writeAll(): Promise<void> {
    for (let noted = waiting.shift(); noted !== undefined; noted = waiting.shift()) {
      try {
        await insertCommits(db, noted.eventIds, noted.atMs);
      } catch (error) {
        log.warn({ error: String(error) }, "when a fact was committed could not be written");
      }
    }
    writing = undefined;
  }

  return {
    note: (eventIds) => {
      if (eventIds.length === 0) return;
      waiting.push({ eventIds, atMs: clock.nowMs() });
      if (waiting.length > MAX_WAITING) waiting.shift();
      writing ??= writeAll();
    },
    settle: async () => {
      await writing;
    },
  };
}
