import { getRequestListener } from "@hono/node-server";
import { type Refusal, REFUSALS, problemOf, refuse } from "@licet/protocol";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import type { Context } from "../context.ts";
import { documentKindOf, isDocumentPath } from "../documents/document-paths.ts";
import { sendDocument } from "../documents/serve-document.ts";
import { noteRouteOf, observeRequest } from "../telemetry/observe-request.ts";
import type { Api } from "./api.ts";
import { olpEndpointOf } from "./oauth/olp-grants.ts";
import { OAUTH_METADATA_PATH, type OauthServer } from "./oauth/provider.ts";
import { newRequestId } from "./request-id.ts";
import { readTarget } from "./request-target.ts";

/** How the public documents are counted, as one route. */
const DOCUMENT_ROUTE = "document";
const HSTS = "max-age=63072000";

/** A token that a client asked for and got. */
export interface IssuedToken {
  readonly clientId: string;
  readonly requestId: string;
  readonly route: "/oauth/token" | "/olp/token";
  /** Milliseconds since the epoch. */
  readonly atMs: number;
  readonly durationMs: number;
}

export interface HandlerParts {
  readonly oauth: OauthServer;
  readonly api: Api;
  readonly onTokenIssued: (issued: IssuedToken) => void;
}

/** The order in which a request finds its answer: a document, then OAuth, then the API. */
export function createNodeHandler(ctx: Context, { oauth, api, onTokenIssued }: HandlerParts): RequestListener {
  const listener = getRequestListener(api.fetch);
  const isSecure = ctx.origin.startsWith("https:");
  return (request, response) => {
    // What the world reads by, before everything else: whoever spells the path of a copy exactly gets it.
    const copy = isReading(request) ? ctx.documents.peek(request.url ?? "/") : undefined;
    if (copy === undefined) return observeRequest(ctx, request, response, () => answer(request, response));
    ctx.metrics.documentServed(documentKindOf(copy.path), "memory");
    const requestId = logAnswer(ctx, request, response, { level: "debug", caller: "anyone" });
    const own = ["x-request-id", requestId];
    return sendDocument(request, response, copy, isSecure ? [...own, "strict-transport-security", HSTS] : own);
  };

  function answer(request: IncomingMessage, response: ServerResponse): void {
    if (isSecure) response.setHeader("strict-transport-security", HSTS);
    const read = readTarget(request);
    if (!read.ok) return sendRefusal(ctx, response, read.refusal, { connection: "close" });
    const target = read.value;
    request.url = target;
    const path = target.split("?", 1)[0] ?? "/";
    const copy = isReading(request) ? ctx.documents.peek(path) : undefined;
    if (copy !== undefined) {
      noteRouteOf(request, DOCUMENT_ROUTE);
      ctx.metrics.documentServed(documentKindOf(path), "memory");
      nameAnswer(ctx, request, response, { level: "debug", caller: "anyone" });
      return sendDocument(request, response, copy);
    }
    if (isDocumentPath(path)) {
      noteRouteOf(request, DOCUMENT_ROUTE);
      nameAnswer(ctx, request, response, { level: "debug", caller: "anyone" });
      return void answerDocument(ctx, request, response, path);
    }
    if (isOauthPath(path)) {
      noteRouteOf(request, path === "/oauth/token" || olpEndpointOf(path) !== undefined ? path : "/oauth");
      nameAnswer(ctx, request, response, { level: "info", caller: "oauth" });
      tellOfToken(ctx, request, response, { oauth, onTokenIssued });
      return answerOauth(ctx, oauth, request, response);
    }
    return void listener(request, response);
  }
}

function tellOfToken(
  ctx: Context,
  request: IncomingMessage,
  response: ServerResponse,
  { oauth, onTokenIssued }: Pick<HandlerParts, "oauth" | "onTokenIssued">,
): void {
  const atMs = ctx.clock.nowMs();
  const startedMs = performance.now();
  const route = request.url?.startsWith("/olp/") === true ? "/olp/token" : "/oauth/token";
  response.on("finish", () => {
    const clientId = oauth.clientOf(request);
    const durationMs = Math.round(performance.now() - startedMs);
    if (clientId !== undefined)
      onTokenIssued({ clientId, requestId: String(response.getHeader("x-request-id")), route, atMs, durationMs });
  });
}

