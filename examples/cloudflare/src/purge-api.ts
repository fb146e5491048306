import { isJsonObject, parseJsonObject } from "@licet/protocol";
import { once } from "node:events";
import { type IncomingMessage, type ServerResponse, createServer } from "node:http";

/*
 * Cloudflare's purge API as its documentation says it behaves: developers.cloudflare.com/cache/how-to/purge-cache
 * (limits by plan: token buckets of calls by tag, URLs a second, 100 operations a call), /fundamentals/api/reference/limits
 * (429 with retry-after), /api/resources/cache/methods/purge (bodies and `{success, errors: [{code, message}]}`). Which
 * code an error has is not documented for all of them, and nothing here or in the server depends on it. It is the one
 * stand-in for Cloudflare, in the suite, the demo and the benchmarks.
 */

/** What happens to a call instead of an answer by the rules. `lose` purges all the same. */
export type CloudflareMishap = "lose" | "hang" | "break" | "garbage" | "html-error" | "not-successful" | "server-error";

export interface SimulatedCall {
  readonly tags: readonly string[];
  readonly files: readonly string[];
  readonly atMs: number;
  readonly status: number;
}

export interface CloudflareSimulator {
  /** `host:port`. */
  readonly host: string;
  readonly api: URL;
  readonly token: string;
  readonly zone: string;
  readonly domain: string;
  /** Every call that came, oldest first. */
  readonly calls: () => readonly SimulatedCall[];
  /** Puts something into the zone's cache. */
  readonly fill: (url: string, tags: readonly string[]) => void;
  readonly holds: (url: string) => boolean;
  /** The mishaps of the next calls, one each. */
  readonly suffer: (...mishaps: readonly CloudflareMishap[]) => void;
  /** No mishap is left. */
  readonly recover: () => void;
  /** Takes so many calls by tag out of the account's bucket, as another program of the account does, also more than there are. */
  readonly spend: (calls: number) => void;
  readonly close: () => void;
}

/** What a call is about: tags, or URLs. */
export interface Purge {
  readonly tags: readonly string[];
  readonly files: readonly string[];
}

export interface CloudflareLimits {
  readonly perSecond: number;
  readonly burst: number;
  readonly urlsPerSecond: number;
}

export const CLOUDFLARE_LIMITS = {
  free: { perSecond: 5 / 60, burst: 25, urlsPerSecond: 800 },
  pro: { perSecond: 5, burst: 25, urlsPerSecond: 1_500 },
  business: { perSecond: 10, burst: 50, urlsPerSecond: 1_500 },
  enterprise: { perSecond: 50, burst: 500, urlsPerSecond: 3_000 },
} as const satisfies Record<string, CloudflareLimits>;

const MAX_OPERATIONS = 100;
const ZONE = "0123456789abcdef0123456789abcdef";
const TOKEN = "simulated-cloudflare-token";
const DOMAIN = "works.example";

interface State {
  readonly limits: CloudflareLimits;
  readonly domain: string;
  readonly onPurge: (purge: Purge) => Promise<void>;
  readonly nowMs: () => number;
  readonly cache: Map<string, readonly string[]>;
  readonly calls: SimulatedCall[];
  readonly mishaps: CloudflareMishap[];
  bucket: { left: number; atMs: number };
  urls: { left: number; atMs: number };
}

/**
 * Starts the simulator of a zone. `nowMs` is the clock its buckets fill by; a call is answered once
 * `onPurge` has emptied a cache that is elsewhere.
 */
