import {
  EDGE_REFRESH_PATH,
  MAX_REFRESH_BYTES,
  type Refusal,
  type Result,
  accept,
  checkPublicUrl,
  hostAndPort,
  isPublicAddress,
  refuse,
} from "@licet/protocol";
import { randomUUID } from "node:crypto";
import type { LookupAddress } from "node:dns";
import { lookup } from "node:dns/promises";
import { once } from "node:events";
import {
  Agent,
  type ClientRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  createServer,
  request as httpRequest,
} from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { AddressInfo, LookupFunction } from "node:net";
import type { Duplex } from "node:stream";
import { pipeline } from "node:stream/promises";
import { refusalResponse } from "./answers.ts";
import type { EdgeConfig } from "./config.ts";
import { type Edge, type Verdict, createEdge } from "./edge.ts";
import { createSeen, memoryDocuments } from "./memory.ts";
import type { EdgePorts, FetchLimits, Fetched, LogEntry } from "./ports.ts";

export interface NodeEdgeOptions {
  readonly config: EdgeConfig;
  /** The site that is behind the edge: an origin. */
  readonly upstream: string;
  /** The origin under which the world knows the site; by default what each request's Host says, over http. */
  readonly site?: string;
  readonly host: string;
  /** 0 lets the system choose a free one. */
  readonly port: number;
  readonly log: (entry: LogEntry) => void;
  /** Tests hold a clock of their own. */
  readonly nowMs?: () => number;
}

export interface NodeEdge {
  readonly origin: string;
  /** Takes no new connection, sends the events that wait, and cuts what is still open after a few seconds. */
  readonly close: () => Promise<void>;
}

const MAX_HEADER_BYTES = 16_384;
const HEADERS_TIMEOUT_MS = 20_000;
const KEEP_ALIVE_MS = 75_000;
/** The site is given up when nothing comes from it for so long. */
const UPSTREAM_IDLE_MS = 60_000;
const UPSTREAM_CONNECTIONS = 256;
const FLUSH_MS = 1_000;
const GRACE_MS = 5_000;

/** Headers that are for one connection (RFC 9110 section 7.6.1), besides those that Connection names. */
const HOP_BY_HOP = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** Starts the edge as a proxy in front of any site. */
export async function startNodeEdge(options: NodeEdgeOptions): Promise<NodeEdge> {
  const { config, host, port, log } = options;
  const edge = createEdge(config, portsOf(options));
  const proxy: Proxy = { options, edge, upstream: upstreamOf(options.upstream) };
  const server = createServer({ maxHeaderSize: MAX_HEADER_BYTES, headersTimeout: HEADERS_TIMEOUT_MS });
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  server.on("request", (request, response) => {
    answer(proxy, request, response).catch((error: unknown) => fail(proxy, response, error));
  });
  server.on("upgrade", (request, socket, head) => {
    answerUpgrade(proxy, request, { socket, head }).catch(() => socket.destroy());
  });
  server.listen(port, host);
  await once(server, "listening");
  const flushing = setInterval(() => {
    edge.flush().catch((error: unknown) => log({ level: "error", message: String(error) }));
  }, FLUSH_MS);
  const { address, port: taken } = server.address() as AddressInfo;
  return {
    origin: `http://${address.includes(":") ? `[${address}]` : address}:${taken}`,
    close: async () => {
      clearInterval(flushing);
      await closeServer(server);
      await edge.flush();
      proxy.upstream.agent.destroy();
    },
  };
}

async function closeServer(server: Server): Promise<void> {
  const closed = once(server, "close");
  server.close();
  server.closeIdleConnections();
  const cut = setTimeout(() => server.closeAllConnections(), GRACE_MS);
  await closed;
  clearTimeout(cut);
}

