import type { Route, RouteMode } from "./config.ts";

const STRICTNESS: readonly RouteMode[] = ["off", "observe", "enforce"];
/** Escapes of escapes are undone this often; whoever nests deeper is looking for a gap. */
const MAX_UNESCAPES = 4;

/**
 * What holds for a URL. The site behind the edge may read a path in another way than we do: ignore
 * case, undo an escape twice, take two slashes for one or a backslash for a slash. So a path counts
 * under each of its readings, and the strictest rule of them holds.
 */
export function routeOf(url: string, routes: readonly Route[]): Route {
  const { pathname } = new URL(url);
  const readings = readingsOf(pathname);
  if (isRights(pathname) && readings.every(isRights)) return NOTHING;
  const found = readings.map((path) => longestMatch(path, routes));
  return found.reduce((strictest, route) => ({
    path: strictest.path,
    mode: stricter(strictest.mode, route.mode),
    isForMachines: strictest.isForMachines || route.isForMachines,
  }));
}

/**
 * Where a site says what may be done with it, to everybody: a crawler that is refused its robots.txt
 * may take everything for allowed (RFC 9309 section 2.3.1.3), and one that is to get a license must
 * find out where.
 */
const RIGHTS = /^\/(?:robots\.txt|ai\.txt|license\.xml|\.well-known\/tdmrep\.json|(?:rights|rsl)\/.+)$/;

function isRights(path: string): boolean {
  return RIGHTS.test(path);
}

const NOTHING: Route = { path: "", mode: "off", isForMachines: false };

function longestMatch(path: string, routes: readonly Route[]): Route {
  const matching = routes.filter((route) => path.startsWith(route.path));
  return matching.toSorted((left, right) => right.path.length - left.path.length)[0] ?? NOTHING;
}

function stricter(left: RouteMode, right: RouteMode): RouteMode {
  return STRICTNESS.indexOf(left) >= STRICTNESS.indexOf(right) ? left : right;
}

/**
 * A route's path as paths are compared: its escapes undone, in lower case. Undefined where a request
 * could not come to it under this name: dot segments, two slashes, a backslash, a query, a fragment,
 * an escape of an escape, or bytes that are no UTF-8.
 */
export function routePathOf(text: string): string | undefined {
  if (/[\\?#]/.test(text) || !URL.canParse(`https://site.example${text}`)) return undefined;
  const { pathname } = new URL(`https://site.example${text}`);
  const path = unescaped(pathname);
  const isPlain = path === resolved(path) && path === unescaped(text) && !/[%\\\p{Cc}\ufffd]/u.test(path);
  return isPlain ? path : undefined;
}

/** The readings of a path, in lower case: as it is, and with ever more of it undone. */
function readingsOf(pathname: string): readonly [string, ...string[]] {
  let path = pathname.toLowerCase();
  const plain = path;
  const readings = new Set<string>();
  for (let round = 0; round < MAX_UNESCAPES && (round === 0 || path.includes("%")); round += 1) {
    path = unescaped(path);
    readings.add(resolved(path));
    readings.add(resolved(path.replace(/;[^/]*/g, "")));
  }
  return [plain, ...readings];
}

/** Escapes undone as the UTF-8 that they are, in lower case. */
function unescaped(path: string): string {
  const bytesOf = (escapes: string): Uint8Array =>
    Uint8Array.from(escapes.slice(1).split("%"), (hex) => Number.parseInt(hex, 16));
  return path
    .replace(/(?:%[0-9a-f]{2})+/gi, (escapes) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytesOf(escapes)))
    .toLowerCase();
}

/** One slash for several and for backslashes, and no dot segments. */
function resolved(path: string): string {
  const segments: string[] = [];
  const parts = path.replaceAll("\\", "/").split("/");
  for (const part of parts) {
    if (part === "..") segments.pop();
    else if (part !== "" && part !== ".") segments.push(part);
  }
  const isFolder = ["", ".", ".."].includes(parts.at(-1) ?? "");
  return `/${segments.join("/")}${isFolder && segments.length > 0 ? "/" : ""}`;
}
