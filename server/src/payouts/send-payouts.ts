import type { Context } from "../context.ts";
import { PAYOUT_ADAPTERS, adapterOf } from "./adapters.ts";
import type { PayoutAdapter, PayoutOrder, PayoutOutcome } from "./payout-adapter.ts";
import { destinationLabel, openDestination } from "./payout-details.ts";
import { settlePayout } from "./settle-payout.ts";
import { type PayoutRow, claimPayouts, deleteStripeEvents, postpone, readPayoutsOfBatch } from "./store.ts";

/** Waits between attempts, in seconds: about ten hours in all, well within the day that Stripe remembers a request. */
const RETRY_SECONDS = [5, 30, 120, 600, 1_800, 3_600, 7_200, 10_800, 10_800] as const;
/** A payout that nobody knows of is looked for this often. */
const LOOK_SECONDS = 3_600;
/** `Retry-After` lengthens a wait by no more than this. */
const MAX_RETRY_AFTER_SECONDS = 3_600;
/** Claims of one adapter in one sweep. */
const MAX_CLAIMS = 500;
const BY_SENDER = "sender";

/** Sends the payouts that are due, one claim after the other, until none is left or `signal` says stop. */
export async function sendDuePayouts(ctx: Context, signal: AbortSignal): Promise<void> {
  for (const name of PAYOUT_ADAPTERS) {
    const adapter = await adapterOf(ctx, name);
    // Without its key a way to pay waits: nothing is lost, and nothing is given up.
    if (!adapter.ok) continue;
    for (let claims = 0; claims < MAX_CLAIMS && !signal.aborted; claims += 1)
      if (!(await sendClaim(ctx, adapter.value))) break;
  }
}

/** Answers false when nothing was due. */
async function sendClaim(ctx: Context, adapter: PayoutAdapter): Promise<boolean> {
  const nowMs = ctx.clock.nowMs();
  const { name, maxAtOnce } = adapter;
  const claim = { adapter: name, nowMs, leaseUntilMs: nowMs + ctx.config.payments.sending.leaseMs, limit: maxAtOnce };
  const rows = await claimPayouts(ctx.db, claim);
  const unsent = (
    await Promise.all(rows.map(async (row) => ((await settleFound(ctx, adapter, row)) ? [] : [row])))
  ).flat();
  if (unsent.length === 0) return rows.length > 0;
  const batchId = unsent[0]?.batch_id ?? "";
  const outcomes = await adapter.send(
    unsent.map((row) => orderOf(ctx, row)),
    async () => (await readPayoutsOfBatch(ctx.db, batchId)).map((row) => orderOf(ctx, row)),
  );
  for (const row of unsent) await record(ctx, row, outcomes.get(row.payout_id) ?? UNTOLD);
  return true;
}

/** Whoever tried before may have got further than is written down. Answers false when the payout is still to be sent. */
async function settleFound(ctx: Context, adapter: PayoutAdapter, row: PayoutRow): Promise<boolean> {
  if (row.attempts <= 1 && row.state !== "unknown") return false;
  const found = await adapter.find(orderOf(ctx, row));
  if (found.kind === "absent" && row.state !== "unknown") return false;
  await record(ctx, row, found.kind === "absent" ? NEVER_SENT : found);
  return true;
}

const NEVER_SENT: PayoutOutcome = { kind: "failed", reason: "it was not sent: there is no transfer of it" };
const UNTOLD: PayoutOutcome = { kind: "unclear", reason: "the adapter said nothing of it" };

function orderOf(ctx: Pick<Context, "sealer">, row: PayoutRow): PayoutOrder {
  const { payout_id, batch_id, creator_id, currency, amountMicros, sealed_destination } = row;
  return {
    payoutId: payout_id,
    batchId: batch_id,
    creatorId: creator_id,
    currency,
    amountMicros,
    destination:
      sealed_destination === null ? undefined : openDestination(ctx, destinationLabel(payout_id), sealed_destination),
  };
}

/** Writes what came of an attempt. */
async function record(ctx: Context, row: PayoutRow, outcome: PayoutOutcome): Promise<void> {
  if (outcome.kind === "unclear") return recordUnclear(ctx, row, outcome);
  const settled = await settlePayout(ctx, row.payout_id, settlementsOf(outcome));
  if (!settled.ok) ctx.log.warn({ payout_id: row.payout_id, refusal: settled.refusal }, "a payout was settled before");
}

function settlementsOf(outcome: Exclude<PayoutOutcome, { readonly kind: "unclear" }>) {
  const by = BY_SENDER;
  switch (outcome.kind) {
    case "sent":
      return [{ outcome: "sent", externalId: outcome.externalId, by }] as const;
    case "failed":
      return [{ outcome: "failed", reason: outcome.reason, by }] as const;
    case "paid":
      return [
        { outcome: "paid", externalId: outcome.externalId, by },
        ...(outcome.returnedMicros > 0n
          ? [{ outcome: "returned", returnedMicros: outcome.returnedMicros, reason: "reversed", by } as const]
          : []),
      ] as const;
  }
}

async function recordUnclear(
  ctx: Context,
  row: PayoutRow,
  { reason, retryAfterSeconds = 0 }: Extract<PayoutOutcome, { readonly kind: "unclear" }>,
): Promise<void> {
  const wait = row.state === "unknown" ? undefined : RETRY_SECONDS[row.attempts - 1];
  const seconds = Math.max(wait ?? LOOK_SECONDS, Math.min(retryAfterSeconds, MAX_RETRY_AFTER_SECONDS));
  await postpone(ctx.db, row, {
    state: wait === undefined ? "unknown" : "created",
    reason,
    next_attempt_at_ms: ctx.clock.nowMs() + seconds * 1_000,
  });
  ctx.log.warn(
    { payout_id: row.payout_id, attempt: row.attempts, is_held: wait === undefined, reason },
    "a payout could not be sent and is tried again",
  );
}

/** Stripe sends a webhook again for three days. */
const STRIPE_EVENT_SECONDS = 30 * 86_400;

export async function forgetStripeEvents(ctx: Context): Promise<void> {
  await deleteStripeEvents(ctx.db, Math.floor(ctx.clock.nowMs() / 1_000) - STRIPE_EVENT_SECONDS);
}
