import { once } from "node:events";
import { type IncomingMessage, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** Longer than anybody should take, and shorter than an attempt lasts. */
const SLOW_MS = 9_000;

/** Endpoints of marketplaces, all in this process, which notes when they heard of what. */
export interface WebhookReceiver {
  readonly host: string;
  /** The address of an endpoint that answers at once. */
  readonly urlOf: (index: number) => string;
  readonly slowUrl: string;
  /** When the last of so many endpoints heard of it, on the clock of `performance`. */
  readonly heardMs: (jti: string, endpoints: number) => number | undefined;
  readonly stop: () => Promise<void>;
}

/** When each endpoint first heard of a consent's end. */
type Arrivals = Map<string, Map<string, number>>;

export async function startWebhookReceiver(): Promise<WebhookReceiver> {
  const arrivals: Arrivals = new Map();
  const server = createServer((request, response) => {
    take(arrivals, request, response).catch(() => response.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    host,
    urlOf: (index) => `http://${host}/prompt/${index}`,
    slowUrl: `http://${host}/slow`,
    heardMs: (jti, endpoints) => {
      const heard = [...(arrivals.get(jti)?.values() ?? [])];
      return heard.length < endpoints ? undefined : Math.max(...heard);
    },
    stop: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

async function take(arrivals: Arrivals, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const atMs = performance.now();
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  const answer = (): void => void response.writeHead(200, { "content-type": "application/json" }).end("{}");
  const path = request.url ?? "";
  if (path === "/slow") return void setTimeout(answer, SLOW_MS).unref();
  const { change, jti } = JSON.parse(Buffer.concat(chunks).toString("utf8")) as Record<string, unknown>;
  if (path.startsWith("/prompt/") && change === "revoked" && typeof jti === "string") {
    const heard = arrivals.get(jti) ?? new Map<string, number>();
    // Delivery is at least once: the first counts.
    if (!heard.has(path)) arrivals.set(jti, heard.set(path, atMs));
  }
  answer();
}
