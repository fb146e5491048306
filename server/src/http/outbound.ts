import { type Result, accept, checkPublicUrl, refuse } from "@licet/protocol";
import { Agent, type Dispatcher, request as sendRequest } from "undici";
import { NO_TRACING, type SpanStart, type Tracing } from "../telemetry/tracing.ts";
import { createDownloadSlots } from "./download-slots.ts";
import { ForbiddenAddressError, type ResolveName, pinnedConnector, systemResolver } from "./pinned-connection.ts";

/** What is sent to an address that somebody else chose. */
export interface OutboundRequest {
  /** `BAN` and `PURGE` are what caches call it when they are to forget. */
  readonly method: "GET" | "POST" | "BAN" | "PURGE";
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface OutboundResponse {
  readonly status: number;
  readonly headers: Headers;
  /** Where it was found in the end, redirects followed. */
  readonly url: string;
  readonly body: string;
}

/** How far reading a URL may go. */
export interface ReadLimits {
  /** At most this many bytes of body; by default 64 KiB. */
  readonly maxBytes?: number;
  /** Redirects to follow, each judged as if it were the first URL; by default none. */
  readonly maxRedirects?: number;
  /** From the first byte sent to the last one read; by default 10 seconds. */
  readonly timeoutMs?: number;
  /** Media types to ask for; by default any. */
  readonly accept?: string;
  /** Credentials for the URL itself: where a redirect leads, they are not sent. */
  readonly authorization?: string;
}

/** Takes one chunk of a download. */
export type Take = (chunk: Uint8Array) => Promise<void> | void;

/** What a download brought; the bytes themselves went to the caller as they came. */
export interface Download {
  readonly url: string;
  readonly headers: Headers;
  readonly sizeBytes: number;
}

/** Every way out of this server to an address that somebody else chose. */
export interface Outbound {
  /**
   * Sends a request and answers with the status and the beginning of the body, at most 64 KiB of it:
   * enough for a log. Follows no redirect. Refuses `url_forbidden` and `unavailable`.
   */
  readonly send: (url: string, request: OutboundRequest) => Promise<Result<OutboundResponse>>;
  /** Reads a document that must be there whole. Refuses `url_forbidden`, `source_unavailable`, `source_too_large`. */
  readonly read: (url: string, limits?: ReadLimits) => Promise<Result<OutboundResponse>>;
  /**
   * Hands the bytes at a URL to `take`, one chunk after the other and none before the last is taken.
   * Few run at once, the others wait. Refuses as {@link Outbound.read} does, also when some bytes were handed over
   * already, and `unavailable` when too many wait.
   */
  readonly download: (url: string, limits: ReadLimits, take: Take) => Promise<Result<Download>>;
  readonly close: () => Promise<void>;
}

export interface OutboundOptions {
  /** Exact `host:port` pairs that may be private, or without https. */
  readonly allowedHosts: readonly string[];
  readonly resolve?: ResolveName;
  readonly tracing?: Tracing;
}

const USER_AGENT = "Licet";
const TIMEOUT_MS = 10_000;
/** A connection over which nothing comes for so long is given up. */
const IDLE_TIMEOUT_MS = 15_000;
const MAX_RESPONSE_BYTES = 65_536;
const MAX_HEADER_BYTES = 16_384;
/** A connection that nobody uses is closed soon, so that an address does not outlive its name for long. */
const KEEP_ALIVE_MS = 5_000;
const MAX_KEEP_ALIVE_MS = 60_000;
const MAX_CONNECTIONS_PER_HOST = 256;
const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];

/**
 * The one way out: every request this server makes goes through here. Only to https on the open
 * Internet, or to a host that the operator allowed; the address that is called is the address that
 * was checked; limits on time, size, headers and redirects; nothing is decompressed.
 */
export function createOutbound({
  allowedHosts,
  resolve = systemResolver,
  tracing = NO_TRACING,
}: OutboundOptions): Outbound {
  const agent = new Agent({
    connect: pinnedConnector(allowedHosts, resolve),
    headersTimeout: IDLE_TIMEOUT_MS,
    bodyTimeout: IDLE_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: MAX_KEEP_ALIVE_MS,
    maxHeaderSize: MAX_HEADER_BYTES,
    connections: MAX_CONNECTIONS_PER_HOST,
  });
  const call: Call = async (url, { method, headers, body = null }, signal) => {
    const target = checkOutboundUrl(url, allowedHosts);
    if (!target.ok) return target;
    const answer = await tracing.within(spanOf(method, target.value), async (span) => {
      const answered = await sendRequest(target.value, {
        method,
        headers: { "user-agent": USER_AGENT, "accept-encoding": "identity", ...headers },
        body,
        signal,
        dispatcher: agent,
      });
      span.note({ "http.response.status_code": answered.statusCode });
      return answered;
    });
    // Whoever reads the body learns of its end; a body that is let go must not end the process.
    answer.body.on("error", () => undefined);
    return accept({ url: target.value, answer });
  };
  const slots = createDownloadSlots();
  return {
    send: (url, request) => send(call, url, request),
    read: (url, limits = {}) => read(call, url, limits),
    download: (url, limits, take) => slots.within(() => download(call, url, limits, take)),
    close: () => agent.destroy(),
  };
}

/** Host and port say who was asked; the path and the query may hold secrets. Nobody outside is told of our traces. */
function spanOf(method: string, { protocol, hostname, port }: URL): SpanStart {
  const scheme = protocol.slice(0, -1);
  return {
    name: method,
    kind: "client",
    attributes: {
      "http.request.method": method,
      "url.scheme": scheme,
      "server.address": hostname,
      "server.port": port === "" ? (scheme === "https" ? 443 : 80) : Number(port),
    },
  };
}

