import { once } from "node:events";
import { type Server, createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { onTestFinished } from "vitest";
import { type Settings, readEdgeConfig } from "../config.ts";
import { type NodeEdgeOptions, startNodeEdge } from "../node.ts";
import { openStand } from "./stage.ts";
import { SITE, type TestPlatform, openPlatform } from "./test-platform.ts";

/** A server of the test's own on a free port, until the test is over. */
export async function listen(site: Server): Promise<string> {
  site.listen(0, "127.0.0.1");
  await once(site, "listening");
  onTestFinished(() => {
    site.close();
    site.closeAllConnections();
  });
  return `http://127.0.0.1:${(site.address() as AddressInfo).port}`;
}

export interface OpenEdge {
  readonly origin: string;
  readonly platform: TestPlatform;
  readonly close: () => Promise<void>;
}

/** An edge in front of a site of the test's own, or of one that answers 404, with a platform behind it. */
export async function openEdge(
  options: Partial<NodeEdgeOptions> & { readonly settings?: Settings } = {},
): Promise<OpenEdge> {
  const [platform, site] = await Promise.all([openPlatform(), openStand()]);
  const { settings = {}, ...others } = options;
  const edge = await startNodeEdge({
    config: readEdgeConfig({ LICET_ORIGIN: platform.origin, ...settings }),
    upstream: site.origin,
    site: SITE,
    host: "127.0.0.1",
    port: 0,
    log: () => undefined,
    ...others,
  });
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => (closing ??= edge.close());
  onTestFinished(close);
  return { origin: edge.origin, platform, close };
}

/** Sends these very bytes; and `then`, once something came, until it has come back. Answers what came until the end. */
export async function sendRaw(origin: string, bytes: string, then?: string): Promise<string> {
  const { port, hostname } = new URL(origin);
  const socket = connect({ port: Number(port), host: hostname });
  socket.write(bytes, "latin1");
  let text = "";
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    if (text === "" && then !== undefined) socket.write(then);
    text += chunk.toString("utf8");
    if (then !== undefined && text.endsWith(then)) break;
  }
  socket.destroy();
  return text;
}

/** One request as a site got it, on whichever connection. */
export interface GotRequest {
  readonly line: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** A site that answers 200 to everything, and what it got; `delayMs` says how long it takes. */
export async function openSite({ delayMs = 0 } = {}): Promise<{
  readonly origin: string;
  readonly got: readonly GotRequest[];
}> {
  const got: GotRequest[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { method, url, headers } = request;
      got.push({ line: `${method} ${url}`, headers, body: Buffer.concat(chunks).toString("utf8") });
      setTimeout(() => response.end("the site"), delayMs);
    });
  });
  return { origin: await listen(server), got };
}
