import { type RouteConfig, createRoute, z } from "@hono/zod-openapi";
import {
  type JsonObject,
  type JsonValue,
  MAX_JSON_DEPTH,
  type Refusal,
  type Result,
  isJsonObject,
  parseJsonObject,
  refuse,
} from "@licet/protocol";
import type { MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { Context } from "../context.ts";
import { type ApiContext, type ApiEnv, noteDataset, sendProblem } from "./api-context.ts";
import { AUTHORIZATION, type RouteName, type Rule, authorize } from "./authorization.ts";
import { keepAnswer } from "./idempotency.ts";
import { limitRate } from "./rate-limits.ts";
import { noteRouteOf } from "../telemetry/observe-request.ts";

export { type Api, type ApiContext, type ApiEnv, noteDataset, sendProblem } from "./api-context.ts";

/** Bodies are at most this long unless a route names its own limit. */
const MAX_BODY_BYTES = 1_048_576;

const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    code: z.string(),
    detail: z.string(),
    request_id: z.string().optional(),
    errors: z.array(z.object({ at: z.string(), code: z.string(), detail: z.string() })).optional(),
  })
  .openapi("Problem");

const PROBLEM_ANSWER = {
  description: "A problem (RFC 9457)",
  content: { "application/problem+json": { schema: problemSchema } },
};

/** A JSON answer in a route's definition. */
export function jsonAnswer<S extends z.ZodType>(description: string, schema: S) {
  return { description, content: { "application/json": { schema } } };
}

/** A required JSON body in a route's definition. */
export function jsonBody<S extends z.ZodType>(schema: S) {
  return { required: true, content: { "application/json": { schema } } };
}

export interface RouteOptions {
  readonly maxBodyBytes?: number;
  /** `json`: one I-JSON object; `raw`: the handler reads the body itself; `json-or-lines`: `raw` where it is NDJSON, else `json`. */
  readonly body?: "json" | "raw" | "json-or-lines";
  /** Of `json-or-lines`, how long lines may be together. */
  readonly maxLinesBytes?: number;
}

/**
 * Completes a route's definition with who may call it (from the authorization table), its body
 * limit, strict JSON and its problem answers. A route that the table does not name does not start.
 */
export function defineRoute<const R extends Omit<RouteConfig, "path"> & { readonly path: string }>(
  ctx: Context,
  route: R,
  options: RouteOptions = {},
) {
  const name = `${route.method.toUpperCase()} ${route.path}`;
  if (!isRouteName(name)) throw new TypeError(`${name} is not in the authorization table`);
  const rule: Rule = AUTHORIZATION[name];
  const { maxBodyBytes = MAX_BODY_BYTES, maxLinesBytes = maxBodyBytes } = options;
  const [limitJson, limitLines] = [limitBody(ctx, maxBodyBytes), limitBody(ctx, maxLinesBytes)];
  const middleware: MiddlewareHandler<ApiEnv>[] = [
    noteRoute(name),
    limitRate(ctx, name),
    requireCaller(ctx, rule),
    options.body === "json-or-lines"
      ? (c, next) => (hasLines(c) ? limitLines(c, next) : limitJson(c, next))
      : limitJson,
  ];
  const json: MiddlewareHandler<ApiEnv>[] = [];
  if (route.request?.body !== undefined && options.body !== "raw") json.push(requireStrictJson(ctx));
  if (route.method !== "get" && options.body !== "raw") json.push(keepAnswer(ctx, name));
  middleware.push(...(options.body === "json-or-lines" ? json.map(unlessLines) : json));
  const responses: R["responses"] = { ...route.responses, default: PROBLEM_ANSWER };
  return createRoute({
    ...route,
    middleware,
    security: rule.anyone === true ? [] : [{ bearer: [] }],
    responses,
  });
}

/** Lines of JSON, one object each. The type is wide because a narrow one would promise an answer of that type. */
export const NDJSON: string = "application/x-ndjson";

