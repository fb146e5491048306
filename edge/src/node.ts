import { EDGE_REFRESH_PATH, MAX_REFRESH_BYTES, type Refusal, type Result, accept, refuse } from "@licet/protocol";
import { randomUUID } from "node:crypto";
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
import { type AddressInfo, BlockList, isIPv6 } from "node:net";
import type { Duplex } from "node:stream";
import { pipeline } from "node:stream/promises";
import { refusalResponse } from "./answers.ts";
import { SAFE_METHODS } from "./ask-twice.ts";
import type { EdgeConfig } from "./config.ts";
import { type Edge, type Pass, type Verdict, createEdge } from "./edge.ts";
import { type Sender, clientOf, headersForSite, headersOfAnswer } from "./handed-headers.ts";
import { createSeen, memoryDocuments } from "./memory.ts";
import { fetchPublic, headersOf, readBody } from "./node-fetch.ts";
import type { EdgePorts, LogEntry } from "./ports.ts";
import { type Framing, type WireHead, hasBody, headerValues, readFraming, readTarget } from "./request-target.ts";
import { type Turn, createTurns } from "./turns.ts";

export interface NodeEdgeOptions {
  readonly config: EdgeConfig;
  /** The site that is behind the edge: an origin. */
  readonly upstream: string;
  /** The origin under which the world knows the site; of several, each request's Host says which. */
  readonly site: string | readonly string[];
  readonly host: string;
  /** 0 lets the system choose a free one. */
  readonly port: number;
  readonly log: (entry: LogEntry) => void;
  /** Addresses of proxies, or networks as in `10.0.0.0/8`, whose word for who sent a request is taken. */
  readonly trustedProxies?: readonly string[];
  /** Connections to the site that one client may hold at a time. */
  readonly clientConnections?: number;
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
export const DEFAULT_CLIENT_CONNECTIONS = 64;
/** A connection on which nothing moves for so long is cut; a long upload is not. */
const CLIENT_IDLE_MS = 120_000;
const MAX_DIRECTORY_CHARACTERS = 4_194_304;
const FLUSH_MS = 1_000;
const GRACE_MS = 5_000;

/** Starts the edge as a proxy in front of any site. */
export async function startNodeEdge(options: NodeEdgeOptions): Promise<NodeEdge> {
  const { config, host, port, log } = options;
  const edge = createEdge(config, portsOf(options));
  const proxy: Proxy = {
    options,
    edge,
    sites: [options.site].flat(),
    upstream: upstreamOf(options.upstream),
    isTrusted: trustOf(options.trustedProxies ?? []),
    takeTurn: createTurns(options.clientConnections ?? DEFAULT_CLIENT_CONNECTIONS),
    tunnels: new Set(),
  };
  const server = createServer({
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: 0,
    keepAliveTimeout: KEEP_ALIVE_MS,
  });
  server.setTimeout(CLIENT_IDLE_MS);
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
      await closeServer(server, proxy.tunnels);
      await edge.flush();
      proxy.upstream.agent.destroy();
    },
  };
}

async function closeServer(server: Server, tunnels: ReadonlySet<Duplex>): Promise<void> {
  const closed = once(server, "close");
  server.close();
  server.closeIdleConnections();
  const cut = setTimeout(() => {
    server.closeAllConnections();
    for (const tunnel of tunnels) tunnel.destroy();
  }, GRACE_MS);
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
    directories: memoryDocuments(MAX_DIRECTORY_CHARACTERS),
    memory: undefined,
    isFirstUse: async (use) => isFirst(use),
    defer: (work) => void work.catch((error: unknown) => log({ level: "error", message: String(error) })),
  };
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