interface Called {
  readonly url: URL;
  readonly answer: Dispatcher.ResponseData;
}

/** One request to one URL, which is judged first; throws what the network throws. */
type Call = (url: string, request: OutboundRequest, signal: AbortSignal) => Promise<Result<Called>>;

async function send(call: Call, url: string, request: OutboundRequest): Promise<Result<OutboundResponse>> {
  try {
    const called = await call(url, request, AbortSignal.timeout(TIMEOUT_MS));
    if (!called.ok) return called;
    const { answer } = called.value;
    const body = await readBeginning(answer.body);
    return accept({ status: answer.statusCode, headers: headersOf(answer), url, body });
  } catch (error) {
    return refusalOf(url, error, "unavailable");
  }
}

/** A redirect leads to somebody who was not meant, so credentials go to the first URL alone. */
async function follow(call: Call, url: string, limits: ReadLimits, signal: AbortSignal): Promise<Result<Called>> {
  const { maxRedirects = 0, accept: mediaTypes = "*/*", authorization } = limits;
  let next = url;
  for (let redirects = 0; ; redirects += 1) {
    const credentials: Record<string, string> = redirects > 0 || authorization === undefined ? {} : { authorization };
    const called = await call(next, { method: "GET", headers: { accept: mediaTypes, ...credentials } }, signal);
    if (!called.ok) return called;
    const { answer } = called.value;
    if (!REDIRECTS.includes(answer.statusCode)) return called;
    answer.body.destroy();
    if (redirects >= maxRedirects)
      return refuse("source_unavailable", `${url}: expected at most ${maxRedirects} redirects, got one more`);
    const { location } = answer.headers;
    if (typeof location !== "string" || !URL.canParse(location, next))
      return refuse("source_unavailable", `${next}: expected a redirect to say where, got ${String(location)}`);
    const target = new URL(location, next);
    target.hash = "";
    next = target.href;
  }
}

async function download(call: Call, url: string, limits: ReadLimits, take: Take): Promise<Result<Download>> {
  const { maxBytes = MAX_RESPONSE_BYTES, timeoutMs = TIMEOUT_MS } = limits;
  const called = await follow(call, url, limits, AbortSignal.timeout(timeoutMs)).catch((error: unknown) =>
    refusalOf(url, error, "source_unavailable"),
  );
  if (!called.ok) return called;
  const { answer } = called.value;
  const usable = checkAnswer(url, answer, maxBytes);
  if (!usable.ok) {
    answer.body.destroy();
    return usable;
  }
  const sizeBytes = await takeAll(answer.body, { url, maxBytes, take });
  if (!sizeBytes.ok) return sizeBytes;
  return accept({ url: called.value.url.href, headers: headersOf(answer), sizeBytes: sizeBytes.value });
}

async function read(call: Call, url: string, limits: ReadLimits): Promise<Result<OutboundResponse>> {
  const chunks: Uint8Array[] = [];
  const done = await download(call, url, limits, (chunk) => void chunks.push(chunk));
  if (!done.ok) return done;
  const body = Buffer.concat(chunks).toString("utf8");
  return accept({ status: 200, headers: done.value.headers, url: done.value.url, body });
}

/** Refuses (`url_forbidden`) a URL that the server would never call, already when it is registered. */
export function checkOutboundUrl(url: string, allowedHosts: readonly string[]): Result<URL> {
  return checkPublicUrl(url, { allowedHosts });
}

/** A hash is of the bytes as they are: what was compressed on the way is not them, and could be any size. */
function checkAnswer(url: string, answer: Dispatcher.ResponseData, maxBytes: number): Result<true> {
  const { "content-encoding": encoding = "identity", "content-length": length = "0" } = answer.headers;
  if (answer.statusCode !== 200)
    return refuse("source_unavailable", `${url}: expected status 200, got ${answer.statusCode}`);
  if (encoding !== "identity")
    return refuse("source_unavailable", `${url}: expected no content-encoding, got ${String(encoding)}`);
  if (Number(length) > maxBytes)
    return refuse("source_too_large", `${url}: expected at most ${maxBytes} bytes, got ${String(length)}`);
  return accept(true);
}

interface Taking {
  readonly url: string;
  readonly maxBytes: number;
  readonly take: Take;
}

async function takeAll(body: AsyncIterable<Uint8Array>, { url, maxBytes, take }: Taking): Promise<Result<number>> {
  let sizeBytes = 0;
  const chunks = body[Symbol.asyncIterator]();
  for (;;) {
    const next = await chunks.next().catch((error: unknown) => refusalOf(url, error, "source_unavailable"));
    if ("ok" in next) return next;
    if (next.done === true) return accept(sizeBytes);
    sizeBytes += next.value.length;
    if (sizeBytes > maxBytes) {
      await chunks.return?.();
      return refuse("source_too_large", `${url}: expected at most ${maxBytes} bytes, got more`);
    }
    try {
      await take(next.value);
    } catch (error) {
      await chunks.return?.();
      throw error;
    }
  }
}

async function readBeginning(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > MAX_RESPONSE_BYTES) break;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function headersOf({ headers }: Dispatcher.ResponseData): Headers {
  return new Headers(
    Object.entries(headers).flatMap(([name, values = []]) =>
      (typeof values === "string" ? [values] : values).map((value): [string, string] => [name, value]),
    ),
  );
}

function refusalOf(url: string, error: unknown, code: "unavailable" | "source_unavailable"): ReturnType<typeof refuse> {
  if (error instanceof ForbiddenAddressError)
    return refuse("url_forbidden", `${new URL(url).host}: expected a host on the open Internet; ${error.message}`);
  return refuse(code, `${new URL(url).host} did not answer: ${reasonOf(error)}`);
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}
