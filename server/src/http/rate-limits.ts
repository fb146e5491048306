import type { MiddlewareHandler } from "hono";
import { CompiledQuery } from "kysely";
import { RateLimiterMemory, RateLimiterPostgres, RateLimiterRes } from "rate-limiter-flexible";
import type { Context } from "../context.ts";
import { type ApiContext, type ApiEnv, sendProblem } from "./api-context.ts";
import type { RouteName } from "./authorization.ts";
import { addressKey } from "./address-key.ts";
import { callerKey } from "./principal.ts";
import { BUCKETS, type Bucket, type Quota } from "./rate-limit-policy.ts";

/** How a bucket stands after a request was taken from it. */
export interface Taken {
  readonly bucket: Bucket;
  readonly quota: Quota;
  readonly isAllowed: boolean;
  readonly remaining: number;
  /** Until the bucket is full again. */
  readonly resetSeconds: number;
}

export interface RateLimits {
  /** Takes one request out of a caller's bucket; undefined when the bucket has no limit. */
  readonly take: (bucket: Bucket, key: string) => Promise<Taken | undefined>;
  /**
   * How a bucket stands of a caller who went on for as long as a whole quota after it was empty, and
   * is not worth looking at; undefined for everybody else. Each server counts that for itself.
   */
  readonly isFarOver: (bucket: Bucket, key: string) => Promise<Taken | undefined>;
  /** Forgets the buckets that are full again. */
  readonly sweep: () => Promise<void>;
}

/** A store that does not answer this soon is not waited for. */
const STORE_PATIENCE_MS = 500;
/** A broken store is told of this often at most. */
const WARNING_PAUSE_MS = 10_000;
const TABLE = "rate_limit";

/**
 * One server counts in memory; several count in the database they share. A store that fails or
 * hangs never refuses anybody: each server then counts for itself until it is back.
 */
export function createRateLimits({
  config,
  db,
  log,
  metrics,
}: Pick<Context, "config" | "db" | "log" | "metrics">): RateLimits {
  const storeClient = config.databaseUrl === undefined ? undefined : createStoreClient({ db, log });
  const limiters = new Map(
    BUCKETS.flatMap((bucket) => {
      const quota = config.rateLimits[bucket];
      if (quota === null) return [];
      const refusals = new RateLimiterMemory({ points: quota.quota, duration: quota.windowSeconds });
      return [[bucket, { quota, limiter: createLimiter(bucket, quota, storeClient), refusals }]];
    }),
  );
  return {
    take: async (bucket, key) => {
      const found = limiters.get(bucket);
      if (found === undefined) return undefined;
      const { quota, limiter, refusals } = found;
      const { isAllowed, state } = await limiter.consume(key).then(
        (after) => ({ isAllowed: true, state: after }),
        (error: unknown) => {
          if (error instanceof RateLimiterRes) return { isAllowed: false, state: error };
          throw error;
        },
      );
      if (!isAllowed) {
        metrics.rateLimited(bucket);
        await refusals.penalty(key);
      }
      const remaining = isAllowed ? state.remainingPoints : 0;
      return { bucket, quota, isAllowed, remaining, resetSeconds: resetSecondsOf(state) };
    },
    isFarOver: async (bucket, key) => {
      const found = limiters.get(bucket);
      const state = await found?.refusals.get(key);
      if (found === undefined || !state || state.consumedPoints < found.quota.quota) return undefined;
      metrics.rateLimited(bucket);
      return { bucket, quota: found.quota, isAllowed: false, remaining: 0, resetSeconds: resetSecondsOf(state) };
    },
    // The limiter counts by the wall clock, whatever time it is in the context.
    sweep: async () => {
      if (storeClient !== undefined) await db.deleteFrom(TABLE).where("expire", "<", Date.now()).execute();
    },
  };
}

function resetSecondsOf({ msBeforeNext }: RateLimiterRes): number {
  return Math.max(1, Math.ceil(msBeforeNext / 1_000));
}

/** As much of a PostgreSQL client as the limiter asks for. */
interface StoreClient {
  readonly query: (query: {
    readonly text: string;
    readonly values: readonly unknown[];
  }) => Promise<{ readonly rows: readonly unknown[]; readonly rowCount: number }>;
}

function createLimiter(
  bucket: Bucket,
  { quota, windowSeconds }: Quota,
  storeClient: StoreClient | undefined,
): RateLimiterMemory | RateLimiterPostgres {
  const inMemory = new RateLimiterMemory({ keyPrefix: bucket, points: quota, duration: windowSeconds });
  if (storeClient === undefined) return inMemory;
  return new RateLimiterPostgres({
    storeClient,
    storeType: "client",
    tableName: TABLE,
    tableCreated: true,
    clearExpiredByTimeout: false,
    keyPrefix: bucket,
    points: quota,
    duration: windowSeconds,
    // A caller whose bucket is empty costs no further query.
    inMemoryBlockOnConsumed: quota,
    insuranceLimiter: inMemory,
  });
}