/** Which senders are proxies that the operator trusts. Throws what {@link BlockList} throws. */
function trustOf(entries: readonly string[]): (address: string) => boolean {
  const list = new BlockList();
  for (const entry of entries) {
    const [address = "", bits] = entry.split("/");
    const family = isIPv6(address) ? "ipv6" : "ipv4";
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return (address) => list.check(address, isIPv6(address) ? "ipv6" : "ipv4");
}

interface Proxy {
  readonly options: NodeEdgeOptions;
  readonly edge: Edge;
  readonly sites: readonly string[];
  readonly upstream: Upstream;
  readonly isTrusted: (address: string) => boolean;
  readonly takeTurn: (client: string) => Turn;
  /** Connections that became another protocol. */
  readonly tunnels: Set<Duplex>;
}

/** A request as it was read: what is judged, and what is handed on. */
interface Asked {
  readonly request: IncomingMessage;
  readonly url: URL;
  readonly framing: Framing;
  readonly sender: Sender;
}

async function answer(proxy: Proxy, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const asked = readAsked(proxy, request);
  if (!asked.ok) return write(refusalResponse(asked.refusal, proxy.options.config), response, request);
  if (asked.value.url.pathname === EDGE_REFRESH_PATH)
    return write(await takeRefresh(proxy, request), response, request);
  const verdict = await decide(proxy, asked.value);
  if (verdict.kind === "answer") return write(verdict.response, response, request);
  await forward(proxy, asked.value, { response, verdict });
}

/** Refuses `request_malformed`. */
function readAsked({ sites, isTrusted }: Proxy, request: IncomingMessage): Result<Asked> {
  const head = headOf(request);
  const url = readTarget(head, sites);
  if (!url.ok) return url;
  const framing = readFraming(head);
  if (!framing.ok) return framing;
  const address = (request.socket.remoteAddress ?? "").replace(/^::ffff:(?=\d+\.)/, "");
  return accept({
    request,
    url: url.value,
    framing: framing.value,
    sender: { address, isTrusted: isTrusted(address) },
  });
}

function headOf({ method = "GET", url: target = "", httpVersion, rawHeaders }: IncomingMessage): WireHead {
  return { method, target, httpVersion, rawHeaders };
}

function decide({ edge }: Proxy, { request, url }: Asked): Promise<Verdict> {
  return edge.decide({ method: request.method ?? "GET", url: url.href, headers: headersOf(request) });
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

interface Passing {
  readonly response: ServerResponse;
  readonly verdict: Pass;
}

async function forward(proxy: Proxy, asked: Asked, { response, verdict }: Passing): Promise<void> {
  const turn = proxy.takeTurn(clientOf(asked.request.rawHeaders, asked.sender));
  response.once("close", turn.end);
  await turn.begins;
  if (!response.destroyed) await handOn(proxy, asked, { response, verdict });
}

async function handOn(proxy: Proxy, asked: Asked, passing: Passing): Promise<void> {
  const { response, verdict } = passing;
  const { request, framing } = asked;
  const sending = askUpstream(proxy, asked, { verdict });
  response.once("close", () => sending.destroy());
  const answered = once(sending, "response") as Promise<[IncomingMessage]>;
  const sent = hasBody(framing) ? pipeline(request, sending).catch(() => undefined) : void sending.end();
  let upstream: IncomingMessage;
  try {
    [upstream] = await answered;
  } catch (error) {
    if (response.destroyed) return;
    // The site closed a kept connection just then: it is asked again over another one.
    if (sending.reusedSocket && !hasBody(framing) && SAFE_METHODS.includes(request.method))
      return handOn(proxy, asked, passing);
    const { config, log } = proxy.options;
    log({ level: "warn", message: `the site cannot be reached: ${error instanceof Error ? error.message : "?"}` });
    const refusal = { code: "source_unavailable", detail: "the site cannot be reached" } as const;
    return write(refusalResponse(refusal, config, asked.url.href), response, request);
  }
  const headers = headersOfAnswer(upstream.rawHeaders, verdict.addToResponse);
  response.writeHead(upstream.statusCode ?? 502, upstream.statusMessage, headers);
  // A site that stops in the middle of an answer cuts the reader off; a reader who leaves is seen above.
  upstream.once("error", () => response.destroy());
  upstream.pipe(response);
  await sent;
}

interface Sending {
  readonly verdict: Pass;
  /** The protocol that the connection is to become. */
  readonly upgrade?: string;
}

function askUpstream({ upstream }: Proxy, asked: Asked, { verdict, upgrade }: Sending): ClientRequest {
  const { url, framing, sender, request } = asked;
  const handed = { url, framing, sender, removed: verdict.removeFromRequest };
  const headers = headersForSite(request.rawHeaders, handed);
  if (upgrade !== undefined) headers.push("connection", "upgrade", "upgrade", upgrade);
  const sending = upstream.send({
    protocol: upstream.url.protocol,
    hostname: upstream.url.hostname,
    port: upstream.url.port,
    // What becomes another protocol never goes back among the kept connections.
    agent: upgrade === undefined ? upstream.agent : false,
    method: request.method,
    path: `${url.pathname}${url.search}`,
    headers,
    setHost: false,
    timeout: UPSTREAM_IDLE_MS,
  });
  sending.on("timeout", () => sending.destroy(new Error(`nothing came for ${UPSTREAM_IDLE_MS / 1_000} seconds`)));
  // Whoever waits for the answer learns of it; a connection that breaks later must not end the process.
  sending.on("error", () => undefined);
  return sending;
}

interface UpgradeParts {
  readonly socket: Duplex;
  readonly head: Buffer;
}

/** A connection that becomes a WebSocket is decided about like any request, and then only piped. */
async function answerUpgrade(proxy: Proxy, request: IncomingMessage, parts: UpgradeParts): Promise<void> {
  const { socket } = parts;
  socket.on("error", () => socket.destroy());
  const asked = readUpgrade(proxy, request);
  if (!asked.ok) return endWith(socket, refusalResponse(asked.refusal, proxy.options.config));
  const verdict = await decide(proxy, asked.value);
  if (verdict.kind === "answer") return endWith(socket, verdict.response);
  const turn = proxy.takeTurn(clientOf(request.rawHeaders, asked.value.sender));
  socket.once("close", turn.end);
  await turn.begins;
  if (!socket.destroyed) openTunnel(proxy, asked.value, { ...parts, verdict });
}

/** Refuses `request_malformed`: h2c and whatever else is no WebSocket would carry requests that nobody judges. */
function readUpgrade(proxy: Proxy, request: IncomingMessage): Result<Asked> {
  const asked = readAsked(proxy, request);
  if (!asked.ok) return asked;
  const protocols = headerValues(request.rawHeaders, "upgrade").map((name) => name.toLowerCase());
  const isWebSocket = protocols.length === 1 && protocols[0] === "websocket";
  return request.method === "GET" && isWebSocket && !hasBody(asked.value.framing)
    ? asked
    : refuse("request_malformed", "expected no upgrade but GET with Upgrade: websocket and no body");
}

async function endWith(socket: Duplex, answer: Response): Promise<void> {
  const body = await answer.text();
  const lines = [...answer.headers].map(([name, value]) => `${name}: ${value}\r\n`).join("");
  const length = Buffer.byteLength(body);
  const head = `HTTP/1.1 ${answer.status} Refused\r\n${lines}connection: close\r\ncontent-length: ${length}\r\n\r\n`;
  socket.end(`${head}${body}`);
  // Nobody else reads it any more; whoever does not hang up is hung up on.
  socket.resume();
  setTimeout(() => socket.destroy(), GRACE_MS).unref();
}

function openTunnel(
  proxy: Proxy,
  asked: Asked,
  { socket, head, verdict }: UpgradeParts & { readonly verdict: Pass },
): void {
  const sending = askUpstream(proxy, asked, { verdict, upgrade: "websocket" });
  sending.on("upgrade", (answered, upstreamSocket, upstreamHead) => {
    const lines = Array.from({ length: answered.rawHeaders.length / 2 }, (_, at) =>
      answered.rawHeaders.slice(2 * at, 2 * at + 2).join(": "),
    );
    socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join("\r\n")}\r\n\r\n`);
    if (upstreamHead.length > 0) socket.write(upstreamHead);
    if (head.length > 0) upstreamSocket.write(head);
    upstreamSocket.setTimeout(0);
    asked.request.socket.setTimeout(0);
    keepTunnel(proxy, socket, verdict.holdsMs);
    pipeline(upstreamSocket, socket, upstreamSocket).catch(() => socket.destroy());
  });
  sending.on("response", (answered) => {
    socket.end(`HTTP/1.1 ${answered.statusCode ?? 502} Refused\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
    answered.resume();
  });
  sending.on("error", () => socket.destroy());
  socket.on("close", () => sending.destroy());
  sending.end();
}

/** Cuts a tunnel once what let it through is no longer fresh: whoever opens it again is decided about again. */
function keepTunnel({ tunnels }: Proxy, socket: Duplex, holdsMs: number | undefined): void {
  tunnels.add(socket);
  const cut = holdsMs === undefined ? undefined : setTimeout(() => socket.destroy(), holdsMs);
  socket.once("close", () => {
    tunnels.delete(socket);
    clearTimeout(cut);
  });
}

function fail({ options }: Proxy, response: ServerResponse, error: unknown): void {
  options.log({ level: "error", message: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  if (response.headersSent) response.destroy();
  else response.writeHead(500).end();
}
