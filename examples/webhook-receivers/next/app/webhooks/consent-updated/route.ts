import { createWebhookReceiver } from "@licet/sdk";

/** A route handler of Next's App Router: `app/webhooks/consent-updated/route.ts`. */
export const POST = createWebhookReceiver({
  trust: { secrets: (process.env["WEBHOOK_SECRETS"] ?? "").split(","), allowTest: process.env["ALLOW_TEST"] === "1" },
  // Whatever must stop when a creator takes something back stops here, before the answer.
  onEvent: (event) => console.log(JSON.stringify({ change: event.change, dataset_id: event.dataset_id })),
});

/** The answer depends on the request alone; nothing of it may be cached. */
export const dynamic = "force-dynamic";
