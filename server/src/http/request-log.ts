import type { MiddlewareHandler } from "hono";
import type { Context } from "../context.ts";
import type { ApiEnv } from "./api-context.ts";
import { peerOf } from "./peer.ts";
import { actorOf } from "./principal.ts";
import { newRequestId } from "./request-id.ts";

/** Names each request, starts what it carries along, and writes one line when it is answered. */
export function logRequest(ctx: Context): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    const requestId = newRequestId();
    const startedMs = performance.now();
    c.set("requestId", requestId);
    c.set("clientAddress", peerOf(c.env.incoming).address);
    c.set("principal", { kind: "anonymous" });
    c.set("log", ctx.log.child({ request_id: requestId }));
    await next();
    c.header("x-request-id", requestId);
    const { method, path } = c.req;
    const caller = actorOf(c.get("principal"));
    ctx.log.info(
      {
        request_id: requestId,
        method,
        path,
        status: c.res.status,
        caller,
        duration_ms: Math.round(performance.now() - startedMs),
      },
      "request",
    );
  };
}
