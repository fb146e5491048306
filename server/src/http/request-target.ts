import type { IncomingMessage } from "node:http";
import { type Result, accept, refuse } from "@licet/protocol";

/** Longer request targets are refused unread. */
const MAX_TARGET_LENGTH = 4_096;
/** More headers than this are refused, however short they are. */
const MAX_HEADERS = 100;

/** Headers of which readers would take the first, the last or both: more than one is a trick or a fault. */
const SINGLE_HEADERS = new Set([
  "host",
  "authorization",
  "content-length",
  "content-type",
  "dpop",
  "idempotency-key",
  "transfer-encoding",
]);

/**
 * The request's path and query in origin form (RFC 9112 section 3.2.1), in the one spelling that
 * it has. A path that proxies, caches and we ourselves might read differently leads nowhere.
 */
export function readTarget(request: IncomingMessage): Result<string> {
  const headers = checkHeaders(request.rawHeaders);
  if (!headers.ok) return headers;
  const target = originForm(request.url ?? "/");
  if (!target.startsWith("/"))
    return refuse("request_malformed", "expected a request target that begins with /, or an absolute URL");
  if (target.length > MAX_TARGET_LENGTH)
    return refuse("input_invalid", `expected a request target of at most ${MAX_TARGET_LENGTH} characters`);
  const path = target.split("?", 1)[0] ?? "/";
  return isOneSpelling(path)
    ? accept(target)
    : refuse(
        "not_found",
        "there is nothing at a path with dot segments, empty segments, backslashes or encoded letters",
      );
}

function checkHeaders(rawHeaders: readonly string[]): Result<true> {
  if (rawHeaders.length > MAX_HEADERS * 2)
    return refuse("headers_too_large", `expected at most ${MAX_HEADERS} headers, got ${rawHeaders.length / 2}`);
  const names = rawHeaders.filter((_text, index) => index % 2 === 0).map((name) => name.toLowerCase());
  const repeated = names.find((name, index) => SINGLE_HEADERS.has(name) && names.indexOf(name) !== index);
  return repeated === undefined ? accept(true) : refuse("request_malformed", `expected one ${repeated}, got several`);
}

/** Absolute form (RFC 9112 section 3.2.2) names an authority; ours is the origin, whatever it says. */
function originForm(target: string): string {
  const rest = /^https?:\/\/[^/?#]*(.*)$/i.exec(target)?.[1];
  if (rest === undefined) return target;
  return rest.startsWith("/") ? rest : `/${rest}`;
}

const ENCODED_LETTER_OR_DIGIT = /%(3[0-9]|[46][1-9a-f]|[57][0-9a])/i;
const DOT_SEGMENT = /(^|\/)(\.|%2e){1,2}(\/|$)/i;

function isOneSpelling(path: string): boolean {
  return (
    !path.includes("//") &&
    !path.includes("\\") &&
    !path.includes("#") &&
    !DOT_SEGMENT.test(path) &&
    !ENCODED_LETTER_OR_DIGIT.test(path)
  );
}
