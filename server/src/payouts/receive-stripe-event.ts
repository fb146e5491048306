import { type Result, accept, refuse } from "@licet/protocol";
import type { Stripe } from "stripe";
import type { Context } from "../context.ts";
import { writeFact } from "../events/write-fact.ts";
import { settle } from "./settle-payout.ts";
import { outcomeOf } from "./stripe-transfer.ts";
import { holdRows, insertStripeEvent } from "./store.ts";

/** Stripe signs the second it sends in; older ones are somebody else's recordings. */
const TOLERANCE_SECONDS = 300;
const TRANSFER_EVENTS: readonly string[] = ["transfer.created", "transfer.updated", "transfer.reversed"];
const BY_STRIPE = "stripe";

export interface StripeWebhook {
  readonly body: string;
  readonly signature: string | undefined;
}

/**
 * Deals with a webhook of Stripe's. What it says of a transfer is what the transfer was when it was
 * sent, so order does not matter: what came back only ever grows. The same event again changes nothing.
 *
 * Refuses `not_found` where Stripe is not set up, `webhook_unsigned`, `webhook_signature_invalid`.
 */
export async function receiveStripeEvent(
  ctx: Context,
  { body, signature }: StripeWebhook,
): Promise<Result<{ readonly isNew: boolean }>> {
  const secret = ctx.config.payments.stripe?.webhookSecret;
  if (secret === undefined) return refuse("not_found", "Stripe's webhooks are not set up here");
  if (signature === undefined) return refuse("webhook_unsigned", "expected the header Stripe-Signature, got none");
  const event = await verify(ctx, { body, signature, secret });
  if (!event.ok) return event;
  const { id, type, data } = event.value;
  return writeFact<{ readonly isNew: boolean }>(ctx, async (fact) => {
    if (!(await insertStripeEvent(fact.trx, id, fact.now))) return accept({ isNew: false });
    const transfer = TRANSFER_EVENTS.includes(type) && isTransfer(data.object) ? data.object : undefined;
    const [row] = await holdRows(fact.trx, [transfer?.transfer_group ?? ""]);
    if (transfer === undefined || row === undefined || row.adapter !== "stripe") return accept({ isNew: true });
    const order = { payoutId: row.payout_id, currency: row.currency, amountMicros: row.amountMicros };
    const outcome = outcomeOf(order, transfer);
    if (outcome.kind !== "paid") {
      ctx.log.error({ payout_id: row.payout_id, event_id: id, outcome }, "a transfer is not what its payout is");
      return accept({ isNew: true });
    }
    const { externalId, returnedMicros } = outcome;
    const paid = await settle(fact, row, { outcome: "paid", externalId, by: BY_STRIPE });
    if (!paid.ok || returnedMicros === 0n) return paid.ok ? accept({ isNew: true }) : paid;
    const [after = row] = await holdRows(fact.trx, [row.payout_id]);
    const reason = "reversed at Stripe";
    const returned = await settle(fact, after, { outcome: "returned", returnedMicros, reason, by: BY_STRIPE });
    return returned.ok ? accept({ isNew: true }) : returned;
  });
}

async function verify(
  ctx: Context,
  { body, signature, secret }: { readonly body: string; readonly signature: string; readonly secret: string },
): Promise<Result<Stripe.Event>> {
  // Stripe's library is large, and most servers never need it.
  const { Stripe } = await import("stripe");
  try {
    return accept(
      await Stripe.webhooks.constructEventAsync(
        body,
        signature,
        secret,
        TOLERANCE_SECONDS,
        undefined,
        ctx.clock.nowMs(),
      ),
    );
  } catch (error) {
    const isSigned = !(error instanceof Stripe.errors.StripeSignatureVerificationError);
    return isSigned
      ? refuse("webhook_invalid", "expected an event of Stripe's API in JSON")
      : refuse("webhook_signature_invalid", "expected Stripe's signature of these bytes, made in the last 5 minutes");
  }
}

function isTransfer(object: object): object is Stripe.Transfer {
  return "object" in object && object.object === "transfer";
}
