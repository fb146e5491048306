import { signWebhook } from "@licet/protocol";
import type { Context } from "../context.ts";
import { nowSeconds } from "../context.ts";
import { attemptError } from "../jobs/attempt-error.ts";
import { findEndpoint, webhookSecretLabel } from "../marketplaces/lookup.ts";
import { type DeliveryRow, claimDue, recordAttempt } from "./store.ts";

/** Waits between attempts, in seconds; after the last one a delivery stays visible as failed. */
export const RETRY_SECONDS = [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000] as const;
/** Requests under way at once: slow receivers must not keep the others waiting. */
const MAX_IN_FLIGHT = 200;
/** Of these to one endpoint, so that one that hangs does not take all the places. */
const MAX_PER_ENDPOINT = 8;
/** Longer than any attempt can take; should this process die, another one tries after it. */
const LEASE_MS = 30_000;

export interface Deliveries {
  /** Starts every delivery that is due; does not wait for the receivers. */
  readonly wake: () => Promise<void>;
  /** Starts nothing more and waits for the requests under way. */
  readonly settle: () => Promise<void>;
}

/** Sends what is due, many at once, each on its own. */
export function startDeliveries(ctx: Context): Deliveries {
  const inFlight = new Set<DeliveryRow>();
  const running = new Set<Promise<void>>();
  const state = { isWanted: false, isClaiming: false, isStopped: false };

  /** One claim at a time; what becomes due meanwhile is found by the next. */
  async function wake(): Promise<void> {
    state.isWanted = true;
    if (state.isClaiming) return;
    state.isClaiming = true;
    try {
      while (state.isWanted && !state.isStopped && inFlight.size < MAX_IN_FLIGHT) {
        state.isWanted = false;
        await claim();
      }
    } finally {
      state.isClaiming = false;
    }
  }

  async function claim(): Promise<void> {
    const nowMs = ctx.clock.nowMs();
    const claimed = await claimDue(ctx.db, {
      nowMs,
      leaseUntilMs: nowMs + LEASE_MS,
      limit: MAX_IN_FLIGHT - inFlight.size,
      perEndpoint: MAX_PER_ENDPOINT,
      busy: busyEndpoints(inFlight),
    });
    for (const delivery of claimed) {
      inFlight.add(delivery);
      const run = send(delivery).finally(() => running.delete(run));
      running.add(run);
    }
  }

  /** What waited behind this delivery, or for its place, may be due when it ends. */
  async function send(delivery: DeliveryRow): Promise<void> {
    try {
      await attempt(ctx, delivery);
    } catch (error) {
      ctx.log.error({ message_id: delivery.message_id, error: String(error) }, "a delivery could not be recorded");
    }
    inFlight.delete(delivery);
    await wake().catch((error: unknown) => ctx.log.error({ error: String(error) }, "due deliveries could not be read"));
  }

  return {
    wake,
    settle: async () => {
      state.isStopped = true;
      while (running.size > 0) await Promise.all(running);
    },
  };
}

function busyEndpoints(inFlight: ReadonlySet<DeliveryRow>): readonly string[] {
  const byEndpoint = Map.groupBy(inFlight, (delivery) => delivery.endpoint_id);
  return [...byEndpoint]
    .filter(([, deliveries]) => deliveries.length >= MAX_PER_ENDPOINT)
    .map(([endpointId]) => endpointId);
}

async function attempt(ctx: Context, delivery: DeliveryRow): Promise<void> {
  const atMs = ctx.clock.nowMs();
  const startedMs = performance.now();
  const answer = await post(ctx, delivery);
  const isDelivered = answer.status !== null && answer.status >= 200 && answer.status < 300;
  const wait = RETRY_SECONDS[delivery.attempts - 1];
  const { endpoint_id, dataset_id, sequence, attempts } = delivery;
  const row = {
    endpoint_id,
    dataset_id,
    sequence,
    attempt: attempts,
    at_ms: atMs,
    duration_ms: Math.round(performance.now() - startedMs),
    status: answer.status,
    error: isDelivered ? null : attemptError(answer.error),
  };
  if (isDelivered)
    return recordAttempt(ctx.db, row, {
      state: "delivered",
      next_attempt_at_ms: null,
      delivered_at_ms: ctx.clock.nowMs(),
    });
  ctx.log.warn(
    { endpoint_id, dataset_id, sequence, attempt: attempts, status: answer.status },
    "a webhook was not accepted",
  );
  return recordAttempt(
    ctx.db,
    row,
    wait === undefined
      ? { state: "failed", next_attempt_at_ms: null }
      : { next_attempt_at_ms: ctx.clock.nowMs() + wait * 1_000 },
  );
}

async function post(
  ctx: Context,
  delivery: DeliveryRow,
): Promise<{ readonly status: number | null; readonly error: string }> {
  const endpoint = await findEndpoint(ctx.db, delivery.endpoint_id);
  if (endpoint === undefined) return { status: null, error: "the endpoint is gone" };
  const secret = ctx.sealer.open(webhookSecretLabel(endpoint.endpoint_id), endpoint.sealed_secret);
  const signed = signWebhook({ id: delivery.message_id, timestamp: nowSeconds(ctx), body: delivery.body }, secret);
  const answer = await ctx.outbound(endpoint.url, {
    method: "POST",
    headers: { "content-type": "application/json", "user-agent": "Licet/0.1", ...signed },
    body: delivery.body,
  });
  return answer.ok
    ? { status: answer.value.status, error: answer.value.body }
    : { status: null, error: answer.refusal.detail };
}
