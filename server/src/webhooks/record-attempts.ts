import type { Context } from "../context.ts";
import { type EndpointHealth, writeHealth } from "../marketplaces/lookup.ts";
import { type EndedAttempt, recordAttempts } from "./claim-deliveries.ts";

/** Attempts in one statement. */
const MAX_BATCH = 500;
/** So long an attempt waits for others to be recorded with. */
const GATHER_MS = 20;

interface Waiting {
  readonly ended: EndedAttempt;
  readonly settle: (isRecorded: boolean) => void;
}

/** Answers once an attempt is in the database; false when it could not be recorded. */
export type AttemptRecorder = (ended: EndedAttempt) => Promise<boolean>;

/**
 * Records attempts one batch after the other: what ends within a moment, or while a batch is being
 * written, is one batch. So a thousand take a few statements.
 */
export function recordInBatches(ctx: Context): AttemptRecorder {
  const waiting: Waiting[] = [];
  let isWriting = false;

  async function writeAll(): Promise<void> {
    if (isWriting) return;
    isWriting = true;
    while (waiting.length > 0) {
      await new Promise((resolve) => setTimeout(resolve, GATHER_MS));
      const batch = waiting.splice(0, MAX_BATCH);
      if ((await write(ctx, batch)) || batch.length === 1) continue;
      for (const one of batch) await write(ctx, [one]);
    }
    isWriting = false;
  }

  return (ended) =>
    new Promise((resolve) => {
      waiting.push({ ended, settle: resolve });
      void writeAll();
    });
}

/** Writes a batch and settles it. One row that the database does not take must not lose the others: they come again singly. */
async function write(ctx: Context, batch: readonly Waiting[]): Promise<boolean> {
  const ended = batch.map((one) => one.ended);
  try {
    await recordAttempts(ctx.db, ended);
    await writeHealth(ctx.db, healthsOf(ended));
  } catch (error) {
    ctx.log.error({ attempts: batch.length, error: String(error) }, "attempts at webhooks could not be recorded");
    if (batch.length === 1) batch[0]?.settle(false);
    return false;
  }
  for (const one of batch) one.settle(true);
  return true;
}

/** One attempt that was taken says that an endpoint is well, whatever the others say. */
function healthsOf(ended: readonly EndedAttempt[]): readonly EndpointHealth[] {
  return [...Map.groupBy(ended, (attempt) => attempt.endpoint_id)].map(([endpoint_id, attempts]) => ({
    endpoint_id,
    is_taking: attempts.some((attempt) => attempt.state === "delivered"),
    at_ms: Math.min(...attempts.map((attempt) => attempt.at_ms)),
  }));
}
