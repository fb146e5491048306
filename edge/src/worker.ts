import { EDGE_REFRESH_PATH, checkPublicUrl, refuse, sha256Hex, accept } from "@licet/protocol";
import { refusalResponse } from "./answers.ts";
import { SAFE_METHODS, askTwice } from "./ask-twice.ts";
import { type EdgeConfig, type Settings, readEdgeConfig } from "./config.ts";
import { type Edge, type EdgeMemory, type Pass, createEdge, createEdgeMemory } from "./edge.ts";
import { STANDS_BESIDE, namesOtherAddress, saysWhoSent } from "./handed-headers.ts";
import { type ProofUse, createSeen } from "./memory.ts";
import {
  type CertificateFact,
  type DocumentCache,
  type EdgePorts,
  type EdgeRequest,
  type HeldDocument,
  readWithin,
} from "./ports.ts";

/** The variables and secrets of `wrangler.jsonc`. */
export type Env = Settings;

/** What a Worker's runtime lends to a request. */
export interface WorkerContext {
  readonly waitUntil: (work: Promise<unknown>) => void;
}

interface TlsClientAuth {
  readonly certPresented?: string;
  readonly certVerified?: string;
  readonly certRevoked?: string;
  readonly certFingerprintSHA256?: string;
}

interface WorkerRequest extends Request {
  readonly cf?: { readonly tlsClientAuth?: TlsClientAuth };
}

/**
 * Nothing that could say that something may be used is kept in an isolate for longer than a second. A
 * purge is not heard there, so the cache is looked into four times a second: what is refused within a
 * second (revoke → edge refuses) also has to be committed, purged and fetched by then.
 */
const MEMORY = { dueMs: 250, maxMs: 1_000 };
/** A copy is in the cache for as long as the longest second clock; each is judged by its own. */
const KEEP_SECONDS = 86_400;
/** The platform where none can be read from the settings: nothing is known, and nobody is asked (RFC 2606). */
const NOWHERE = "https://licet.invalid";
const FETCHED_AT = "x-licet-fetched-at";
const HELD_ETAG = "x-licet-etag";
const FLUSH_AFTER_MS = 1_000;

/** What an isolate keeps: its settings, and what may outlive a request. */
interface Isolate {
  readonly config: EdgeConfig;
  readonly memory: EdgeMemory;
  readonly isFirstHere: (use: ProofUse) => boolean;
  flushDueMs: number;
}

const isolates = new WeakMap<Env, Isolate>();

function isolateOf(env: Env): Isolate {
  const known = isolates.get(env);
  if (known !== undefined) return known;
  const isolate: Isolate = {
    config: readConfig(env),
    memory: createEdgeMemory(),
    isFirstHere: createSeen(Date.now),
    flushDueMs: 0,
  };
  isolates.set(env, isolate);
  return isolate;
}

/**
 * The settings, or what can be used of them: a slip in one must not take the site away from people,
 * and machines are then let through where the routes say that they are observed, and nowhere else.
 */
function readConfig(env: Env): EdgeConfig {
  try {
    return readEdgeConfig(env);
  } catch (error) {
    console.error(JSON.stringify({ level: "error", message: `the settings cannot be used: ${String(error)}` }));
  }
  const { LICET_ORIGIN, LICET_EDGE_ROUTES } = env;
  for (const settings of [
    { LICET_ORIGIN, LICET_EDGE_ROUTES },
    { LICET_ORIGIN: NOWHERE, LICET_EDGE_ROUTES },
    { LICET_ORIGIN },
  ])
    try {
      return readEdgeConfig(settings);
    } catch {
      // Less of them may do.
    }
  return readEdgeConfig({ LICET_ORIGIN: NOWHERE });
}

/** Cloudflare's cache of this place, which a purge by tag or URL empties; and which says itself what it holds. */
function cacheApi(): Cache {
  return (caches as CacheStorage & { readonly default: Cache }).default;
}

/** Copies under their own URL and the platform's tags, so that the platform's purges are the refresh. */
function cachedDocuments({ address }: EdgeConfig): DocumentCache {
  return cachedUnder((path) => `${address}${path}`);
}

/** Copies of what strangers name, each under a name that no document of the platform has. */
function cachedDirectories({ address }: EdgeConfig): DocumentCache {
  return cachedUnder((url) => `${address}/.well-known/licet-edge-directories/${sha256Hex(url)}`);
}

function cachedUnder(urlOf: (key: string) => string): DocumentCache {
  return {
    read: async (key) => {
      const found = await cacheApi().match(urlOf(key));
      if (found === undefined) return undefined;
      const fetchedAtMs = Number(found.headers.get(FETCHED_AT));
      const text = await found.text();
      return Number.isFinite(fetchedAtMs) && (found.status === 200 || found.status === 404)
        ? { status: found.status, text, etag: found.headers.get(HELD_ETAG) ?? undefined, fetchedAtMs }
        : undefined;
    },
    write: (key, held, tags) => cacheApi().put(urlOf(key), responseOf(held, tags ?? tagsOf(key))),
    forget: async (key) => void (await cacheApi().delete(urlOf(key))),
  };
}

