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
  const matching = routes.filter((route) => path.startsWith(route.path.toLowerCase()));
  return matching.toSorted((left, right) => right.path.length - left.path.length)[0] ?? NOTHING;
}

function stricter(left: RouteMode, right: RouteMode): RouteMode {
  return STRICTNESS.indexOf(left) >= STRICTNESS.indexOf(right) ? left : right;
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

function unescaped(path: string): string {
  return path
    .replace(/%([0-9a-f]{2})/g, (_escape, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
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
