import { isAddress, isPublicAddress } from "./public-address.ts";
import { type Result, accept, refuse } from "./refusal.ts";
import { isWebUrl } from "./shape.ts";

/** The lowest port that is not set aside for the services of a system; below it only 443 is called. */
const FIRST_FREE_PORT = 1024;
const HTTPS_PORT = 443;
const MAX_NAME_LENGTH = 253;

const NAME = /^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** Names that resolve to the machine or its neighbours, or not at all (RFC 6761, 6762, 7686, 8375, and ICANN's .internal). */
const LOCAL_NAMES = /\.(localhost|local|internal|intranet|lan|home|corp|home\.arpa|onion|alt)$/;

/** What a URL may be besides a public one. */
export interface UrlAllowance {
  /** Exact `host:port` pairs that may be called although they are private, or without https. */
  readonly allowedHosts?: readonly string[];
}

/**
 * Judges a URL that somebody else chose, without a request: https, a public name or address, port
 * 443 or one from 1024 up, no user name, and a host that is written as every parser reads it (no
 * decimal, octal or hexadecimal IPv4, no percent-encoding, no letters outside ASCII, no trailing
 * dot). Whoever calls it then checks each address that the name resolves to with
 * {@link isPublicAddress}, connects to the address that was checked, and judges every redirect again.
 *
 * Refuses `url_forbidden`.
 *
 * @example checkPublicUrl("https://hooks.marketplace.example/consent") // → { ok: true, value: URL }
 * @example checkPublicUrl("https://2130706433/") // → refused: the host is 127.0.0.1
 */
export function checkPublicUrl(text: string, { allowedHosts = [] }: UrlAllowance = {}): Result<URL> {
  if (!isWebUrl(text))
    return refuse(
      "url_forbidden",
      "expected an absolute URL such as https://platform.example/works/1, without user name, fragment or backslash",
    );
  const url = new URL(text);
  const written = /^https?:\/\/([^/?]*)/.exec(text)?.[1]?.toLowerCase();
  if (written !== url.host && written !== hostAndPort(url))
    return refuse("url_forbidden", `expected the host to be written ${url.host}, got ${written}`);
  if (allowedHosts.includes(hostAndPort(url))) return accept(url);
  if (url.protocol !== "https:")
    return refuse("url_forbidden", `expected https, or a host that the operator allows, got ${url.origin}`);
  const port = Number(url.port || HTTPS_PORT);
  if (port !== HTTPS_PORT && port < FIRST_FREE_PORT)
    return refuse("url_forbidden", `expected port ${HTTPS_PORT}, or one from ${FIRST_FREE_PORT} up, got ${port}`);
  return isPublicHost(url.hostname)
    ? accept(url)
    : refuse("url_forbidden", `expected a host on the open Internet, got ${url.hostname}`);
}

/** `host:port` of a URL, the scheme's own port written out: how an allowance names it. */
export function hostAndPort({ hostname, port, protocol }: URL): string {
  return `${hostname}:${port || (protocol === "https:" ? HTTPS_PORT : 80)}`;
}

function isPublicHost(hostname: string): boolean {
  const address = hostname.replace(/^\[(.*)\]$/, "$1");
  if (isAddress(address)) return isPublicAddress(address);
  return hostname.length <= MAX_NAME_LENGTH && NAME.test(hostname) && !LOCAL_NAMES.test(hostname);
}
