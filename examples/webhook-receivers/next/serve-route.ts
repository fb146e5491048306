import { serve } from "@hono/node-server";
import { POST } from "./app/webhooks/consent-updated/route.ts";

/** Serves the route as Next calls it, a function from `Request` to `Response`, without installing Next. */
const server = serve({ fetch: POST, hostname: "127.0.0.1", port: Number(process.env["PORT"] ?? 3000) }, ({ port }) =>
  console.log(JSON.stringify({ ready: true, origin: `http://127.0.0.1:${port}` })),
);
process.on("SIGTERM", () => server.close());
