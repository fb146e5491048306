import type { Use } from "@licet/protocol";
import list from "./ai-crawlers.json" with { type: "json" };

/** A crawler as its User-Agent names it, and the one use it is known for. */
export interface KnownCrawler {
  readonly token: string;
  readonly purpose?: Use;
}

const CRAWLERS = list.agents as readonly KnownCrawler[];
const BY_TOKEN = new Map(CRAWLERS.map((crawler) => [crawler.token.toLowerCase(), crawler]));

/** All tokens in one expression, longer ones first; each must stand alone, so that `Devin` is not in `devinci`. */
const TOKENS = new RegExp(
  `(?<![a-z0-9_-])(?:${CRAWLERS.map(({ token }) => token)
    .toSorted((left, right) => right.length - left.length)
    .map((token) => token.toLowerCase().replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))
    .join("|")})(?![a-z0-9_-])`,
  "g",
);

/**
 * The AI crawler that a User-Agent claims to be. The weakest of all signs: whoever wants to be taken
 * for a person leaves it out, and is one as far as anybody can tell.
 */
export function findCrawler(userAgent: string, exempt: readonly string[]): KnownCrawler | undefined {
  for (const [token] of userAgent.toLowerCase().matchAll(TOKENS)) {
    const crawler = BY_TOKEN.get(token);
    if (crawler !== undefined && !exempt.some((name) => name.toLowerCase() === token)) return crawler;
  }
  return undefined;
}
