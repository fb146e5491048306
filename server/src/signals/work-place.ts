/** Where a work is, as signals name it. */
export interface WorkPlace {
  /** With the port where it is not the scheme's own. */
  readonly host: string;
  /** The absolute URL as a pattern of RFC 9309 that matches it alone. */
  readonly pattern: string;
}

const HOST = /^[a-z0-9_-]+(\.[a-z0-9_-]+)*(:\d{1,5})?$/;

/** The place of a work's URL; undefined where its host is an IPv6 address, which no path of ours can name. */
export function placeOf(url: string): WorkPlace | undefined {
  const { host, protocol, pathname, search } = new URL(url);
  return HOST.test(host) ? { host, pattern: `${protocol}//${host}${exactPattern(pathname + search)}` } : undefined;
}

/** The path of a pattern, for formats that speak of one host. */
export function pathOf(pattern: string): string {
  return pattern.slice(pattern.indexOf("/", pattern.indexOf("//") + 2));
}

/** The URL that a pattern of ours was made of; any other text stays as it is. */
export function urlOf(pattern: string): string {
  return pattern.replace(/\$$/, "").replaceAll("%24", "$").replaceAll("%2A", "*");
}

/** RFC 9309 section 2.2.3: `$` ends a pattern, `*` is anything; as characters of a path both are encoded. */
function exactPattern(path: string): string {
  return `${path.replaceAll("$", "%24").replaceAll("*", "%2A")}$`;
}
