import { encodeBase64url } from "./base64url.ts";
import { sha256Bytes } from "./digest.ts";
import { type Result, accept, refuse } from "./refusal.ts";
import { MAX_URL_LENGTH, isWebUrl } from "./shape.ts";

/** Escapes of characters that need none: `%7E` is `~` (RFC 3986 section 6.2.2.2). */
const ESCAPE = /%([0-9A-Fa-f]{2})/g;
const UNRESERVED = /[A-Za-z0-9._~-]/;
/** What a path (and, with `?` and `/`, a query) holds as it is; `%` because escapes were looked at before. */
const NOT_IN_PATH = /[^A-Za-z0-9._~!$&'()*+,;=:@/%-]/g;
const NOT_IN_QUERY = /[^A-Za-z0-9._~!$&'()*+,;=:@/?%-]/g;

/** A port that goes without saying, whichever of the two schemes it came with. */
const DEFAULT_PORT = /^(?:80|443)?$/;

/**
 * The one spelling of a work's address. Whoever registers a work and whoever is asked for it hash
 * this, so two spellings of one address must never differ, and two addresses never meet:
 *
 * - `http` and `https` are one, and their own ports are left out, as is the fragment
 * - the host in lower case and ASCII, without the dot of the root
 * - `.` and `..` resolved, also when they are escaped
 * - escapes in capitals, and none for what needs none; one for whatever is not written plainly
 * - an empty query is no query; the order of its members is kept
 *
 * The path is otherwise kept: capitals, `//`, `;` and a final slash tell addresses apart. `%2F` is
 * not a slash. Normalising twice changes nothing.
 *
 * Refuses `content_url_invalid`: no absolute http(s) URL, a user name, backslashes or control
 * characters, more than 2048 characters.
 *
 * @example normaliseContentUrl("HTTP://Works.Example:80/a/%2e%2E/b%7e?#top") // → "https://works.example/b~"
 */
export function normaliseContentUrl(text: string): Result<string> {
  const [written = ""] = text.split("#", 1);
  const address = written.replace(/^[A-Z]+:/i, (scheme) => scheme.toLowerCase());
  if (!isWebUrl(address))
    return refuse(
      "content_url_invalid",
      "expected an absolute http(s) URL of at most 2048 characters without user name, backslash or control character",
    );
  const { hostname, port, pathname, search } = new URL(address);
  const host = hostname.replace(/\.$/, "");
  if (host === "") return refuse("content_url_invalid", "expected a host");
  const authority = DEFAULT_PORT.test(port) ? host : `${host}:${port}`;
  const path = spelled(pathname, NOT_IN_PATH);
  const query = search.length > 1 ? `?${spelled(search.slice(1), NOT_IN_QUERY)}` : "";
  const url = `https://${authority}${path}${query}`;
  return url.length <= MAX_URL_LENGTH
    ? accept(url)
    : refuse("content_url_invalid", `expected at most ${MAX_URL_LENGTH} characters once escaped, got ${url.length}`);
}

function spelled(part: string, foreign: RegExp): string {
  return part
    .replace(ESCAPE, (escape, hex: string) => {
      const character = String.fromCharCode(Number.parseInt(hex, 16));
      return UNRESERVED.test(character) ? character : escape.toUpperCase();
    })
    .replace(foreign, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`);
}

/** Where the content status of a normalised URL is: its hash, so that nobody reads an address who does not know it. */
export function contentStatusPath(normalisedUrl: string): string {
  return `/.well-known/content-status/${encodeBase64url(sha256Bytes(normalisedUrl))}`;
}
