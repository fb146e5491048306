import { type Result, accept, refuse } from "@licet/protocol";

/** The head of a request as a connection carried it: names and values of headers in turn. */
export interface WireHead {
  readonly method: string;
  readonly target: string;
  readonly httpVersion: string;
  readonly rawHeaders: readonly string[];
}

/** The length of a request's body, as it is told to the site: never by what the sender wrote, but by what was read. */
export type Framing =
  | { readonly kind: "none" }
  | { readonly kind: "chunked" }
  | { readonly kind: "length"; readonly bytes: number };

/** Printable ASCII; a fragment and a backslash are read in two ways by those who read them at all. */
const TARGET = /^\/[\x21-\x7e]*$/;
const NOT_IN_TARGET = /[#\\]/;
const HOST = /^(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i;

export function headerValues(rawHeaders: readonly string[], name: string): readonly string[] {
  return rawHeaders.filter((_value, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === name);
}

/**
 * The URL that was asked for, as the world writes it: at the one site, whatever Host says, or at the
 * one of several that Host names. What is judged is what is handed on, so its path and query, dot
 * segments undone, are what the site is asked for. Refuses `request_malformed`.
 */
export function readTarget({ method, target, rawHeaders }: WireHead, sites: readonly string[]): Result<URL> {
  const hosts = headerValues(rawHeaders, "host");
  const [host = ""] = hosts;
  if (hosts.length !== 1) return malformed(`expected one Host header, got ${hosts.length}`);
  if (!HOST.test(host)) return malformed("expected a host and perhaps a port in Host");
  const site = siteOf(host, sites);
  if (site === undefined) return malformed("expected one of the sites behind this edge in Host");
  const path = target === "*" && method === "OPTIONS" ? "/" : target;
  if (!TARGET.test(path) || NOT_IN_TARGET.test(path))
    return malformed("expected a target of printable ASCII that begins with a slash, without # and backslash");
  return accept(new URL(`${site}${path}`));
}

function malformed(detail: string) {
  return refuse("request_malformed", detail);
}

function siteOf(host: string, sites: readonly string[]): string | undefined {
  if (sites.length === 1) return sites[0];
  const asked = plainHost(host);
  return sites.find((site) => plainHost(new URL(site).host) === asked);
}

/** A host without the dot of the root and the ports that go without saying. */
function plainHost(host: string): string {
  return host
    .toLowerCase()
    .replace(/:(?:80|443)$/, "")
    .replace(/\.(?=:|$)/, "");
}

/** How the body is framed. Refuses `request_malformed` where two readers could disagree about where it ends. */
export function readFraming({ httpVersion, rawHeaders }: WireHead): Result<Framing> {
  const codings = headerValues(rawHeaders, "transfer-encoding");
  const lengths = headerValues(rawHeaders, "content-length");
  const [length = ""] = lengths;
  if (codings.length === 0 && lengths.length === 0) return accept({ kind: "none" });
  if (codings.length === 1 && lengths.length === 0 && httpVersion === "1.1")
    return codings[0]?.toLowerCase() === "chunked"
      ? accept({ kind: "chunked" })
      : malformed("expected no transfer coding but chunked");
  const bytes = Number(length);
  return codings.length === 0 && lengths.length === 1 && /^\d{1,16}$/.test(length) && Number.isSafeInteger(bytes)
    ? accept({ kind: "length", bytes })
    : malformed("expected one Content-Length, or Transfer-Encoding: chunked in HTTP/1.1");
}

export function hasBody(framing: Framing): boolean {
  return framing.kind === "chunked" || (framing.kind === "length" && framing.bytes > 0);
}
