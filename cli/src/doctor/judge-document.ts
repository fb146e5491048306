import { CLOCK_SKEW_SECONDS, TTL_SECONDS, TRUST_SECONDS } from "@licet/protocol";
import { type FetchedDocument, ageOf, cachesOf } from "./fetch-document.ts";
import { type Problem, warning, wrong } from "./finding.ts";

/** `clocked`: signed again and again. `lasting`: its bytes never change. `plain`: it changes, and has no clocks. */
export type DocumentLife = "clocked" | "lasting" | "plain";

/** A document that never changes and is kept for less is asked for more often than it need be. */
const MIN_LASTING_SECONDS = 86_400;
/** Signing again, and copying, take a moment. */
const GRACE_SECONDS = 30;

/** What readers and the caches in between need of every public document. */
export function judgeAnswer(
  { status, headers }: FetchedDocument,
  { contentType }: { readonly contentType: string },
): readonly Problem[] {
  const type = headers.get("content-type")?.split(";")[0];
  if (status !== 200) return [wrong(`expected 200, got ${status}${redirectOf(headers)}`)];
  return [
    ...(type === contentType ? [] : [wrong(`expected Content-Type ${contentType}, got ${type ?? "none"}`)]),
    ...(headers.get("access-control-allow-origin") === "*"
      ? []
      : [wrong("expected Access-Control-Allow-Origin: *, without which browsers may not read it")]),
  ];
}

function redirectOf(headers: Headers): string {
  const location = headers.get("location");
  return location === null ? "" : `, a redirect to ${location}: answer at this address`;
}

/** How long caches may keep it, and how long they did. */
export function judgeCaching(fetched: FetchedDocument, life: DocumentLife): readonly Problem[] {
  const said = fetched.headers.get("cache-control") ?? "";
  const maxAge = secondsIn(said, "max-age");
  const shared = secondsIn(said, "s-maxage") ?? maxAge;
  if (maxAge === undefined || shared === undefined)
    return [wrong(`expected Cache-Control with max-age, got ${said === "" ? "none" : said}`)];
  if (life === "lasting")
    return maxAge >= MIN_LASTING_SECONDS
      ? []
      : [warning(`it never changes, yet Cache-Control allows ${maxAge} s only: say max-age=31536000, immutable`)];
  const ttl = ttlOf(fetched);
  const longest = Math.max(maxAge, shared);
  const age = ageOf(fetched);
  return [
    ...(longest > ttl
      ? [wrong(`Cache-Control allows ${longest} s instead of ${ttl} s: have the CDN keep to the origin's headers`)]
      : []),
    ...(age > ttl
      ? [wrong(`a cache has kept it for ${age} s, longer than its ${ttl} s: lower that cache's TTL for this path`)]
      : []),
  ];
}

function ttlOf({ members }: FetchedDocument): number {
  const ttl = members["ttl_seconds"] ?? members["ttl"];
  return typeof ttl === "number" ? ttl : TTL_SECONDS;
}

function secondsIn(cacheControl: string, directive: string): number | undefined {
  const found = new RegExp(`(?:^|[\\s,])${directive}=(\\d+)`, "i").exec(cacheControl)?.[1];
  return found === undefined ? undefined : Number(found);
}

/** Whether it may still be trusted, and whether somebody signs it again in time. */
export function judgeFreshness(fetched: FetchedDocument): readonly Problem[] {
  const { checkedAt, expiresAt, fetchedMs } = fetched;
  if (checkedAt === undefined || expiresAt === undefined)
    return [wrong("expected checked_at and expires_at, got a document without them")];
  const now = fetchedMs / 1_000;
  const oldest = TRUST_SECONDS / 2 + ttlOf(fetched) + GRACE_SECONDS;
  if (now >= Math.min(expiresAt, checkedAt + TRUST_SECONDS))
    return [wrong(`it ended ${seconds(now - expiresAt)} ago, so readers refuse it: ${staleAdvice(fetched)}`)];
  if (checkedAt > now + CLOCK_SKEW_SECONDS)
    return [wrong(`checked_at is ${seconds(checkedAt - now)} in the future: set the server's clock`)];
  return now - checkedAt > oldest
    ? [warning(`it was checked ${seconds(now - checkedAt)} ago, at most ${oldest} s were due: ${staleAdvice(fetched)}`)]
    : [];
}

function staleAdvice(fetched: FetchedDocument): string {
  const caches = cachesOf(fetched);
  return `purge it from the CDN (tag licet)${caches === "" ? "" : ` (${caches})`}, or see whether its copies are still written`;
}

/** What two readers one after the other, or a reader and the server itself, were told. */
export function judgeOrder(
  first: FetchedDocument,
  second: FetchedDocument,
  inside: FetchedDocument | undefined,
): readonly Problem[] {
  if (first.seq === undefined || second.seq === undefined) return [wrong("expected seq, got a document without it")];
  if (second.seq < first.seq)
    return [
      wrong(
        `seq went back from ${first.seq} to ${second.seq} between two readings: several caches or folders of copies disagree; purge them`,
      ),
    ];
  if (inside?.seq === undefined || inside.checkedAt === undefined || second.seq >= inside.seq) return [];
  const behind = second.fetchedMs / 1_000 - inside.checkedAt;
  return behind > ttlOf(second) + GRACE_SECONDS
    ? [
        wrong(
          `readers get seq ${second.seq}, while the server has had ${inside.seq} for ${seconds(behind)}: purge it from the CDN, and lower its TTL to ${ttlOf(second)} s`,
        ),
      ]
    : [];
}

function seconds(count: number): string {
  return `${Math.round(count)} s`;
}
