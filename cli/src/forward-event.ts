import { formatInstant, signWebhook } from "@licet/protocol";
import type { FeedEvent } from "@licet/sdk";
import { reasonOf } from "./command-error.ts";

/** The endpoint that forwarded messages say they are for. */
const ENDPOINT_ID = "whe_listen";
/** As long as the platform waits for an answer. */
const TIMEOUT_MS = 10_000;

export interface Receiver {
  readonly url: string;
  readonly secret: string;
  readonly signal: AbortSignal;
}

/** What the receiver answered; without a status it did not, and `reason` says why. */
export interface Forwarded {
  readonly status?: number;
  readonly reason?: string;
  readonly durationMs: number;
}

/**
 * Posts an event as the platform's webhook would be: the same members and headers. It is sent once.
 * `sequence` is the position in the feed, which rises as sequences do, also over several runs.
 */
export async function forwardEvent({ url, secret, signal }: Receiver, event: FeedEvent): Promise<Forwarded> {
  const timestamp = Math.floor(Date.now() / 1_000);
  const body = JSON.stringify({
    ...JSON.parse(event.body),
    endpoint_id: ENDPOINT_ID,
    sequence: Number(event.position),
    sent_at: formatInstant(timestamp),
  });
  const startedMs = performance.now();
  const took = (): number => Math.round(performance.now() - startedMs);
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "user-agent": "licet-listen",
        ...signWebhook({ id: event.event.event_id, timestamp, body }, secret),
      },
      body,
      redirect: "manual",
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
    });
    await response.body?.cancel();
    return { status: response.status, durationMs: took() };
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    return { reason: `no answer: ${reasonOf(cause)}`, durationMs: took() };
  }
}