export async function startCloudflareSimulator({
  plan = "enterprise",
  nowMs = Date.now,
  domain = DOMAIN,
  onPurge = async () => undefined,
}: {
  readonly plan?: keyof typeof CLOUDFLARE_LIMITS;
  readonly nowMs?: () => number;
  /** Whose URLs it purges. */
  readonly domain?: string;
  readonly onPurge?: (purge: Purge) => Promise<void>;
} = {}): Promise<CloudflareSimulator> {
  const limits = CLOUDFLARE_LIMITS[plan];
  const state: State = {
    limits,
    domain,
    onPurge,
    nowMs,
    cache: new Map(),
    calls: [],
    mishaps: [],
    bucket: { left: limits.burst, atMs: nowMs() },
    urls: { left: limits.urlsPerSecond, atMs: nowMs() },
  };
  const server = createServer((request, response) => {
    answer(state, request, response).catch(() => response.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const host = `127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
  return {
    host,
    api: new URL(`http://${host}`),
    token: TOKEN,
    zone: ZONE,
    domain,
    calls: () => [...state.calls],
    fill: (url, tags) => void state.cache.set(url, tags),
    holds: (url) => state.cache.has(url),
    suffer: (...mishaps) => void state.mishaps.push(...mishaps),
    recover: () => void state.mishaps.splice(0),
    spend: (calls) => {
      take(state, "bucket", 0);
      state.bucket.left -= calls;
    },
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

async function answer(state: State, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  if (request.method !== "POST" || request.url !== `/client/v4/zones/${ZONE}/purge_cache`)
    return send(
      response,
      404,
      refusalOf(7003, `Could not route to ${request.url}, perhaps your object identifier is invalid?`),
    );
  if (request.headers.authorization !== `Bearer ${TOKEN}`)
    return send(response, 401, refusalOf(10000, "Authentication error"));
  const purge = readPurge(Buffer.concat(chunks).toString("utf8"));
  const record = (status: number): void =>
    void state.calls.push({ tags: purge?.tags ?? [], files: purge?.files ?? [], atMs: Date.now(), status });
  const mishap = state.mishaps.shift();
  if (mishap !== undefined && purge !== undefined) {
    record(0);
    if (mishap === "lose") await forget(state, purge);
    return suffer(response, mishap);
  }
  const refusal = judge(state, purge);
  record(refusal?.status ?? 200);
  if (refusal !== undefined) return send(response, refusal.status, refusal.body, refusal.headers);
  if (purge !== undefined) await forget(state, purge);
  send(response, 200, { success: true, errors: [], messages: [], result: { id: ZONE } });
}

function suffer(response: ServerResponse, mishap: CloudflareMishap): void {
  if (mishap === "hang") return;
  if (mishap === "lose" || mishap === "break") return void response.destroy();
  if (mishap === "garbage")
    return void response.writeHead(200, { "content-type": "application/json" }).end("{success: yes");
  if (mishap === "html-error")
    return void response
      .writeHead(502, { "content-type": "text/html" })
      .end("<html><title>502 Bad Gateway</title></html>");
  if (mishap === "not-successful") return send(response, 200, refusalOf(1000, "purge was not accepted"));
  send(response, 500, refusalOf(1001, "Internal error"));
}

interface Refused {
  readonly status: number;
  readonly body: object;
  readonly headers?: Record<string, string>;
}

function judge(state: State, purge: Purge | undefined): Refused | undefined {
  if (purge === undefined)
    return {
      status: 400,
      body: refusalOf(1012, 'Request must contain one of "purge_everything", "files", "tags", "hosts" or "prefixes"'),
    };
  const operations = purge.tags.length + purge.files.length;
  if (operations > MAX_OPERATIONS)
    return {
      status: 400,
      body: refusalOf(1094, `Exceeded maximum amount of ${MAX_OPERATIONS} operations per request`),
    };
  const strange = purge.files.find((url) => !isOfZone(state, url));
  if (strange !== undefined)
    return { status: 400, body: refusalOf(1095, `Unable to purge ${strange}, which is not of this zone`) };
  const wait = purge.tags.length > 0 ? take(state, "bucket", 1) : take(state, "urls", purge.files.length);
  return wait === 0
    ? undefined
    : {
        status: 429,
        body: refusalOf(10429, "Rate limit exceeded for purge"),
        headers: { "retry-after": String(wait), ratelimit: `"purge";r=0;t=${wait}` },
      };
}

function isOfZone({ domain }: State, url: string): boolean {
  const host = URL.canParse(url) ? new URL(url).hostname : "";
  return host === domain || host.endsWith(`.${domain}`);
}

/** Takes tokens, or answers in how many seconds there are enough. */
function take({ limits, nowMs, ...state }: State, of: "bucket" | "urls", wanted: number): number {
  const bucket = state[of];
  const [perSecond, burst] =
    of === "bucket" ? [limits.perSecond, limits.burst] : [limits.urlsPerSecond, limits.urlsPerSecond];
  const atMs = nowMs();
  bucket.left = Math.min(burst, bucket.left + (perSecond * (atMs - bucket.atMs)) / 1_000);
  bucket.atMs = atMs;
  // A token that is a rounding error away is there.
  if (bucket.left + 1e-6 < wanted) return Math.ceil((wanted - bucket.left) / perSecond);
  bucket.left -= wanted;
  return 0;
}

/** Purged by tag, without regard to case; or by URL. */
async function forget({ cache, onPurge }: State, purge: Purge): Promise<void> {
  const { tags, files } = purge;
  const wanted = new Set(tags.map((tag) => tag.toLowerCase()));
  for (const [url, held] of cache)
    if (files.includes(url) || held.some((tag) => wanted.has(tag.toLowerCase()))) cache.delete(url);
  await onPurge(purge);
}

function readPurge(body: string): Purge | undefined {
  const parsed = parseJsonObject(body);
  if (!parsed.ok) return undefined;
  const { tags, files, ...others } = parsed.value;
  if (Object.keys(others).length > 0 || (tags === undefined) === (files === undefined)) return undefined;
  const list = tags ?? files;
  if (!Array.isArray(list) || list.length === 0 || isJsonObject(list)) return undefined;
  const texts = list.filter((entry) => typeof entry === "string");
  if (texts.length !== list.length) return undefined;
  return tags === undefined ? { tags: [], files: texts } : { tags: texts, files: [] };
}

function refusalOf(code: number, message: string): object {
  return { success: false, errors: [{ code, message }], messages: [], result: null };
}

function send(response: ServerResponse, status: number, value: object, headers: Record<string, string> = {}): void {
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(value));
}
