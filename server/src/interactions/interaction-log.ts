import type { Context } from "../context.ts";
import { addPartitions, dropPartitions, monthOf, monthsFrom } from "./partitions.ts";
import { type InteractionRow, insertInteractions } from "./store.ts";

/** Calls on their way into the database, a batch at a time. */
export interface InteractionLog {
  readonly record: (interaction: InteractionRow) => void;
  /** Writes what is waiting. Faults when the database does; what was not written waits on. */
  readonly flush: () => Promise<void>;
  /** Makes the coming months' partitions, and drops the months whose time is over. */
  readonly turnMonths: () => Promise<void>;
}

/** Calls that are written at once. */
const BATCH = 500;
/** Calls that wait while the database does not answer. Beyond it the oldest go, and the log counts them. */
const MAX_WAITING = 10_000;
/** Partitions made ahead, this month's among them. */
const MONTHS_AHEAD = 3;
const DAY_MS = 86_400_000;

export function createInteractionLog(ctx: Pick<Context, "db" | "clock" | "log" | "config">): InteractionLog {
  let waiting: readonly InteractionRow[][] = [[]];
  const months = new Set<string>();
  let writing: Promise<void> = Promise.resolve();

  const addMissing = async (needed: readonly string[]): Promise<void> => {
    const missing = needed.filter((month) => !months.has(month));
    if (missing.length === 0) return;
    await addPartitions(ctx.db, "interaction", missing);
    for (const month of missing) months.add(month);
  };
  /** One batch after the other, so that what fails can be put back before what came later. */
  const write = async (): Promise<void> => {
    for (let batch = waiting[0]; batch !== undefined && batch.length > 0; batch = waiting[0]) {
      waiting = waiting.length > 1 ? waiting.slice(1) : [[]];
      try {
        await addMissing([...new Set(batch.map((row) => monthOf(row.at_ms)))]);
        await insertInteractions(ctx.db, batch);
      } catch (error) {
        waiting = [batch, ...waiting];
        throw error;
      }
    }
  };
  const flush = (): Promise<void> => (writing = writing.catch(() => undefined).then(write));

  return {
    record: (interaction) => {
      const last = waiting.at(-1);
      if (last !== undefined && last.length < BATCH) last.push(interaction);
      else waiting = [...waiting, [interaction]];
      if (waiting.length * BATCH > MAX_WAITING) {
        ctx.log.error({ lost: waiting[0]?.length }, "interactions were lost, since the database does not take them");
        waiting = waiting.slice(1);
      }
      if (waiting.at(-1)?.length === BATCH)
        flush().catch((error: unknown) => ctx.log.warn({ error: String(error) }, "interactions wait to be written"));
    },
    flush,
    turnMonths: async () => {
      const nowMs = ctx.clock.nowMs();
      await addMissing(monthsFrom(nowMs, MONTHS_AHEAD));
      const dropped = await dropPartitions(ctx.db, "interaction", nowMs - ctx.config.interactionRetentionDays * DAY_MS);
      for (const month of dropped) months.delete(month);
      if (dropped.length > 0) ctx.log.info({ months: dropped }, "months of the interaction log were dropped");
    },
  };
}
