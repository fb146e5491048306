import { type Result, accept, refuse } from "@licet/protocol";

/** What is counted together, for each caller. */
export const BUCKETS = ["anonymous", "reading", "writing", "bulk", "revoking", "tokens"] as const;
export type Bucket = (typeof BUCKETS)[number];

/** So many requests in so many seconds. */
export interface Quota {
  readonly quota: number;
  readonly windowSeconds: number;
}

/** The quota of each bucket; null where nothing is counted. */
export type RateLimitPolicy = Readonly<Record<Bucket, Quota | null>>;

/**
 * High enough for an import, a crawl of a large dataset and a busy platform; low enough that one
 * caller cannot keep a server from the others. Revoking has the most, because it must go through.
 */
export const DEFAULT_RATE_LIMITS: RateLimitPolicy = {
  anonymous: { quota: 6_000, windowSeconds: 60 },
  reading: { quota: 30_000, windowSeconds: 60 },
  writing: { quota: 30_000, windowSeconds: 60 },
  bulk: { quota: 600, windowSeconds: 60 },
  revoking: { quota: 60_000, windowSeconds: 60 },
  tokens: { quota: 30_000, windowSeconds: 60 },
};

const NO_RATE_LIMITS: RateLimitPolicy = {
  anonymous: null,
  reading: null,
  writing: null,
  bulk: null,
  revoking: null,
  tokens: null,
};

const MAX_QUOTA = 1_000_000_000;
const MAX_WINDOW_SECONDS = 86_400;
const ENTRY = /^([a-z]+)=(?:(off)|(\d{1,10})\/(\d{1,5}))$/;

/** `off`, or `<bucket>=<requests>/<seconds>` and `<bucket>=off` separated by commas; a bucket that is not named keeps its default. */
export function parseRateLimits(text: string): Result<RateLimitPolicy> {
  if (text.trim() === "off") return accept(NO_RATE_LIMITS);
  let policy = DEFAULT_RATE_LIMITS;
  const seen = new Set<string>();
  for (const entry of text.split(",").map((part) => part.trim())) {
    const [, name, off, requests = "", seconds = ""] = ENTRY.exec(entry) ?? [];
    const bucket = BUCKETS.find((known) => known === name);
    if (bucket === undefined)
      return refuse(
        "input_invalid",
        `expected off, or entries such as reading=1000/60 or bulk=off for ${BUCKETS.join(", ")}, got ${entry || "an empty one"}`,
      );
    if (seen.has(bucket)) return refuse("input_invalid", `expected each bucket once, got ${bucket} twice`);
    seen.add(bucket);
    const quota = { quota: Number(requests), windowSeconds: Number(seconds) };
    if (off === undefined && !isQuota(quota))
      return refuse(
        "input_invalid",
        `expected 1 to ${MAX_QUOTA} requests in 1 to ${MAX_WINDOW_SECONDS} seconds, got ${entry}`,
      );
    policy = { ...policy, [bucket]: off === undefined ? quota : null };
  }
  return accept(policy);
}

function isQuota({ quota, windowSeconds }: Quota): boolean {
  return quota >= 1 && quota <= MAX_QUOTA && windowSeconds >= 1 && windowSeconds <= MAX_WINDOW_SECONDS;
}