/** The platform's tags by path. Its own header is lost where the platform is itself behind Cloudflare, which keeps it from readers. */
const TAGS_BY_PATH: readonly (readonly [RegExp, string])[] = [
  [/^\/status-lists\//, "licet,licet-revocations"],
  [/^\/\.well-known\/keys\.json$/, "licet,licet-keys"],
  [/^\//, "licet"],
];

function tagsOf(key: string): string | undefined {
  return TAGS_BY_PATH.find(([path]) => path.test(key))?.[1];
}

function responseOf({ status, text, etag, fetchedAtMs }: HeldDocument, tags: string | undefined): Response {
  const headers = new Headers({ "cache-control": `max-age=${KEEP_SECONDS}`, [FETCHED_AT]: String(fetchedAtMs) });
  if (etag !== undefined) headers.set(HELD_ETAG, etag);
  if (tags !== undefined) headers.set("cache-tag", tags);
  return new Response(text, { status, headers });
}

function portsOf(isolate: Isolate, context: WorkerContext): EdgePorts {
  const { config } = isolate;
  return {
    nowMs: Date.now,
    randomId: () => crypto.randomUUID(),
    fetch: (url, init) => fetch(url, init),
    fetchPublic: async (url, { headers, maxBytes, timeoutMs }) => {
      const target = checkPublicUrl(url, config);
      if (!target.ok) return target;
      try {
        const signal = AbortSignal.timeout(timeoutMs);
        const response = await fetch(target.value.href, { headers, signal, redirect: "manual" });
        const text = await readWithin(response, maxBytes);
        return text === undefined
          ? refuse("source_unavailable", `expected at most ${maxBytes} bytes of ${url}`)
          : accept({ status: response.status, headers: response.headers, text });
      } catch (error) {
        return refuse("source_unavailable", `${url}: ${error instanceof Error ? error.message : String(error)}`);
      }
    },
    documents: cachedDocuments(config),
    directories: cachedDirectories(config),
    memory: MEMORY,
    isFirstUse: (use) => isFirstUse(isolate, use),
    defer: (work) => context.waitUntil(work),
    log: (entry) => console[entry.level](JSON.stringify(entry)),
  };
}

/** Once in this isolate, and once in this place of Cloudflare's as far as its cache has heard. */
async function isFirstUse({ config, isFirstHere }: Isolate, use: ProofUse): Promise<boolean> {
  if (!isFirstHere(use)) return false;
  const { holder, nonce, untilMs } = use;
  const mark = `${config.address}/.well-known/licet-edge-used/${sha256Hex(`${holder} ${nonce}`)}`;
  if ((await cacheApi().match(mark)) !== undefined) return false;
  const seconds = Math.max(1, Math.ceil((untilMs - Date.now()) / 1_000));
  await cacheApi().put(mark, new Response("", { headers: { "cache-control": `max-age=${seconds}` } }));
  return true;
}

function certificateOf({ cf }: WorkerRequest): CertificateFact | undefined {
  const facts = cf?.tlsClientAuth;
  if (facts?.certPresented !== "1" || facts.certFingerprintSHA256 === undefined) return undefined;
  return {
    sha256: facts.certFingerprintSHA256.toLowerCase(),
    isVerified: facts.certVerified === "SUCCESS",
    isRevoked: facts.certRevoked !== "0",
  };
}

/** Sends the events of a second together, after the answers. */
function flushSoon(edge: Edge, isolate: Isolate, context: WorkerContext): void {
  if (!edge.hasEvents() || Date.now() < isolate.flushDueMs) return;
  isolate.flushDueMs = Date.now() + FLUSH_AFTER_MS;
  context.waitUntil(new Promise((resolve) => setTimeout(resolve, FLUSH_AFTER_MS)).then(() => edge.flush()));
}

/** What Cloudflare itself says of the sender, in place of whatever the sender said. */
const SAID_BY_CLOUDFLARE: readonly string[] = ["x-forwarded-for", "x-forwarded-proto"];

async function askUpstream(request: Request, env: Env, { removeFromRequest, holdsMs }: Pass): Promise<Response> {
  const headers = new Headers(request.headers);
  for (const name of removeFromRequest) headers.delete(name);
  for (const name of request.headers.keys())
    if (namesOtherAddress(name) || (saysWhoSent(name) && !SAID_BY_CLOUDFLARE.includes(name))) headers.delete(name);
  // A WebSocket would stay open beyond the clock that let it through, and no Worker is there to cut it.
  if (holdsMs !== undefined) headers.delete("upgrade");
  const { pathname, search } = new URL(request.url);
  const upstream = env["LICET_EDGE_UPSTREAM"] || undefined;
  const target = upstream === undefined ? request.url : `${upstream}${pathname}${search}`;
  const ask = (): Promise<Response> =>
    fetch(new Request(target, new Request(request, { headers, redirect: "manual" })));
  return request.body === null && SAFE_METHODS.includes(request.method) ? askTwice(ask) : ask();
}

function withHeaders(response: Response, added: readonly (readonly [string, string])[]): Response {
  // A connection that became another protocol is handed on as it is.
  if (response.status === 101 || added.length === 0) return response;
  const changed = new Response(response.body, response);
  for (const [name, value] of added)
    if (STANDS_BESIDE.includes(name)) changed.headers.append(name, value);
    else changed.headers.set(name, value);
  return changed;
}

/** The edge as a Cloudflare Worker on a route of the site's own domain. */
export default {
  async fetch(request: WorkerRequest, env: Env, context: WorkerContext): Promise<Response> {
    const isolate = isolateOf(env);
    const { config, memory } = isolate;
    if (new URL(request.url).pathname === EDGE_REFRESH_PATH)
      return refusalResponse(
        { code: "not_found", detail: "a Worker is refreshed by purging its cache" },
        config,
        request.url,
      );
    const edge = createEdge(config, portsOf(isolate, context), memory);
    const certificate = certificateOf(request);
    const asked: EdgeRequest = {
      method: request.method,
      url: request.url,
      headers: request.headers,
      ...(certificate === undefined ? {} : { certificate }),
    };
    const verdict = await edge.decide(asked);
    flushSoon(edge, isolate, context);
    if (verdict.kind === "answer") return verdict.response;
    return withHeaders(await askUpstream(request, env, verdict), verdict.addToResponse);
  },
};
