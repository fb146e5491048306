import type { Context } from "../context.ts";
import { attemptError } from "../jobs/attempt-error.ts";
import { disableGoneEndpoint, isDueForJudgement, judgeEndpoint, readOldSecrets } from "../marketplaces/lookup.ts";
import { type ClaimedDelivery, type EndedAttempt, claimDue } from "./claim-deliveries.ts";
import { type AttemptRecorder, recordInBatches } from "./record-attempts.ts";
import { nextAttemptMs } from "./retry-schedule.ts";
import { type ReceiverAnswer, sendDelivery } from "./send-delivery.ts";

/** Requests under way at once: slow receivers must not keep the others waiting. */
const MAX_IN_FLIGHT = 256;
/** Of these to one endpoint, so that one that hangs does not take all the places. */
const MAX_PER_ENDPOINT = 8;
/** To endpoints that take nothing at present, all together and to one: whoever answers goes first. */
const MAX_FAILING_IN_FLIGHT = 128;
const MAX_PER_FAILING_ENDPOINT = 2;
/** When deliveries end, the next are looked for once so many places are free: looking costs the same for one as for all. */
const MIN_FREE = 64;
/** Longer than any attempt can take; should this process die, another one tries after it. */
const LEASE_MS = 15_000;
const GONE = 410;

export interface Deliveries {
  /** Starts every delivery that is due; does not wait for the receivers. */
  readonly wake: () => Promise<void>;
  /** Starts nothing more and waits for the requests under way. */
  readonly settle: () => Promise<void>;
}

/** Sends what is due, many at once, each on its own. */
export function startDeliveries(ctx: Context): Deliveries {
  const inFlight = new Set<ClaimedDelivery>();
  const running = new Set<Promise<void>>();
  const record = recordInBatches(ctx);
  const state = { isWanted: false, isClaiming: false, isWakingSoon: false, isStopped: false };

  /** One claim at a time; what becomes due meanwhile is found by the next. */
  async function wake(): Promise<void> {
    state.isWanted = true;
    if (state.isClaiming) return;
    state.isClaiming = true;
    try {
      while (state.isWanted && !state.isStopped) {
        state.isWanted = false;
        await claim();
      }
    } finally {
      state.isClaiming = false;
    }
  }

  /** Deliveries are recorded many at a time, so many end at once: they wake us once. */
  function wakeSoon(): void {
    if (state.isWakingSoon || MAX_IN_FLIGHT - inFlight.size < MIN_FREE) return;
    state.isWakingSoon = true;
    setImmediate(() => {
      state.isWakingSoon = false;
      const waking = wake()
        .catch((error: unknown) => ctx.log.error({ error: String(error) }, "due deliveries could not be read"))
        .finally(() => running.delete(waking));
      running.add(waking);
    });
  }

  async function claim(): Promise<void> {
    const claimed = await claimFree(ctx, inFlight);
    if (claimed.length === 0) return;
    const secrets = await readSecrets(ctx, claimed);
    for (const delivery of claimed) {
      inFlight.add(delivery);
      const run = send(delivery, secrets.get(delivery.endpoint_id) ?? []).finally(() => running.delete(run));
      running.add(run);
    }
  }

  /** What waited behind this delivery, or for its place, may be due when it ends. */
  async function send(delivery: ClaimedDelivery, oldSecrets: readonly Uint8Array[]): Promise<void> {
    try {
      await attempt(ctx, record, { delivery, oldSecrets });
    } catch (error) {
      ctx.log.error({ message_id: delivery.message_id, error: String(error) }, "a delivery could not be attempted");
    }
    inFlight.delete(delivery);
    wakeSoon();
  }

  return {
    wake,
    settle: async () => {
      state.isStopped = true;
      while (running.size > 0) await Promise.all(running);
    },
  };
}