function answerOauth(ctx: Context, oauth: OauthServer, request: IncomingMessage, response: ServerResponse): void {
  const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
  if (olpEndpointOf(path) !== undefined && request.method !== "POST") {
    const { refusal } = refuse("method_not_allowed", `expected POST, got ${request.method}`);
    return sendRefusal(ctx, response, refusal, { allow: "POST" });
  }
  try {
    if (!oauth.handle(request, response))
      sendRefusal(ctx, response, refuse("not_found", `there is nothing at ${path}`).refusal);
  } catch (error) {
    ctx.log.error({ path, error: String(error) }, "the OAuth server could not be asked");
    sendRefusal(ctx, response, refuse("internal", "the server failed; the log has more under this request_id").refusal);
  }
}

function isOauthPath(path: string): boolean {
  return /^\/(oauth|olp)(\/|$)/.test(path) || path === OAUTH_METADATA_PATH;
}

interface AnswerLog {
  readonly level: "debug" | "info";
  readonly caller: string;
}

function nameAnswer(ctx: Context, request: IncomingMessage, response: ServerResponse, log: AnswerLog): void {
  response.setHeader("x-request-id", logAnswer(ctx, request, response, log));
}

/** The API names and logs its own requests; those that never reach it are named and logged here. Answers the name. */
function logAnswer(
  ctx: Context,
  request: IncomingMessage,
  response: ServerResponse,
  { level, caller }: AnswerLog,
): string {
  const requestId = newRequestId();
  if (!ctx.log.isLevelEnabled(level)) return requestId;
  const startedMs = performance.now();
  const { method, url } = request;
  response.on("finish", () => {
    const path = (url ?? "/").split("?", 1)[0];
    const { statusCode: status } = response;
    const duration_ms = Math.round(performance.now() - startedMs);
    ctx.log[level]({ request_id: requestId, method, path, status, caller, duration_ms }, "request");
  });
  return requestId;
}

function isReading(request: IncomingMessage): boolean {
  return request.method === "GET" || request.method === "HEAD";
}

async function answerDocument(
  ctx: Context,
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
): Promise<void> {
  if (request.method === "OPTIONS") {
    response
      .writeHead(204, {
        "access-control-allow-origin": "*",
        "access-control-allow-methods": "GET, HEAD",
        "access-control-allow-headers": "if-none-match",
        "access-control-max-age": "86400",
      })
      .end();
    return;
  }
  if (!isReading(request))
    return sendRefusal(
      ctx,
      response,
      refuse("method_not_allowed", `expected GET or HEAD, got ${request.method}`).refusal,
      { allow: "GET, HEAD, OPTIONS" },
    );
  try {
    const document = await ctx.documents.read(path);
    if (document === undefined)
      return sendRefusal(ctx, response, refuse("not_found", `there is no document at ${path}`).refusal, {
        "access-control-allow-origin": "*",
      });
    ctx.metrics.documentServed(documentKindOf(path), "database");
    sendDocument(request, response, document);
  } catch (error) {
    ctx.log.error({ path, error: String(error) }, "a document could not be read");
    sendRefusal(ctx, response, refuse("unavailable", "the document cannot be read now").refusal, {
      "retry-after": "5",
    });
  }
}

function sendRefusal(
  ctx: Context,
  response: ServerResponse,
  refusal: Refusal,
  headers: Record<string, string> = {},
): void {
  const given = response.getHeader("x-request-id");
  const requestId = typeof given === "string" ? given : newRequestId();
  const { status } = REFUSALS[refusal.code];
  ctx.log.info({ request_id: requestId, status, code: refusal.code }, "a request was refused");
  const body = JSON.stringify({ ...problemOf(refusal, ctx.origin), request_id: requestId });
  response.writeHead(status, {
    "x-request-id": requestId,
    "content-type": "application/problem+json",
    "cache-control": "no-store",
    "content-length": Buffer.byteLength(body),
    ...headers,
  });
  response.end(body);
}
