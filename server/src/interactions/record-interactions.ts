import type { MiddlewareHandler } from "hono";
import type { Context } from "../context.ts";
import type { ApiEnv } from "../http/api.ts";
import type { IssuedToken } from "../http/node-handler.ts";
import { findClient } from "../http/oauth/store.ts";
import type { Principal } from "../http/principal.ts";
import type { InteractionLog } from "./interaction-log.ts";
import type { InteractionRow } from "./store.ts";

/** What is written as the route of a call that met none: the path could hold anything. */
const NO_ROUTE = "none";

/** Writes down every call whose caller is known: who, what, about which dataset, and how it ended. No address is kept. */
export function recordInteractions(ctx: Context, interactions: InteractionLog): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    const atMs = ctx.clock.nowMs();
    const startedMs = performance.now();
    await next();
    const caller = callerOf(c.get("principal"));
    if (caller === undefined) return;
    const [method = "", template] = c.get("route")?.split(" ") ?? [c.req.method];
    const dataset = c.get("dataset");
    interactions.record({
      ...caller,
      at_ms: atMs,
      request_id: c.get("requestId"),
      method,
      route: template ?? NO_ROUTE,
      dataset_id: dataset?.datasetId ?? null,
      dataset_version: dataset?.version ?? null,
      status: c.res.status,
      code: c.get("refusalCode") ?? null,
      duration_ms: Math.round(performance.now() - startedMs),
    });
  };
}

/** Writes down that a client got an access token. A log that cannot be written keeps nobody from anything. */
export async function recordIssuedToken(
  ctx: Context,
  interactions: InteractionLog,
  { clientId, requestId, route, atMs, durationMs }: IssuedToken,
): Promise<void> {
  const client = await findClient(ctx.db, clientId).catch((error: unknown) => {
    ctx.log.warn({ error: String(error) }, "a client that got a token could not be looked up");
    return undefined;
  });
  if (client === undefined) return;
  interactions.record({
    at_ms: atMs,
    request_id: requestId,
    caller_kind: client.kind,
    client_id: clientId,
    marketplace_id: client.marketplace_id,
    creator_id: null,
    upstream_id: null,
    method: "POST",
    route,
    dataset_id: null,
    dataset_version: null,
    status: 200,
    code: null,
    duration_ms: durationMs,
  });
}

type CallerColumns = Pick<
  InteractionRow,
  "caller_kind" | "client_id" | "marketplace_id" | "creator_id" | "upstream_id"
>;

function callerOf(principal: Principal): CallerColumns | undefined {
  const none = { client_id: null, marketplace_id: null, creator_id: null, upstream_id: null };
  switch (principal.kind) {
    case "anonymous":
      return undefined;
    case "operator":
      return { ...none, caller_kind: "operator" };
    case "platform":
      return { ...none, caller_kind: "platform", client_id: principal.clientId };
    case "marketplace":
      return {
        ...none,
        caller_kind: "marketplace",
        client_id: principal.clientId,
        marketplace_id: principal.marketplaceId,
      };
    case "creator":
      return { ...none, caller_kind: "creator", creator_id: principal.creatorId };
    case "upstream":
      return { ...none, caller_kind: "upstream", upstream_id: principal.upstreamId };
  }
}
