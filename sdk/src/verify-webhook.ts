import {
  MAX_WEBHOOK_BYTES,
  type Result,
  type ReceivedEvent,
  accept,
  verifyWebhook as verifySignedBody,
} from "@licet/protocol";
import { epochSeconds } from "./clock.ts";
import { readBody } from "./send.ts";

/**
 * How a webhook is judged.
 *
 * @example { secrets: [newSecret, oldSecret] }
 */
export interface WebhookTrust {
  /** The shared secrets in force (`whsec_…`): two while one is being replaced. */
  readonly secrets: readonly string[];
  /** Seconds since the epoch. */
  readonly now?: () => number;
}

/**
 * Verifies a received webhook: signatures over the raw body first, then age, then content. It
 * remembers nothing; whoever calls it keeps `event_id` against repetition and compares `sequence`.
 *
 * Refuses `webhook_unsigned`, `webhook_signature_invalid`, `webhook_too_old`, `webhook_invalid`.
 * docs/wire-formats.md, "Webhook".
 *
 * @example
 * const event = verifyWebhook({ headers: request.headers, body: rawBody }, { secrets: [secret] });
 * if (event.ok) console.log(event.value.change, event.value.dataset?.status);
 */
export function verifyWebhook(
  message: { readonly headers: Headers; readonly body: string },
  { secrets, now = epochSeconds }: WebhookTrust,
): Result<ReceivedEvent> {
  return verifySignedBody((name) => message.headers.get(name) ?? undefined, message.body, { secrets, now: now() });
}

/**
 * A verified webhook and the text it came as.
 *
 * @example { event: { change: "revoked", jti: "ctok_…", … }, body: "{…}" }
 */
export interface ReceivedWebhook {
  readonly event: ReceivedEvent;
  readonly body: string;
}

/**
 * Reads a request's body, at most 64 KiB of it, and verifies it as {@link verifyWebhook} does.
 * Also refuses `body_too_large`.
 *
 * @example const received = await receiveWebhook(request, { secrets: [secret] });
 */
export async function receiveWebhook(request: Request, trust: WebhookTrust): Promise<Result<ReceivedWebhook>> {
  const bytes = await readBody(request, MAX_WEBHOOK_BYTES);
  if (!bytes.ok) return bytes;
  const body = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes.value);
  const event = verifyWebhook({ headers: request.headers, body }, trust);
  return event.ok ? accept({ event: event.value, body }) : event;
}
