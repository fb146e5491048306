import type { Context } from "../context.ts";
import { type Claim, claimParts } from "./claim-store.ts";
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
  const alarm = createAlarm(wake);

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
    if (claim.nextAtMs !== undefined) alarm.setIn(claim.nextAtMs - nowMs);
    if (claim.parts.length === 0) return false;
    const sending = sendAndWake(claim)
      .catch((error: unknown) =>
        ctx.log.error({ target: adapter.target, error: String(error) }, "a purge could not be recorded"),
      )
      .finally(() => underWay.delete(sending));
    underWay.add(sending);
    await Promise.race([sending, sleep(HANG_MS)]);
    return true;
  }

  async function sendAndWake(claim: Claim): Promise<void> {
    const againAtMs = await sendClaim(ctx, adapter, claim);
    if (againAtMs !== undefined) alarm.setIn(againAtMs - ctx.clock.nowMs());
  }

  return {
    wake,
    settle: async () => {
      state.isStopped = true;
      alarm.stop();
      await running;
      await Promise.all(underWay);
    },
  };
}

interface Alarm {
  readonly setIn: (ms: number) => void;
  readonly stop: () => void;
}

/** Rings at the earliest of the instants that were asked for; for the others the sweep does. */
function createAlarm(ring: () => void): Alarm {
  let timer: NodeJS.Timeout | undefined;
  let endsMs = Number.POSITIVE_INFINITY;
  let isStopped = false;
  return {
    setIn: (ms) => {
      const waitMs = Math.max(GATHER_MS, ms);
      if (isStopped || performance.now() + waitMs >= endsMs) return;
      clearTimeout(timer);
      endsMs = performance.now() + waitMs;
      timer = setTimeout(() => {
        endsMs = Number.POSITIVE_INFINITY;
        ring();
      }, waitMs);
    },
    stop: () => {
      isStopped = true;
      clearTimeout(timer);
    },
  };
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
