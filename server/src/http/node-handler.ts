import { getRequestListener } from "@hono/node-server";
import { type Refusal, REFUSALS, problemOf, refuse } from "@licet/protocol";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { ulid } from "ulid";
import type { Context } from "../context.ts";
import { isDocumentPath } from "../documents/document-paths.ts";
import { sendDocument } from "../documents/serve-document.ts";
import type { Api } from "./api.ts";
import type { OauthServer } from "./oauth/provider.ts";

/** Longer request targets are refused unread. */
const MAX_TARGET_LENGTH = 4_096;

/** The order in which a request finds its answer: a document, then OAuth, then the API. */
export function createNodeHandler(ctx: Context, oauth: OauthServer, api: Api): RequestListener {
  const listener = getRequestListener(api.fetch);
  return (request, response) => {
    if (ctx.origin.startsWith("https:"))
      response.setHeader("strict-transport-security", "max-age=63072000; includeSubDomains");
    const target = request.url ?? "/";
    const path = target.split("?", 1)[0] ?? "/";
    if (target.length > MAX_TARGET_LENGTH)
      return sendRefusal(
        ctx,
        response,
        refuse("input_invalid", `expected a request target of at most ${MAX_TARGET_LENGTH} characters`).refusal,
      );
    const copy = isReading(request) ? ctx.documents.peek(path) : undefined;
    if (copy !== undefined) return sendDocument(request, response, copy);
    if (isDocumentPath(path)) return void answerDocument(ctx, request, response, path);
    if (isOauthPath(path)) logOauth(ctx, request, response);
    if (oauth.handle(request, response)) return undefined;
    return void listener(request, response);
  };
}

function isOauthPath(path: string): boolean {
  return path.startsWith("/oauth/") || path === "/.well-known/oauth-authorization-server/oauth";
}

/** The API logs its own requests; those of the OAuth server are logged here. */
function logOauth(ctx: Context, request: IncomingMessage, response: ServerResponse): void {
  const requestId = newRequestId(ctx);
  const startedMs = performance.now();
  const { method, url } = request;
  response.setHeader("x-request-id", requestId);
  response.on("finish", () => {
    const path = (url ?? "/").split("?", 1)[0];
    ctx.log.info(
      {
        request_id: requestId,
        method,
        path,
        status: response.statusCode,
        caller: "oauth",
        duration_ms: Math.round(performance.now() - startedMs),
      },
      "request",
    );
  });
}

function newRequestId(ctx: Context): string {
  return `req_${ulid(ctx.clock.nowMs())}`;
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
  const requestId = newRequestId(ctx);
  const { status } = REFUSALS[refusal.code];
  ctx.log.info({ request_id: requestId, status, code: refusal.code }, "a document was refused");
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
