import { randomInt } from "node:crypto";
import type { Context } from "../context.ts";
import { retryAfterMs } from "../http/retry-after.ts";
import { takenOf } from "./build-calls.ts";
import { type Claim, pauseAccount } from "./claim-store.ts";
import type { PurgeAdapter, PurgeCall, PurgeOutcome } from "./purge-port.ts";
import { type ClaimedPart, type FailedPart, recordConfirmed, recordFailed } from "./store.ts";

/** Calls to one target at once. */
const MAX_CALLS = 16;
/** A cache fill that was in flight when it was purged is over by then. */
const AGAIN_MS = 5_000;
/** Waits after attempts that failed: doubled from the first to the last, and up to a tenth longer. */
const FIRST_WAIT_MS = 500;
const LAST_WAIT_MS = 60_000;
const JITTER = 0.1;
/** `Retry-After` lengthens a wait by no more than this. */
const MAX_RETRY_AFTER_MS = 300_000;
/** After a day it is given up: whatever a cache still serves then, it was never meant to serve for long. */
export const GIVE_UP_MS = 86_400_000;
const JITTER_STEPS = 1_000;

type Failure = Extract<PurgeOutcome, { isConfirmed: false }>;

/**
 * Sends the calls of a claim and records which parts they confirm. When a call fails, the ones that
 * were not sent yet fail with it: whoever does not answer one would keep all of them waiting.
 */
export async function sendClaim(ctx: Context, adapter: PurgeAdapter, { parts, calls }: Claim): Promise<void> {
  const attributes = { "licet.purge.target": adapter.target, "licet.purge.calls": calls.length };
  await ctx.tracing.within({ name: "purge", attributes }, async () => {
    const failures = await sendCalls(ctx, adapter, calls);
    const failureOf = (part: ClaimedPart): Failure | undefined => {
      const taken = takenOf(adapter, part);
      return failures.find(({ call }) => call.items.some((item) => taken[call.kind].includes(item)))?.failure;
    };
    const judged = parts.map((part) => ({ part, failure: failureOf(part) }));
    await confirm(
      ctx,
      adapter,
      judged.filter(({ failure }) => failure === undefined).map(({ part }) => part),
    );
    await fail(
      ctx,
      adapter,
      judged.flatMap(({ part, failure }) => (failure === undefined ? [] : [{ part, failure }])),
    );
  });
}

interface FailedCall {
  readonly call: PurgeCall;
  readonly failure: Failure;
}

async function sendCalls(
  ctx: Context,
  adapter: PurgeAdapter,
  calls: readonly PurgeCall[],
): Promise<readonly FailedCall[]> {
  const failed: FailedCall[] = [];
  const left = [...calls];
  async function sendOneAfterTheOther(): Promise<void> {
    for (let call = left.shift(); call !== undefined; call = left.shift()) {
      const outcome = await sendCall(ctx, adapter, call);
      if (outcome.isConfirmed) continue;
      const unsent = left.splice(0);
      failed.push(...[call, ...unsent].map((lost) => ({ call: lost, failure: outcome })));
    }
  }
  await Promise.all(Array.from({ length: Math.min(MAX_CALLS, calls.length) }, sendOneAfterTheOther));
  return failed;
}

/** What an adapter throws, a key that cannot sign or a database that is away, is a failure like any other. */
async function sendCall(ctx: Context, adapter: PurgeAdapter, call: PurgeCall): Promise<PurgeOutcome> {
  const outcome = await adapter
    .send(call)
    .catch((error: unknown): PurgeOutcome => ({ isConfirmed: false, error: String(error) }));
  ctx.metrics.purgeSent(adapter.target, outcome.isConfirmed ? "confirmed" : "failed");
  return outcome;
}

async function confirm(ctx: Context, adapter: PurgeAdapter, parts: readonly ClaimedPart[]): Promise<void> {
  if (parts.length === 0) return;
  const nowMs = ctx.clock.nowMs();
  const keys = parts.map(({ event_id, part, round }) => ({ event_id, part, round }));
  const fresh = await recordConfirmed(ctx.db, adapter, keys, { nowMs, againAtMs: nowMs + AGAIN_MS });
  for (const { event_id, part } of fresh.filter(({ round }) => round === 1)) {
    const atMs = parts.find((sent) => sent.event_id === event_id && sent.part === part)?.at_ms ?? nowMs;
    ctx.metrics.purgeConfirmed(adapter, Math.max(0, nowMs - atMs) / 1_000);
  }
}

async function fail(
  ctx: Context,
  adapter: PurgeAdapter,
  failed: readonly { readonly part: ClaimedPart; readonly failure: Failure }[],
): Promise<void> {
  const [first] = failed;
  if (first === undefined) return;
  const nowMs = ctx.clock.nowMs();
  const askedMs = Math.max(...failed.map(({ failure }) => askedOf(failure, nowMs)));
  if (adapter.meter !== undefined && askedMs > 0) await pauseAccount(ctx.db, adapter.meter.account, nowMs + askedMs);
  const rows = failed.map(({ part, failure }): FailedPart => {
    const dueAtMs = nowMs + Math.max(waitAfter(part.attempts), askedMs);
    return {
      event_id: part.event_id,
      part: part.part,
      round: part.round,
      due_at_ms: dueAtMs,
      error: failure.error,
      given_up_at_ms: dueAtMs > part.at_ms + GIVE_UP_MS ? nowMs : null,
    };
  });
  await recordFailed(ctx.db, adapter, rows, nowMs);
  ctx.log.warn({ target: adapter.target, parts: rows.length, error: first.failure.error }, "a purge was not confirmed");
  const givenUp = rows.filter((row) => row.given_up_at_ms !== null).length;
  if (givenUp > 0)
    ctx.log.error(
      { target: adapter.target, parts: givenUp, error: first.failure.error },
      "purges were given up: see docs/operations.md#caches-and-edges",
    );
}

function askedOf({ retryAfter = null }: Failure, nowMs: number): number {
  return Math.min(retryAfterMs(retryAfter, nowMs) ?? 0, MAX_RETRY_AFTER_MS);
}

function waitAfter(attempts: number): number {
  const waitMs = Math.min(FIRST_WAIT_MS * 2 ** Math.min(attempts - 1, 16), LAST_WAIT_MS);
  return waitMs + Math.round((waitMs * JITTER * randomInt(JITTER_STEPS)) / JITTER_STEPS);
}
