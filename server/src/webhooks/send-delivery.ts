import { signWebhook, signWebhookByKey } from "@licet/protocol";
import type { Context } from "../context.ts";
import { nowSeconds } from "../context.ts";
import { webhookSecretLabel } from "../marketplaces/lookup.ts";
import type { ClaimedDelivery } from "./claim-deliveries.ts";

/** What a receiver answered; without a status it did not, and `text` says why. */
export interface ReceiverAnswer {
  readonly status: number | null;
  readonly text: string;
  readonly retryAfter: string | null;
}

const USER_AGENT = "Licet/0.1";

/** Signs a delivery with every secret in force, and by key where the endpoint asks for it, and posts it. */
export async function sendDelivery(
  ctx: Context,
  delivery: ClaimedDelivery,
  oldSecrets: readonly Uint8Array[],
): Promise<ReceiverAnswer> {
  const label = webhookSecretLabel(delivery.endpoint_id);
  const message = { id: delivery.message_id, timestamp: nowSeconds(ctx), body: delivery.body };
  const signed = signWebhook(message, [
    ctx.sealer.open(label, delivery.sealed_secret),
    ...oldSecrets.map((sealed) => ctx.sealer.open(label, sealed)),
  ]);
  const byKey = delivery.key_signed ? [await signWebhookByKey(message, ctx.signingKeys.signerFor("webhook"))] : [];
  const answer = await ctx.outbound.send(delivery.url, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "user-agent": USER_AGENT,
      ...signed,
      "webhook-signature": [signed["webhook-signature"], ...byKey].join(" "),
    },
    body: delivery.body,
  });
  return answer.ok
    ? { status: answer.value.status, text: answer.value.body, retryAfter: answer.value.headers.get("retry-after") }
    : { status: null, text: answer.refusal.detail, retryAfter: null };
}
