import type { Context } from "../context.ts";
import { claimParts } from "./claim-store.ts";
import { judgeTargets } from "./judge-targets.ts";
import { planPurges } from "./plan-purges.ts";
import type { PurgeAdapter } from "./purge-port.ts";
import { sendClaim } from "./send-purges.ts";
import { createTargets } from "./targets.ts";

/** So long a purge waits for others to be sent with. */
const GATHER_MS = 20;
/** Longer than any call can take; should this process die, another one sends it again. */
const LEASE_MS = 15_000;
/** A claim that takes so long keeps the next one waiting no more. */
const HANG_MS = 1_000;
/** Claims of one target under way at once. */
const MAX_UNDER_WAY = 4;

export interface Purges {
  /** Plans what an event purges, and has it sent. */
  readonly plan: (eventId: string) => Promise<void>;
  /** Has everything sent that is due, and says when a target fails for long. */
  readonly sweep: () => Promise<void>;
  /** Since when a target has failed for long, in milliseconds since the epoch, as the last sweep found; undefined when none does. */
  readonly failingSinceMs: () => number | undefined;
  /** Every cache and edge of the configuration. */
  readonly targets: readonly Pick<PurgeAdapter, "target" | "leg">[];
  /** Starts nothing more and waits for what is under way. */
  readonly settle: () => Promise<void>;
}

/** Tells caches and edges what was taken back: each by itself, so that one that hangs delays no other. */
export function startPurges(ctx: Context): Purges {
  const { adapters, close } = createTargets(ctx);
  const senders = adapters.map((adapter) => startSender(ctx, adapter));
  let failingSinceMs: number | undefined;
  const wake = (): void => {
    for (const sender of senders) sender.wake();
  };
  return {
    plan: async (eventId) => {
      await planPurges(ctx, eventId, adapters);
      wake();
    },
    sweep: async () => {
      wake();
      if (adapters.length > 0) failingSinceMs = await judgeTargets(ctx, adapters);
    },
    failingSinceMs: () => failingSinceMs,
    targets: adapters,
    settle: async () => {
      await Promise.all(senders.map((sender) => sender.settle()));
      await close();
    },
  };
}

interface Sender {
  readonly wake: () => void;
  readonly settle: () => Promise<void>;
}

/** Sends what is due at one target. What comes while a claim is under way is in the next one: so many facts become few calls. */
function startSender(ctx: Context, adapter: PurgeAdapter): Sender {
  const underWay = new Set<Promise<void>>();
  const state = { isWanted: false, isStopped: false };
  let running: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;
  let timerEndsMs = Number.POSITIVE_INFINITY;

  function wake(): void {
    state.isWanted = true;
    if (state.isStopped || running !== undefined) return;
    running = sendAll()
      .catch((error: unknown) =>
        ctx.log.error({ target: adapter.target, error: String(error) }, "due purges could not be read"),
      )
      .finally(() => {
        running = undefined;
        if (state.isWanted) wake();
      });
  }

  async function sendAll(): Promise<void> {
    await sleep(GATHER_MS);
    while (state.isWanted && !state.isStopped) {
      state.isWanted = false;
      if (await sendDue()) state.isWanted = true;
    }
  }

  /** False when nothing was due. */
  async function sendDue(): Promise<boolean> {
    while (underWay.size >= MAX_UNDER_WAY) await Promise.race(underWay);
    const nowMs = ctx.clock.nowMs();
    const claim = await claimParts(ctx.db, adapter, { nowMs, leaseUntilMs: nowMs + LEASE_MS });
    if (claim.nextAtMs !== undefined) wakeIn(claim.nextAtMs - nowMs);
    if (claim.parts.length === 0) return false;
    const sending = sendClaim(ctx, adapter, claim)
      .then((againAtMs) => {
        if (againAtMs !== undefined) wakeIn(againAtMs - ctx.clock.nowMs());
      })
      .catch((error: unknown) =>
        ctx.log.error({ target: adapter.target, error: String(error) }, "a purge could not be recorded"),
      )
      .finally(() => underWay.delete(sending));
    underWay.add(sending);
    await Promise.race([sending, sleep(HANG_MS)]);
    return true;
  }

  /** The earliest of the instants that were asked for; the sweep wakes for the others. */
  function wakeIn(ms: number): void {
    const waitMs = Math.max(GATHER_MS, ms);
    if (state.isStopped || performance.now() + waitMs >= timerEndsMs) return;
    clearTimeout(timer);
    timerEndsMs = performance.now() + waitMs;
    timer = setTimeout(() => {
      timerEndsMs = Number.POSITIVE_INFINITY;
      wake();
    }, waitMs);
  }

  return {
    wake,
    settle: async () => {
      state.isStopped = true;
      clearTimeout(timer);
      await running;
      await Promise.all(underWay);
    },
  };
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
