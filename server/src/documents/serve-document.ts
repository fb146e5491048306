import type { IncomingMessage, ServerResponse } from "node:http";
import type { ServedDocument } from "./render-document.ts";

/** What a document's answers are made of: names and values by turns, as `writeHead` takes them. */
interface Prepared {
  readonly shared: readonly string[];
  readonly ofBody: readonly string[];
  readonly body: string | Uint8Array;
}

/** A short body goes out as text, which Node sends in one piece with the headers; a long one is not held in memory twice. */
export const MAX_TEXT_BYTES = 8_192;
const prepared = new WeakMap<ServedDocument, Prepared>();

/**
 * Answers a document, or 304 when the reader has these bytes already. `own` are the headers of this
 * one answer, names and values by turns. Written on the bare response, all headers at once: this is
 * the path the world reads by.
 */
export function sendDocument(
  request: IncomingMessage,
  response: ServerResponse,
  document: ServedDocument,
  own: readonly string[] = [],
): void {
  const { shared, ofBody, body } = preparedOf(document);
  if (matchesEtag(request.headers["if-none-match"], document.etag)) {
    response.writeHead(304, [...own, ...shared]).end();
    return;
  }
  response.writeHead(200, [...own, ...shared, ...ofBody]);
  if (request.method === "HEAD") response.end();
  else if (typeof body === "string") response.end(body, "latin1");
  else response.end(body);
}

function preparedOf(document: ServedDocument): Prepared {
  const known = prepared.get(document);
  if (known !== undefined) return known;
  const { bytes } = document;
  const made: Prepared = {
    shared: [
      "etag",
      document.etag,
      "cache-control",
      document.cacheControl,
      "cache-tag",
      document.cacheTag,
      "access-control-allow-origin",
      "*",
      "access-control-expose-headers",
      "etag",
      "x-content-type-options",
      "nosniff",
      "cross-origin-resource-policy",
      "cross-origin",
    ],
    ofBody: ["content-type", document.contentType, "content-length", String(bytes.length)],
    // One character for each byte, whatever the bytes are.
    body: bytes.length <= MAX_TEXT_BYTES ? Buffer.from(bytes).toString("latin1") : bytes,
  };
  prepared.set(document, made);
  return made;
}

/** RFC 9110 section 13.1.2: a list of tags, or `*`; weak ones compare equal here. */
function matchesEtag(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false;
  return ifNoneMatch
    .split(",")
    .some((candidate) => candidate.trim() === "*" || candidate.trim().replace(/^W\//, "") === etag);
}
