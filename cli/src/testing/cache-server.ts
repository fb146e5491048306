import { type IncomingHttpHeaders, type IncomingMessage, type ServerResponse, createServer } from "node:http";
import { once } from "node:events";

/** How the cache misbehaves; each test sets what it needs. */
export interface CacheFaults {
  /** Says this instead of the origin's Cache-Control. */
  cacheControl?: string;
  /** Says that everything has been kept for this long. */
  ageSeconds?: number;
  /** Writes a Date of its own, this far from the present. */
  dateShiftSeconds?: number;
  /** Changes the body on its way. */
  rewrite?: (body: string) => string;
  /** Every second reading of a path gets what was there when the copies were frozen. */
  replaysFrozen?: boolean;
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** A shared cache between a server and its readers, as a CDN is. */
export interface CacheServer {
  readonly origin: string;
  /** The server behind it. */
  upstream: string;
  faults: CacheFaults;
  /** Keeps what the paths answer now. */
  readonly freeze: (paths: readonly string[]) => Promise<void>;
  readonly close: () => Promise<void>;
}

const PASSED_ON = ["authorization", "content-type", "if-none-match"] as const;
const NOT_PASSED_BACK = ["connection", "content-length", "content-encoding", "transfer-encoding", "keep-alive"];

export async function startCacheServer(): Promise<CacheServer> {
  const frozen = new Map<string, Answer>();
  const readings = new Map<string, number>();
  const server = createServer((request, response) => void serve(request, response));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new TypeError("expected a port");
  const { port } = address;
  const cache: CacheServer = {
    origin: `http://127.0.0.1:${port}`,
    upstream: "",
    faults: {},
    freeze: async (paths) => {
      for (const path of paths) frozen.set(path, await readUpstream(cache.upstream + path, {}, "GET", undefined));
      readings.clear();
    },
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? "/";
    const body = request.method === "GET" ? undefined : await bodyOf(request);
    try {
      const answer =
        replay(request, path) ??
        (await readUpstream(cache.upstream + path, request.headers, request.method ?? "GET", body));
      const { status, headers, body: text } = answer;
      const { cacheControl, ageSeconds, dateShiftSeconds, rewrite } = cache.faults;
      response.writeHead(status, {
        ...headers,
        ...(cacheControl === undefined ? {} : { "cache-control": cacheControl }),
        ...(ageSeconds === undefined ? {} : { age: String(ageSeconds), "x-cache": "HIT" }),
        ...(dateShiftSeconds === undefined
          ? {}
          : { date: new Date(Date.now() + dateShiftSeconds * 1_000).toUTCString() }),
      });
      response.end(rewrite === undefined ? text : rewrite(text));
    } catch {
      response.writeHead(502).end();
    }
  }

  function replay(request: IncomingMessage, path: string): Answer | undefined {
    if (cache.faults.replaysFrozen !== true || request.headers["if-none-match"] !== undefined) return undefined;
    const reading = (readings.get(path) ?? 0) + 1;
    readings.set(path, reading);
    return reading % 2 === 0 ? frozen.get(path) : undefined;
  }

  return cache;
}

async function readUpstream(
  url: string,
  headers: IncomingHttpHeaders,
  method: string,
  body: string | undefined,
): Promise<Answer> {
  const passed = PASSED_ON.flatMap((name) => {
    const value = headers[name];
    return typeof value === "string" ? [[name, value] satisfies [string, string]] : [];
  });
  const response = await fetch(url, {
    method,
    headers: passed,
    ...(body === undefined ? {} : { body }),
    redirect: "manual",
  });
  return {
    status: response.status,
    headers: Object.fromEntries([...response.headers].filter(([name]) => !NOT_PASSED_BACK.includes(name))),
    body: await response.text(),
  };
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of request.setEncoding("utf8")) text += String(chunk);
  return text;
}