/** Takes as many deliveries as there are free places. */
async function claimFree(ctx: Context, inFlight: ReadonlySet<ClaimedDelivery>): Promise<readonly ClaimedDelivery[]> {
  const failing = [...inFlight].filter((delivery) => delivery.failing_since_ms !== null).length;
  const limit = MAX_IN_FLIGHT - inFlight.size;
  if (limit === 0) return [];
  const nowMs = ctx.clock.nowMs();
  return claimDue(ctx.db, {
    nowMs,
    leaseUntilMs: nowMs + LEASE_MS,
    limit,
    perEndpoint: MAX_PER_ENDPOINT,
    inFlight: countByEndpoint(inFlight),
    failing: { limit: MAX_FAILING_IN_FLIGHT - failing, perEndpoint: MAX_PER_FAILING_ENDPOINT },
  });
}

interface Attempt {
  readonly delivery: ClaimedDelivery;
  readonly oldSecrets: readonly Uint8Array[];
}

/** Sends a delivery once, records what came of it, and judges an endpoint that fails. */
async function attempt(ctx: Context, record: AttemptRecorder, work: Attempt): Promise<void> {
  const { attempts, change } = work.delivery;
  const attributes = { "licet.webhook.attempt": attempts, "licet.webhook.change": change };
  await ctx.tracing.within({ name: "webhook delivery", attributes }, () => attemptOnce(ctx, record, work));
}

async function attemptOnce(ctx: Context, record: AttemptRecorder, { delivery, oldSecrets }: Attempt): Promise<void> {
  const atMs = ctx.clock.nowMs();
  const startedMs = performance.now();
  const answer = await sendDelivery(ctx, delivery, oldSecrets);
  const ended = endedOf(ctx, delivery, answer, {
    at_ms: atMs,
    duration_ms: Math.round(performance.now() - startedMs),
  });
  ctx.metrics.deliveryAttempted(outcomeOf(ended), (performance.now() - startedMs) / 1_000);
  const isRecorded = await record(ended);
  if (!isRecorded || ended.state === "delivered") return;
  const { endpoint_id, dataset_id, sequence, attempts } = delivery;
  ctx.log.warn(
    { endpoint_id, dataset_id, sequence, attempt: attempts, status: answer.status },
    "a webhook was not accepted",
  );
  if (answer.status === GONE) await disableGoneEndpoint(ctx, delivery);
  else if (isDueForJudgement(delivery, ctx.clock.nowMs())) await judgeEndpoint(ctx, endpoint_id);
}

function outcomeOf({ state, status }: EndedAttempt): "delivered" | "refused" | "unreachable" {
  if (state === "delivered") return "delivered";
  return status === null ? "unreachable" : "refused";
}

function countByEndpoint(inFlight: ReadonlySet<ClaimedDelivery>): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { endpoint_id } of inFlight) counts.set(endpoint_id, (counts.get(endpoint_id) ?? 0) + 1);
  return counts;
}

/** The older secrets that still sign, sealed, by endpoint. */
async function readSecrets(
  ctx: Context,
  claimed: readonly ClaimedDelivery[],
): Promise<ReadonlyMap<string, readonly Uint8Array[]>> {
  const endpointIds = [...new Set(claimed.map((delivery) => delivery.endpoint_id))];
  const rows = await readOldSecrets(ctx.db, endpointIds, ctx.clock.nowMs());
  return new Map(
    [...Map.groupBy(rows, (row) => row.endpoint_id)].map(([endpointId, secrets]) => [
      endpointId,
      secrets.map((secret) => secret.sealed_secret),
    ]),
  );
}

function endedOf(
  ctx: Context,
  delivery: ClaimedDelivery,
  { status, text, retryAfter }: ReceiverAnswer,
  timing: Pick<EndedAttempt, "at_ms" | "duration_ms">,
): EndedAttempt {
  const { endpoint_id, dataset_id, sequence, attempts, attempts_made } = delivery;
  const nowMs = ctx.clock.nowMs();
  const row = { endpoint_id, dataset_id, sequence, attempt: attempts, ...timing, status };
  if (status !== null && status >= 200 && status < 300)
    return { ...row, error: null, state: "delivered", next_attempt_at_ms: null, delivered_at_ms: nowMs };
  const nextMs = nextAttemptMs({ attempts: attempts_made + 1, nowMs, retryAfter });
  return {
    ...row,
    error: attemptError(text),
    state: nextMs === undefined ? "failed" : "waiting",
    next_attempt_at_ms: nextMs ?? null,
    delivered_at_ms: null,
  };
}
