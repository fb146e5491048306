import type { IncomingMessage, ServerResponse } from "node:http";
import type { ServedDocument } from "./render-document.ts";

/** Answers a document, or 304 when the reader has these bytes already. Written on the bare response: this is the path the world reads by. */
export function sendDocument(request: IncomingMessage, response: ServerResponse, document: ServedDocument): void {
  const headers: Record<string, string | number> = {
    etag: document.etag,
    "cache-control": document.cacheControl,
    "cache-tag": document.cacheTag,
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "etag",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "cross-origin",
  };
  if (matchesEtag(request.headers["if-none-match"], document.etag)) {
    response.writeHead(304, headers).end();
    return;
  }
  response.writeHead(200, {
    ...headers,
    "content-type": document.contentType,
    "content-length": document.bytes.length,
  });
  response.end(request.method === "HEAD" ? undefined : document.bytes);
}

/** RFC 9110 section 13.1.2: a list of tags, or `*`; weak ones compare equal here. */
function matchesEtag(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false;
  return ifNoneMatch
    .split(",")
    .some((candidate) => candidate.trim() === "*" || candidate.trim().replace(/^W\//, "") === etag);
}
