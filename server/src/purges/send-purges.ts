import { randomInt } from "node:crypto";
import type { Context } from "../context.ts";
import { retryAfterMs } from "../http/retry-after.ts";
import { attemptError } from "../jobs/attempt-error.ts";
import { takenOf } from "./build-calls.ts";
import { type Claim, pauseAccount } from "./claim-store.ts";
import type { PurgeAdapter, PurgeCall, PurgeOutcome } from "./purge-port.ts";
import { type ClaimedPart, type FailedPart, recordConfirmed, recordFailed } from "./store.ts";

/** Calls to one target at once. */
const MAX_CALLS = 16;
/** A cache fill or a fetch that was in flight when it was purged is over by then. */
const AGAIN_MS = 5_000;
/** Waits after attempts that failed: doubled from the first to the last, and up to a tenth longer. */
const FIRST_WAIT_MS = 500;
const LAST_WAIT_MS = 60_000;
const JITTER = 0.1;
/** The same, for so many attempts, where what an edge is to fetch is about to be there. */
const FIRST_SOON_MS = 50;
const LAST_SOON_MS = 250;
const MAX_SOON = 20;
/** `Retry-After` lengthens a wait by no more than this. */
const MAX_RETRY_AFTER_MS = 300_000;
/** After a day it is given up: whatever a cache still serves then, it was never meant to serve for long. */
const GIVE_UP_MS = 86_400_000;
const JITTER_STEPS = 1_000;

type Failure = Extract<PurgeOutcome, { isConfirmed: false }>;

/**
 * Sends the calls of a claim and records which parts they confirm; answers when something that failed is due again.
 * When nothing answers, or too much is asked of the target, the calls that were not sent yet fail with that one:
 * whoever does not answer one would keep all of them waiting. When a call is refused for what is in it, each of its
 * parts goes alone from then on, so that only the one with the fault fails.
 */
export async function sendClaim(
  ctx: Context,
  adapter: PurgeAdapter,
  { parts, calls }: Claim,
): Promise<number | undefined> {
  const attributes = { "licet.purge.target": adapter.target, "licet.purge.calls": calls.length };
  return ctx.tracing.within({ name: "purge", attributes }, async () => {
    const failures = await sendCalls(ctx, adapter, calls);
    const failureOf = (part: ClaimedPart): FailedCall | undefined => {
      const taken = takenOf(adapter, part);
      return failures.find(
        ({ call }) =>
          call.of === (part.is_alone ? part : undefined) && call.items.some((item) => taken[call.kind].includes(item)),
      );
    };
    const judged = parts.map((part) => ({ part, failed: failureOf(part) }));
    await confirm(
      ctx,
      adapter,
      judged.filter(({ failed }) => failed === undefined).map(({ part }) => part),
    );
    return fail(
      ctx,
      adapter,
      judged.flatMap(({ part, failed }) => (failed === undefined ? [] : [{ part, ...failed }])),
    );
  });
}

interface FailedCall {
  readonly call: PurgeCall;
  readonly failure: Failure;
}

/** Nothing sent to it now would fare better. */
function isAway({ status = 0 }: Failure): boolean {
  return status === 0 || status === 408 || status === 429 || status >= 500;
}

/** Refused for what the call says, and not for who we are. */
function isFaulty(failure: Failure): boolean {
  const { status = 0 } = failure;
  return status >= 400 && status !== 401 && status !== 403 && !isAway(failure);
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
      failed.push({ call, failure: isFaulty(outcome) ? naming(call, outcome) : outcome });
      if (isAway(outcome)) failed.push(...left.splice(0).map((lost) => ({ call: lost, failure: outcome })));
    }
  }
  await Promise.all(Array.from({ length: Math.min(MAX_CALLS, calls.length) }, sendOneAfterTheOther));
  return failed;
}

/** Says which item it was, as soon as it is one. */
function naming({ items }: PurgeCall, failure: Failure): Failure {
  const [item, ...others] = items;
  return others.length > 0 ? failure : { ...failure, error: attemptError(`${item}: ${failure.error}`) };
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
  failed: readonly ({ readonly part: ClaimedPart } & FailedCall)[],
): Promise<number | undefined> {
  const [first] = failed;
  if (first === undefined) return undefined;
  const nowMs = ctx.clock.nowMs();
  const askedMs = Math.max(...failed.map(({ failure }) => askedOf(failure, nowMs)));
  if (adapter.meter !== undefined && askedMs > 0) await pauseAccount(ctx.db, adapter.meter.account, nowMs + askedMs);
  const rows = failed.map(({ part, call, failure }): FailedPart => {
    const goesAlone = isFaulty(failure) && !part.is_alone && call.items.length > 1;
    const dueAtMs = nowMs + Math.max(goesAlone ? 0 : waitAfter(part.attempts, failure), askedMs);
    return {
      event_id: part.event_id,
      part: part.part,
      round: part.round,
      due_at_ms: dueAtMs,
      error: failure.error,
      is_alone: part.is_alone || goesAlone,
      given_up_at_ms: dueAtMs > part.at_ms + GIVE_UP_MS ? nowMs : null,
    };
  });
  await recordFailed(ctx.db, adapter, rows);
  ctx.log.warn({ target: adapter.target, parts: rows.length, error: first.failure.error }, "a purge was not confirmed");
  const givenUp = rows.filter((row) => row.given_up_at_ms !== null).length;
  if (givenUp > 0)
    ctx.log.error(
      { target: adapter.target, parts: givenUp, error: first.failure.error },
      "purges were given up: see docs/operations.md#caches-and-edges",
    );
  return Math.min(...rows.map((row) => row.due_at_ms));
}

function askedOf({ retryAfter = null }: Failure, nowMs: number): number {
  return Math.min(retryAfterMs(retryAfter, nowMs) ?? 0, MAX_RETRY_AFTER_MS);
}

function waitAfter(attempts: number, { isSoonThere = false }: Failure): number {
  const isSoon = isSoonThere && attempts <= MAX_SOON;
  const doubled = 2 ** Math.min(attempts - 1, 16);
  const waitMs = isSoon
    ? Math.min(FIRST_SOON_MS * doubled, LAST_SOON_MS)
    : Math.min(FIRST_WAIT_MS * doubled, LAST_WAIT_MS);
  return waitMs + Math.round((waitMs * JITTER * randomInt(JITTER_STEPS)) / JITTER_STEPS);
}