/** True when a request brings lines instead of one object. */
export function hasLines(c: ApiContext): boolean {
  return /^application\/x-ndjson\s*(;|$)/i.test(c.req.header("content-type") ?? "");
}

function unlessLines(middleware: MiddlewareHandler<ApiEnv>): MiddlewareHandler<ApiEnv> {
  return async (c, next) => (hasLines(c) ? next() : middleware(c, next));
}

function isRouteName(name: string): name is RouteName {
  return Object.hasOwn(AUTHORIZATION, name);
}

/** What the path tells of a call; an operation that knows more says it with {@link noteDataset}. */
function noteRoute(name: RouteName): MiddlewareHandler<ApiEnv> {
  const isAboutDataset = /^\w+ (\/api\/v1)?\/datasets\/\{id\}/.test(name);
  const template = name.slice(name.indexOf(" ") + 1);
  return async (c, next) => {
    c.set("route", name);
    noteRouteOf(c.env.incoming, template);
    if (isAboutDataset) noteDataset(c, c.req.param("id"), Number(c.req.param("version")));
    return next();
  };
}

/** Unwraps a result for a handler: the value, or a thrown refusal that the app answers as a problem. */
export function unwrap<T>(result: Result<T>): T {
  if (result.ok) return result.value;
  throw new RefusedRequest(result.refusal);
}

export class RefusedRequest extends Error {
  readonly refusal: Refusal;
  constructor(refusal: Refusal) {
    super(`${refusal.code}: ${refusal.detail}`);
    this.refusal = refusal;
  }
}

function requireCaller(ctx: Context, rule: Rule): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    const allowed = authorize(rule, c.get("principal"));
    return allowed.ok ? next() : sendProblem(c, ctx, allowed.refusal);
  };
}

/** The rest of a body that is too long stays unread, so the connection cannot be used again, and the answer says so. */
function limitBody(ctx: Context, maxSize: number): MiddlewareHandler<ApiEnv> {
  return bodyLimit({
    maxSize,
    onError: (c: ApiContext) =>
      sendProblem(
        c,
        ctx,
        { code: "body_too_large", detail: `expected at most ${maxSize} bytes` },
        { connection: "close" },
      ),
  });
}

/** The media types whose bodies Hono's validators read; a body of any other they would take for an empty one. */
const JSON_TYPE = /^application\/([a-z-.]+\+)?json(;\s*[a-z0-9-]+=[^;]+)*$/i;

/** Parses strict I-JSON, and refuses (`body_malformed`) also what no database text can hold: U+0000. */
export function readJsonBody(body: string | Uint8Array): Result<JsonObject> {
  const parsed = parseJsonObject(body);
  if (!parsed.ok)
    return refuse("body_malformed", `${parsed.refusal.detail} (I-JSON, at most ${MAX_JSON_DEPTH} levels)`);
  return holdsNul(parsed.value) ? refuse("body_malformed", "expected text without U+0000") : parsed;
}

function holdsNul(value: JsonValue): boolean {
  if (typeof value === "string") return value.includes("\u0000");
  if (Array.isArray(value)) return value.some(holdsNul);
  return (
    isJsonObject(value) && Object.entries(value).some(([name, member]) => name.includes("\u0000") || holdsNul(member))
  );
}

/** Refuses what JSON.parse lets pass, duplicate members above all. Hono keeps the text for the validators. */
function requireStrictJson(ctx: Context): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    const bytes = new Uint8Array(await c.req.arrayBuffer());
    const contentType = c.req.header("content-type");
    if (bytes.length === 0 && contentType === undefined) return next();
    if (!JSON_TYPE.test(contentType ?? "")) {
      return sendProblem(
        c,
        ctx,
        refuse("media_type_wrong", `expected Content-Type: application/json, got ${contentType ?? "none"}`).refusal,
      );
    }
    const parsed = readJsonBody(bytes);
    if (!parsed.ok) return sendProblem(c, ctx, parsed.refusal);
    return next();
  };
}
