import { z } from "@hono/zod-openapi";
import { once } from "node:events";
import { createServer } from "node:http";
import { type Config, ConfigError } from "../config.ts";
import type { Context } from "../context.ts";
import { METRICS_TYPE, type Metrics } from "../telemetry/metrics.ts";
import { type Api, defineRoute } from "./api.ts";

/** What the server counts, for the operator and for whoever was given `metrics:read`. */
export function addMetricsRoute(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/metrics",
      tags: ["system"],
      summary: "What the server counts about itself, for Prometheus",
      responses: {
        200: { description: "The Prometheus text format", content: { "text/plain": { schema: z.string() } } },
      },
    }),
    async (c) => c.text(await ctx.metrics.render(), 200, { "content-type": METRICS_TYPE, "cache-control": "no-store" }),
  );
}

const LOOPBACK = "127.0.0.1";
const MAX_CONNECTIONS = 16;

/** Opens LICET_METRICS_PORT on this machine alone, where no token is asked for; answers how to close it. Throws a ConfigError. */
export async function openMetricsPort(
  { metricsPort }: Pick<Config, "metricsPort">,
  metrics: Metrics,
): Promise<() => Promise<void>> {
  if (metricsPort === undefined) return async () => undefined;
  const server = createServer((request, response) => {
    if (request.method !== "GET" || request.url !== "/metrics")
      return void response.writeHead(404, { "content-type": "text/plain" }).end("expected GET /metrics\n");
    metrics.render().then(
      (text) => response.writeHead(200, { "content-type": METRICS_TYPE, "cache-control": "no-store" }).end(text),
      () => response.writeHead(500).end(),
    );
  });
  server.maxConnections = MAX_CONNECTIONS;
  server.listen(metricsPort, LOOPBACK);
  try {
    await once(server, "listening");
  } catch (error) {
    throw new ConfigError(
      `LICET_METRICS_PORT: cannot listen on ${LOOPBACK}:${metricsPort} (${error instanceof Error ? error.message : String(error)})`,
    );
  }
  return async () => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  };
}
