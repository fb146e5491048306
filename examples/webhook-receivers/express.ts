import { createWebhookReceiver } from "@licet/sdk";
import express from "express";

const receive = createWebhookReceiver({
  trust: { secrets: (process.env["WEBHOOK_SECRETS"] ?? "").split(","), allowTest: process.env["ALLOW_TEST"] === "1" },
  // Whatever must stop when a creator takes something back stops here, before the answer.
  onEvent: (event) => console.log(JSON.stringify({ change: event.change, dataset_id: event.dataset_id })),
});

const app = express();

// The signature is over the raw bytes: no express.json() before this route.
app.post("/webhooks/consent-updated", express.raw({ type: () => true, limit: "64kb" }), async (request, response) => {
  const headers = new Headers(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
  const body: Buffer = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
  const url = new URL(request.originalUrl, "http://localhost");
  const answer = await receive(new Request(url, { method: "POST", headers, body: new Uint8Array(body) }));
  response.status(answer.status);
  for (const [name, value] of answer.headers) response.setHeader(name, value);
  response.send(Buffer.from(await answer.arrayBuffer()));
});

const server = app.listen(Number(process.env["PORT"] ?? 3000), "127.0.0.1", () => {
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  console.log(JSON.stringify({ ready: true, origin: `http://127.0.0.1:${port}` }));
});
process.on("SIGTERM", () => server.close());
