import { once } from "node:events";
import {
  type Server as HttpServer,
  type RequestListener,
  type ServerOptions,
  type ServerResponse,
  createServer,
} from "node:http";
import { type Server as HttpsServer, createServer as createTlsServer } from "node:https";
import type { Duplex } from "node:stream";
import type { Logger } from "pino";
import { type Config, ConfigError, urlHost } from "../config.ts";
import type { Clock } from "../context.ts";
import { clientCertificatesOf } from "./client-certificates.ts";
import { limitConnections } from "./connection-limits.ts";
import { type PeerRules, identifyPeer } from "./peer.ts";
import { readAuthorities, readSecureContext, reloadTls } from "./tls.ts";
import { answerUnreadable } from "./unreadable-requests.ts";

export type ListeningServer = HttpServer | HttpsServer;

/** The ports that are open, before and after there is somebody to answer. */
export interface Listening {
  /** How the world reaches this server. */
  readonly origin: string;
  /** How clients with certificates reach it; undefined when there is no such port. */
  readonly mtlsOrigin: string | undefined;
  /** Hands every request from now on to this listener. Until then each is answered 503. */
  readonly answerWith: (listener: RequestListener) => void;
  /** Takes no new connection, lets requests end, and cuts what is still open after this time. */
  readonly drain: (seconds: number) => Promise<void>;
  readonly close: () => void;
}

export interface ListenParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Longer than a reverse proxy keeps its connections, so that none is closed under a request of its. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000;
const HANDSHAKE_TIMEOUT_MS = 10_000;
const MAX_HEADER_BYTES = 16_384;
/** A connection is closed after this many, so that load balancers get to spread clients anew. */
const MAX_REQUESTS_PER_CONNECTION = 10_000;
/** How soon after its time a slow sender is noticed. */
const SLOW_CHECK_MS = 1_000;
/** While stopping, a connection is closed this soon after its last request. */
const IDLE_CHECK_MS = 50;

/** Opens the ports. They are taken first, because a free one becomes part of the origin that everything is signed with. Throws a ConfigError. */
export async function listen({ config, clock, log }: ListenParts): Promise<Listening> {
  const { host, connectionLimits: limits, trustedProxies: proxies } = config;
  const door = openDoor(config, clock);
  const { main, mtls, secured } = createServers(config);
  const servers = mtls === undefined ? [main] : [main, mtls];
  for (const server of servers) door.guard(server);
  limitConnections(servers, { limits, proxies, log });
  const port = await take(main, { name: "LICET_PORT", host, port: config.port });
  const mtlsPort = await takeSecond(main, mtls, { name: "LICET_MTLS_PORT", host, port: config.mtlsPort ?? 0 });
  const scheme = config.tls === undefined ? "http" : "https";
  const origin = config.origin === "" ? `${scheme}://${urlHost(host)}:${port}` : config.origin;
  door.callItself(origin);
  const stopReloading = reloadTls(config, {
    log,
    use: (options) => {
      door.trustAnew();
      for (const server of secured) server.setSecureContext(options);
    },
  });
  return {
    origin,
    mtlsOrigin: mtlsPort === undefined ? undefined : `https://${new URL(origin).hostname}:${mtlsPort}`,
    answerWith: door.answerWith,
    drain: async (seconds) => {
      stopReloading();
      await Promise.all(servers.map((server) => drain(server, seconds)));
    },
    close: () => {
      stopReloading();
      for (const server of servers) server.close();
    },
  };
}

interface Servers {
  readonly main: ListeningServer;
  /** The one that asks for client certificates. Browsers would show a dialogue at every page if the main one did. */
  readonly mtls: HttpsServer | undefined;
  /** Those with TLS of our own. */
  readonly secured: readonly HttpsServer[];
}

function createServers(config: Config): Servers {
  const secure = readSecureContext(config);
  if (secure === undefined) return { main: createServer(optionsOf(config)), mtls: undefined, secured: [] };
  const options = { ...optionsOf(config), ...secure, handshakeTimeout: HANDSHAKE_TIMEOUT_MS };
  const main = createTlsServer(options);
  if (config.mtlsPort === undefined) return { main, mtls: undefined, secured: [main] };
  const mtls = createTlsServer({ ...options, requestCert: true, rejectUnauthorized: false });
  return { main, mtls, secured: [main, mtls] };
}

/** When the second port cannot be had, the first is given back. */
async function takeSecond(
  main: ListeningServer,
  mtls: HttpsServer | undefined,
  place: Place,
): Promise<number | undefined> {
  if (mtls === undefined) return undefined;
  try {
    return await take(mtls, place);
  } catch (error) {
    main.close();
    throw error;
  }
}

interface Door {
  readonly guard: (server: ListeningServer) => void;
  readonly answerWith: (listener: RequestListener) => void;
  readonly callItself: (origin: string) => void;
  /** Reads the authorities for client certificates again. */
  readonly trustAnew: () => void;
}

/** What every request goes through first, on whichever port. */
function openDoor(config: Config, clock: Clock): Door {
  const latest = new WeakMap<Duplex, ServerResponse>();
  const readRules = (): PeerRules => ({
    proxies: config.trustedProxies,
    certificates: clientCertificatesOf(readAuthorities(config), clock.nowMs),
  });
  let rules = readRules();
  let listener: RequestListener = answerNotReady;
  let { origin } = config;
  return {
    guard: (server) => {
      server.on("request", (request, response) => {
        latest.set(request.socket, response);
        identifyPeer(request, rules);
        listener(request, response);
      });
      server.on("clientError", (error, socket) =>
        answerUnreadable(error, socket, { origin, open: latest.get(socket) }),
      );
    },
    answerWith: (next) => {
      listener = next;
    },
    callItself: (name) => {
      origin = name;
    },
    trustAnew: () => {
      rules = readRules();
    },
  };
}

const answerNotReady: RequestListener = (_request, response) => {
  response.writeHead(503, { "retry-after": "1", "cache-control": "no-store" }).end();
};

function optionsOf({ connectionLimits }: Config): ServerOptions {
  return {
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    headersTimeout: connectionLimits.headersSeconds * 1_000,
    requestTimeout: connectionLimits.requestSeconds * 1_000,
    connectionsCheckingInterval: SLOW_CHECK_MS,
    maxHeaderSize: MAX_HEADER_BYTES,
    requireHostHeader: true,
    insecureHTTPParser: false,
  };
}

interface Place {
  readonly name: "LICET_PORT" | "LICET_MTLS_PORT";
  readonly host: string;
  readonly port: number;
}

async function take(server: ListeningServer, { name, host, port }: Place): Promise<number> {
  server.maxRequestsPerSocket = MAX_REQUESTS_PER_CONNECTION;
  // Every header counts: those beyond Node's own limit would be dropped in silence.
  server.maxHeadersCount = 0;
  server.listen(port, host);
  try {
    await once(server, "listening");
  } catch (error) {
    throw new ConfigError(
      `${name}: cannot listen on ${host}:${port} (${error instanceof Error ? error.message : String(error)})`,
    );
  }
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : port;
}

async function drain(server: ListeningServer, drainSeconds: number): Promise<void> {
  const closed = once(server, "close");
  server.close();
  const idle = setInterval(() => server.closeIdleConnections(), IDLE_CHECK_MS);
  const cut = setTimeout(() => server.closeAllConnections(), drainSeconds * 1_000);
  await closed;
  clearTimeout(cut);
  clearInterval(idle);
}
