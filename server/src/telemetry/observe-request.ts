import type { IncomingMessage, ServerResponse } from "node:http";
import type { Context } from "../context.ts";

const routes = new WeakMap<IncomingMessage, string>();

/** Says which route a request met: its template, such as `/api/v1/creators/{id}`. */
export function noteRouteOf(request: IncomingMessage, template: string): void {
  routes.set(request, template);
}

/** What is written as the route of a request that met none: its path could hold anything. */
const NO_ROUTE = "none";

/**
 * Counts a request when it is answered, and answers it within a span. Who is not a trusted proxy
 * does not get to say which trace it belongs to.
 */
export function observeRequest(
  ctx: Pick<Context, "metrics" | "tracing" | "config">,
  request: IncomingMessage,
  response: ServerResponse,
  answer: () => void,
): void {
  const startedMs = performance.now();
  const { method = "GET" } = request;
  if (!ctx.tracing.isOn) {
    response.once("close", () => count(ctx, { request, response, method, startedMs }));
    return answer();
  }
  const isTrusted = ctx.config.trustedProxies.includes(request.socket.remoteAddress ?? "");
  const said = isTrusted ? request.headers["traceparent"] : undefined;
  const traceparent = typeof said === "string" ? said : undefined;
  ctx.tracing.begin(
    { name: method, kind: "server", attributes: { "http.request.method": method }, traceparent },
    (span) => {
      response.once("close", () => {
        count(ctx, { request, response, method, startedMs });
        const route = routes.get(request);
        if (route !== undefined) {
          span.name(`${method} ${route}`);
          span.note({ "http.route": route });
        }
        span.note({
          "http.response.status_code": response.statusCode,
          "licet.request_id": String(response.getHeader("x-request-id") ?? ""),
        });
        if (response.statusCode >= 500) span.fail(String(response.statusCode));
        span.end();
      });
      answer();
    },
  );
}

interface Observed {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly method: string;
  readonly startedMs: number;
}

function count(ctx: Pick<Context, "metrics">, { request, response, method, startedMs }: Observed): void {
  ctx.metrics.requestEnded({
    method,
    route: routes.get(request) ?? NO_ROUTE,
    status: response.statusCode,
    seconds: (performance.now() - startedMs) / 1_000,
  });
}
