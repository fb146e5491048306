import { serve } from "@hono/node-server";
import { createWebhookReceiver } from "@licet/sdk";
import { Hono } from "hono";

const receive = createWebhookReceiver({
  trust: { secrets: (process.env["WEBHOOK_SECRETS"] ?? "").split(","), allowTest: process.env["ALLOW_TEST"] === "1" },
  // Whatever must stop when a creator takes something back stops here, before the answer.
  onEvent: (event) => console.log(JSON.stringify({ change: event.change, dataset_id: event.dataset_id })),
});

const app = new Hono();
app.post("/webhooks/consent-updated", (c) => receive(c.req.raw));

const server = serve(
  { fetch: app.fetch, hostname: "127.0.0.1", port: Number(process.env["PORT"] ?? 3000) },
  ({ port }) => console.log(JSON.stringify({ ready: true, origin: `http://127.0.0.1:${port}` })),
);
process.on("SIGTERM", () => server.close());
