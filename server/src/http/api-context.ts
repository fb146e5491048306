import type { HttpBindings } from "@hono/node-server";
import type { OpenAPIHono } from "@hono/zod-openapi";
import { REFUSALS, type Refusal, type RefusalCode, isIdentifier, problemOf } from "@licet/protocol";
import type { Context as HonoContext } from "hono";
import type { Logger } from "pino";
import type { Context } from "../context.ts";
import type { RouteName } from "./authorization.ts";
import { challengeOf } from "./challenges.ts";
import type { Principal } from "./principal.ts";

/** What a request carries through the routes. */
export interface ApiEnv {
  Bindings: HttpBindings;
  Variables: {
    requestId: string;
    /** The client's IP address, also when a proxy that we trust stands in between. */
    clientAddress: string;
    principal: Principal;
    log: Logger;
    /** The route's template; undefined where there is none. */
    route: RouteName | undefined;
    /** What the interaction log says the call was about. */
    dataset: DatasetNoted | undefined;
    /** Why the call was refused. */
    refusalCode: RefusalCode | undefined;
  };
}

export interface DatasetNoted {
  readonly datasetId: string;
  readonly version: number | undefined;
}

export type Api = OpenAPIHono<ApiEnv>;
export type ApiContext = HonoContext<ApiEnv>;

/** What PostgreSQL's integer holds. */
const MAX_VERSION = 2_147_483_647;

/** Says for the interaction log which dataset, and which version of it, a call is about; what is no name of one is left out. */
export function noteDataset(c: ApiContext, datasetId: unknown, version: unknown): void {
  if (typeof datasetId !== "string" || !isIdentifier(datasetId)) return;
  const isVersion = typeof version === "number" && Number.isInteger(version) && version >= 1 && version <= MAX_VERSION;
  c.set("dataset", { datasetId, version: isVersion ? version : undefined });
}

/** Answers a refusal as `application/problem+json`. */
export function sendProblem(
  c: ApiContext,
  ctx: Pick<Context, "origin">,
  refusal: Refusal,
  headers: Record<string, string> = {},
): Response {
  const { status } = REFUSALS[refusal.code];
  c.set("refusalCode", refusal.code);
  const body = JSON.stringify({ ...problemOf(refusal, ctx.origin), request_id: c.get("requestId") });
  return new Response(body, {
    status,
    headers: {
      "content-type": "application/problem+json",
      "cache-control": "no-store",
      ...hintsOf(refusal.code, ctx.origin),
      ...headers,
    },
  });
}

const RETRY_AFTER_SECONDS = 5;

/** RFC 9110 sections 10.2.3 and 11.6.1: when to come back, or how to authenticate. */
function hintsOf(code: RefusalCode, origin: string): Record<string, string> {
  if (code === "unavailable") return { "retry-after": String(RETRY_AFTER_SECONDS) };
  const challenge = challengeOf(code, origin);
  return challenge === undefined ? {} : { "www-authenticate": challenge };
}