function createStoreClient({ db, log }: Pick<Context, "db" | "log">): StoreClient {
  let warnedAtMs = Number.NEGATIVE_INFINITY;
  return {
    query: async ({ text, values }) => {
      const answer = db.executeQuery<unknown>(CompiledQuery.raw(text, [...values]));
      try {
        const { rows } = await withPatience(answer);
        return { rows, rowCount: rows.length };
      } catch (error) {
        if (performance.now() - warnedAtMs > WARNING_PAUSE_MS) {
          warnedAtMs = performance.now();
          log.warn({ error: String(error) }, "the store of the rate limits fails; this server counts for itself");
        }
        throw error;
      }
    },
  };
}

async function withPatience<T>(answer: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new Error(`expected an answer within ${STORE_PATIENCE_MS} ms`)),
    STORE_PATIENCE_MS,
  );
  try {
    return await Promise.race([answer, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Routes that take something away: nothing else that a caller does may keep them waiting. Offers of money are nothing of the kind. */
const REVOKING =
  /^POST (?!.*\/offers\/).*\/(revoke|revocations|withdraw|suspend|compromise|retire|end|disable|erase|erasure|consent-updated)$/;
/** What another platform tells us it took back is signed, not authenticated by a token. */
const SIGNED: readonly RouteName[] = ["POST /webhooks/consent-updated"];
/** The way to a creator's session is the way to revoking. */
const TOKENS: readonly RouteName[] = ["POST /api/v1/creators/{id}/sessions"];
const BULK: readonly RouteName[] = ["POST /api/v1/content/bulk"];
/** Asked by whoever watches over the server, often from behind one address. */
const UNLIMITED: readonly RouteName[] = ["GET /healthz", "GET /readyz"];

/** The bucket that a call is taken from; undefined where nothing is counted. */
export function bucketOf(route: RouteName | undefined, isAnonymous: boolean): Bucket | undefined {
  if (route !== undefined && UNLIMITED.includes(route)) return undefined;
  if (isAnonymous) return "anonymous";
  if (route === undefined || route.startsWith("GET ")) return "reading";
  if (REVOKING.test(route)) return "revoking";
  if (TOKENS.includes(route)) return "tokens";
  return BULK.includes(route) ? "bulk" : "writing";
}

/** Counts a request for its caller: by who it is, or by address when nobody says who. */
export function limitRate(ctx: Context, route: RouteName | undefined): MiddlewareHandler<ApiEnv> {
  if (route !== undefined && SIGNED.includes(route)) return limitSigned(ctx, route);
  return async (c, next) => {
    const taken = await takeRequest(ctx, c, route);
    if (taken === undefined) return next();
    if (!taken.isAllowed) return sendTooMany(ctx, c, taken);
    await next();
    for (const [name, value] of Object.entries(headersOf(taken))) c.header(name, value);
    return undefined;
  };
}

/**
 * Counts a signed request once it is known who signed it: for them, and otherwise, when nobody did,
 * for its address. So what strangers send from behind the same address keeps no refusal waiting,
 * unless they send so much that looking at it would be what keeps the others waiting.
 */
function limitSigned(ctx: Context, route: RouteName): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    const farOver = await ctx.rateLimits.isFarOver("anonymous", addressKey(c.get("clientAddress")));
    if (farOver !== undefined) return sendTooMany(ctx, c, farOver);
    await next();
    const taken = await takeRequest(ctx, c, route);
    if (taken === undefined) return undefined;
    // What was verified has happened, so its answer stays.
    if (!taken.isAllowed && c.get("principal").kind === "anonymous") c.res = sendTooMany(ctx, c, taken);
    else for (const [name, value] of Object.entries(headersOf(taken))) c.header(name, value);
    return undefined;
  };
}

/** Counts a request that reaches no route; undefined when it may have its own refusal. */
export async function refuseTooMany(ctx: Context, c: ApiContext): Promise<Response | undefined> {
  const taken = await takeRequest(ctx, c, undefined);
  return taken === undefined || taken.isAllowed ? undefined : sendTooMany(ctx, c, taken);
}

async function takeRequest(ctx: Context, c: ApiContext, route: RouteName | undefined): Promise<Taken | undefined> {
  const principal = c.get("principal");
  const isAnonymous = principal.kind === "anonymous";
  const bucket = bucketOf(route, isAnonymous);
  if (bucket === undefined) return undefined;
  return ctx.rateLimits.take(bucket, isAnonymous ? addressKey(c.get("clientAddress")) : callerKey(principal));
}

function sendTooMany(ctx: Context, c: ApiContext, taken: Taken): Response {
  return sendProblem(c, ctx, refusalOf(taken), headersOf(taken));
}

/** draft-ietf-httpapi-ratelimit-headers-10, sections 3 and 4: structured fields, one policy. */
export function headersOf({ bucket, quota, isAllowed, remaining, resetSeconds }: Taken): Record<string, string> {
  return {
    ...(isAllowed ? {} : { "retry-after": String(resetSeconds) }),
    "ratelimit-policy": `"${bucket}";q=${quota.quota};w=${quota.windowSeconds}`,
    ratelimit: `"${bucket}";r=${remaining};t=${resetSeconds}`,
  };
}

export function refusalOf({ bucket, quota, resetSeconds }: Taken) {
  return {
    code: "rate_limited",
    detail: `expected at most ${quota.quota} requests in ${quota.windowSeconds} seconds (${bucket}); try again in ${resetSeconds} seconds`,
  } as const;
}