function portsOf({ config, log, nowMs = Date.now }: NodeEdgeOptions): EdgePorts {
  const isFirst = createSeen(nowMs);
  return {
    nowMs,
    log,
    randomId: randomUUID,
    fetch: (url, init) => fetch(url, init),
    fetchPublic: (url, limits) => fetchPublic(url, limits, config.allowedHosts),
    documents: memoryDocuments(),
    memory: undefined,
    isFirstUse: async (key, untilMs) => isFirst(key, untilMs),
    defer: (work) => void work.catch((error: unknown) => log({ level: "error", message: String(error) })),
  };
}

/** Opens URLs that strangers chose: the address that is connected to is the one that was checked; no redirect is followed, nothing decompressed. */
async function fetchPublic(
  text: string,
  { headers, maxBytes, timeoutMs }: FetchLimits,
  allowedHosts: readonly string[],
): Promise<Result<Fetched>> {
  const target = checkPublicUrl(text, { allowedHosts });
  if (!target.ok) return target;
  const url = target.value;
  const isAllowed = allowedHosts.includes(hostAndPort(url));
  const send = url.protocol === "https:" ? httpsRequest : httpRequest;
  try {
    const request = send(url, {
      headers: { ...headers, "accept-encoding": "identity" },
      maxHeaderSize: MAX_HEADER_BYTES,
      signal: AbortSignal.timeout(timeoutMs),
      agent: false,
      ...(isAllowed ? {} : { lookup: publicLookup }),
    });
    request.end();
    const [response] = (await once(request, "response")) as [IncomingMessage];
    const body = await readBody(response, maxBytes);
    return body === undefined
      ? refuse("source_unavailable", `expected at most ${maxBytes} bytes of ${text}`)
      : accept({ status: response.statusCode ?? 0, headers: headersOf(response), text: body });
  } catch (error) {
    return refuse("source_unavailable", `${text}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

const publicLookup: LookupFunction = (name, options, settle) => {
  publicAddresses(name).then(
    ([first, ...others]) =>
      options.all === true ? settle(null, [first, ...others]) : settle(null, first.address, first.family),
    (error: unknown) => settle(error instanceof Error ? error : new Error(String(error)), []),
  );
};

/** One forbidden address among several forbids the name, since the next try could reach it. */
async function publicAddresses(name: string): Promise<readonly [LookupAddress, ...LookupAddress[]]> {
  const [first, ...others] = await lookup(name, { all: true, verbatim: true });
  if (first === undefined) throw new Error(`${name} has no address`);
  const forbidden = [first, ...others].find(({ address }) => !isPublicAddress(address));
  if (forbidden !== undefined)
    throw new Error(`expected a host on the open Internet; ${name} has the address ${forbidden.address}`);
  return [first, ...others];
}

/** A body in UTF-8, or undefined once it is over the limit. */
async function readBody(message: IncomingMessage, maxBytes: number): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** Every line of every header, so that a header that came twice is seen to have come twice. */
function headersOf({ rawHeaders }: IncomingMessage): Headers {
  const headers = new Headers();
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) headers.append(rawHeaders[at] ?? "", rawHeaders[at + 1] ?? "");
  return headers;
}

interface Upstream {
  readonly url: URL;
  readonly agent: Agent;
  readonly send: typeof httpRequest;
}

function upstreamOf(origin: string): Upstream {
  const url = new URL(origin);
  const options = { keepAlive: true, maxSockets: UPSTREAM_CONNECTIONS };
  return url.protocol === "https:"
    ? { url, agent: new HttpsAgent(options), send: httpsRequest }
    : { url, agent: new Agent(options), send: httpRequest };
}

interface Proxy {
  readonly options: NodeEdgeOptions;
  readonly edge: Edge;
  readonly upstream: Upstream;
}

async function answer(proxy: Proxy, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { config } = proxy.options;
  const url = urlOf(request, proxy.options.site);
  if (!url.ok) return write(refusalResponse(url.refusal, config), response, request);
  if (new URL(url.value).pathname === EDGE_REFRESH_PATH)
    return write(await takeRefresh(proxy, request), response, request);
  const verdict = await proxy.edge.decide({
    method: request.method ?? "GET",
    url: url.value,
    headers: headersOf(request),
  });
  if (verdict.kind === "answer") return write(verdict.response, response, request);
  await forward(proxy, request, { response, verdict });
}

/** The URL that was asked for, as the world writes it. Refuses `request_malformed`. */
function urlOf({ url: target = "", rawHeaders, headers }: IncomingMessage, site: string | undefined): Result<string> {
  const hosts = rawHeaders.filter((name, at) => at % 2 === 0 && name.toLowerCase() === "host");
  if (hosts.length !== 1) return refuse("request_malformed", `expected one Host header, got ${hosts.length}`);
  const url = `${site ?? `http://${headers.host ?? ""}`}${target === "*" ? "/" : target}`;
  return (target.startsWith("/") || target === "*") && URL.canParse(url)
    ? accept(url)
    : refuse("request_malformed", "expected a target that begins with a slash, and a proper Host header");
}

async function takeRefresh({ edge, options }: Proxy, request: IncomingMessage): Promise<Response> {
  const no = (refusal: Refusal): Response => refusalResponse(refusal, options.config);
  if (request.method !== "POST") {
    const response = no({ code: "method_not_allowed", detail: `expected POST, got ${request.method}` });
    response.headers.set("allow", "POST");
    return response;
  }
  const type = (request.headers["content-type"] ?? "").split(";")[0]?.trim().toLowerCase();
  if (type !== "application/json")
    return no({ code: "media_type_wrong", detail: `expected application/json, got ${type === "" ? "none" : type}` });
  const body = await readBody(request, MAX_REFRESH_BYTES);
  return body === undefined
    ? no({ code: "body_too_large", detail: `expected at most ${MAX_REFRESH_BYTES} bytes` })
    : edge.refresh(body);
}

async function write(answer: Response, response: ServerResponse, request: IncomingMessage): Promise<void> {
  const body = await answer.text();
  response.writeHead(answer.status, [...answer.headers].flat());
  response.end(request.method === "HEAD" ? undefined : body);
  // What nobody reads would keep the connection's next request waiting.
  request.resume();
}

type Pass = Extract<Verdict, { readonly kind: "pass" }>;

interface Passing {
  readonly response: ServerResponse;
  readonly verdict: Pass;
}

async function forward(proxy: Proxy, request: IncomingMessage, passing: Passing): Promise<void> {
  const { response, verdict } = passing;
  const { config, log } = proxy.options;
  const asked = askUpstream(proxy, request, { verdict });
  response.once("close", () => asked.destroy());
  const answered = once(asked, "response") as Promise<[IncomingMessage]>;
  const sent = hasBody(request) ? pipeline(request, asked).catch(() => undefined) : void asked.end();
  let upstream: IncomingMessage;
  try {
    [upstream] = await answered;
  } catch (error) {
    if (response.destroyed) return;
    // The site closed a kept connection just then: what has no body is asked again over another one.
    if (asked.reusedSocket && !hasBody(request)) return forward(proxy, request, passing);
    log({ level: "warn", message: `the site cannot be reached: ${error instanceof Error ? error.message : "?"}` });
    const refusal = { code: "source_unavailable", detail: "the site cannot be reached" } as const;
    return write(refusalResponse(refusal, config), response, request);
  }
  response.writeHead(upstream.statusCode ?? 502, upstream.statusMessage, answerHeaders(upstream, verdict));
  // A site that stops in the middle of an answer cuts the reader off; a reader who leaves is seen above.
  upstream.once("error", () => response.destroy());
  upstream.pipe(response);
  await sent;
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
}

function askUpstream(
  { upstream, options }: Proxy,
  request: IncomingMessage,
  { verdict, further = [] }: { readonly verdict: Pass; readonly further?: readonly string[] },
): ClientRequest {
  const { url, agent, send } = upstream;
  const asked = send({
    protocol: url.protocol,
    hostname: url.hostname,
    port: url.port,
    agent,
    method: request.method,
    path: request.url,
    headers: [...requestHeaders(request, verdict, options), ...further],
    setHost: false,
    timeout: UPSTREAM_IDLE_MS,
  });
  asked.on("timeout", () => asked.destroy(new Error(`nothing came for ${UPSTREAM_IDLE_MS / 1_000} seconds`)));
  // Whoever waits for the answer learns of it; a connection that breaks later must not end the process.
  asked.on("error", () => undefined);
  return asked;
}

/** The request's headers as they came, without what is for this connection or for the edge, and with who sent it. */
function requestHeaders(request: IncomingMessage, { removeFromRequest }: Pass, { site }: NodeEdgeOptions): string[] {
  const kept = endToEnd(request, (name) => !removeFromRequest.includes(name) && name !== "x-forwarded-for");
  const before = request.headers["x-forwarded-for"];
  const sender = request.socket.remoteAddress ?? "";
  kept.push("x-forwarded-for", before === undefined ? sender : `${String(before)}, ${sender}`);
  if (request.headers["x-forwarded-proto"] === undefined)
    kept.push("x-forwarded-proto", site?.startsWith("https:") === true ? "https" : "http");
  if (request.headers["transfer-encoding"] !== undefined) kept.push("transfer-encoding", "chunked");
  return kept;
}

function answerHeaders(upstream: IncomingMessage, { addToResponse }: Pass): string[] {
  const replaced = new Set(addToResponse.map(([name]) => name).filter((name) => name !== "link"));
  return [...endToEnd(upstream, (name) => !replaced.has(name)), ...addToResponse.flat()];
}

function endToEnd({ rawHeaders, headers }: IncomingMessage, isKept: (name: string) => boolean): string[] {
  const named = new Set((headers.connection ?? "").split(",").map((name) => name.trim().toLowerCase()));
  const kept: string[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const [name = "", value = ""] = rawHeaders.slice(at, at + 2);
    const lower = name.toLowerCase();
    if (!HOP_BY_HOP.has(lower) && !named.has(lower) && isKept(lower)) kept.push(name, value);
  }
  return kept;
}

interface UpgradeParts {
  readonly socket: Duplex;
  readonly head: Buffer;
}

/** A connection that becomes another protocol, such as WebSocket, is decided about like any request and then only piped. */
async function answerUpgrade(proxy: Proxy, request: IncomingMessage, { socket, head }: UpgradeParts): Promise<void> {
  const url = urlOf(request, proxy.options.site);
  const headers = headersOf(request);
  const verdict = url.ok
    ? await proxy.edge.decide({ method: request.method ?? "GET", url: url.value, headers })
    : undefined;
  if (verdict?.kind !== "pass") {
    const status = verdict === undefined ? 400 : verdict.response.status;
    socket.end(`HTTP/1.1 ${status} Refused\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
    return;
  }
  const further = ["connection", "upgrade", "upgrade", request.headers.upgrade ?? ""];
  const asked = askUpstream(proxy, request, { verdict, further });
  asked.on("upgrade", (answered, upstreamSocket, upstreamHead) => {
    const lines = Array.from({ length: answered.rawHeaders.length / 2 }, (_, at) =>
      answered.rawHeaders.slice(2 * at, 2 * at + 2).join(": "),
    );
    socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join("\r\n")}\r\n\r\n`);
    if (upstreamHead.length > 0) socket.write(upstreamHead);
    if (head.length > 0) upstreamSocket.write(head);
    upstreamSocket.setTimeout(0);
    pipeline(upstreamSocket, socket, upstreamSocket).catch(() => socket.destroy());
  });
  asked.on("response", (answered) => {
    socket.end(`HTTP/1.1 ${answered.statusCode ?? 502} Refused\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
    answered.resume();
  });
  asked.on("error", () => socket.destroy());
  socket.on("error", () => asked.destroy());
  asked.end();
}

function fail({ options }: Proxy, response: ServerResponse, error: unknown): void {
  options.log({ level: "error", message: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  if (response.headersSent) response.destroy();
  else response.writeHead(500).end();
}
