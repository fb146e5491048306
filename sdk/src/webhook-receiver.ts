import { REFUSALS, type ReceivedEvent, type Refusal } from "@licet/protocol";
import { MAX_REMEMBERED_EVENTS } from "./limits.ts";
import { type WebhookKeyTrust, type WebhookTrust, receiveWebhook } from "./verify-webhook.ts";

/**
 * Which events have been dealt with. The platform delivers at least once, so every event can come
 * again; a database behind this survives a restart, {@link rememberInMemory} does not.
 *
 * @example { has: (id) => events.exists(id), add: (id) => events.insert(id) }
 */
export interface HandledEvents {
  readonly has: (eventId: string) => boolean | Promise<boolean>;
  readonly add: (eventId: string) => void | Promise<void>;
}

/**
 * What a receiver needs: whom to trust, and what to do with an event.
 *
 * @example { trust: { secrets: [secret] }, onEvent: async (event) => stopTraining(event.dataset_id) }
 */
export interface WebhookReceiverOptions {
  readonly trust: WebhookTrust | WebhookKeyTrust;
  /** Called once for each event, after its signature holds. When it throws, the platform delivers again. */
  readonly onEvent: (event: ReceivedEvent, body: string) => void | Promise<void>;
  /** Default: {@link rememberInMemory}. */
  readonly handled?: HandledEvents;
  /** Told why a message was not taken, for a log. */
  readonly onRefusal?: (refusal: Refusal) => void;
}

/**
 * Makes the endpoint that receives the platform's webhooks, for every framework that speaks `Request`
 * and `Response`. It answers 200 once `onEvent` is done, and at once for an event that was dealt with
 * before; 401 to what is not signed by the platform; 405, 413, 422 to what is no webhook; 500 when
 * `onEvent` or `handled` throws, so that the platform delivers again. The answers are problem+json and
 * say nothing that a stranger could use.
 *
 * docs/wire-formats.md, "Webhook".
 *
 * @example
 * const receive = createWebhookReceiver({ trust: { secrets: [secret] }, onEvent });
 * app.post("/webhooks/consent-updated", (c) => receive(c.req.raw)); // Hono
 * export const POST = receive; // a route of Next
 */
export function createWebhookReceiver(options: WebhookReceiverOptions): (request: Request) => Promise<Response> {
  const { trust, onEvent, handled = rememberInMemory(), onRefusal } = options;
  const underWay = new Map<string, Promise<void>>();

  async function handle(event: ReceivedEvent, body: string): Promise<"received" | "repeated"> {
    if (await handled.has(event.event_id)) return "repeated";
    await onEvent(event, body);
    await handled.add(event.event_id);
    return "received";
  }

  /** The same event twice at the same moment: the second waits, and finds it handled. */
  async function handleInTurn(event: ReceivedEvent, body: string): Promise<"received" | "repeated"> {
    const id = event.event_id;
    for (let other = underWay.get(id); other !== undefined; other = underWay.get(id)) await other;
    const handling = handle(event, body);
    const settled = (): void => undefined;
    underWay.set(id, handling.then(settled, settled));
    try {
      return await handling;
    } finally {
      underWay.delete(id);
    }
  }

  return async (request) => {
    if (request.method !== "POST") return new Response(null, { status: 405, headers: { allow: "POST" } });
    const received = await receiveWebhook(request, trust);
    if (!received.ok) {
      onRefusal?.(received.refusal);
      return problem(received.refusal);
    }
    const { event, body } = received.value;
    try {
      return Response.json({ status: await handleInTurn(event, body) });
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      onRefusal?.({ code: "internal", detail });
      return problem({ code: "internal", detail: "the event was verified and could not be dealt with" });
    }
  };
}

/**
 * Remembers the newest {@link MAX_REMEMBERED_EVENTS} events for as long as the process lives.
 *
 * @example createWebhookReceiver({ trust, onEvent, handled: rememberInMemory() })
 */
export function rememberInMemory(): HandledEvents {
  const ids = new Set<string>();
  return {
    has: (eventId) => ids.has(eventId),
    add: (eventId) => {
      ids.add(eventId);
      const [oldest] = ids;
      if (ids.size > MAX_REMEMBERED_EVENTS && oldest !== undefined) ids.delete(oldest);
    },
  };
}

function problem({ code, detail }: Refusal): Response {
  const { status, title } = REFUSALS[code];
  return new Response(JSON.stringify({ title, status, code, detail }), {
    status,
    headers: { "content-type": "application/problem+json", "cache-control": "no-store" },
  });
}
