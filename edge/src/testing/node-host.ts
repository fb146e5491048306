import { once } from "node:events";
import { type IncomingMessage, request as sendRequest } from "node:http";
import { type Settings, readEdgeConfig } from "../config.ts";
import { startNodeEdge } from "../node.ts";
import type { Answered, Asking, TestEdge } from "./test-edge.ts";

/** The proxy on Node, asked over a connection of its own, so that what is sent is sent as it is written. */
export async function startHost(
  settings: Settings,
  { upstream, site }: { readonly upstream: string; readonly site: string },
): Promise<TestEdge> {
  const config = readEdgeConfig(settings);
  const edge = await startNodeEdge({ config, upstream, site, host: "127.0.0.1", port: 0, log: () => undefined });
  return {
    ask: (asking) => ask(edge.origin, site, asking),
    settle: async () => undefined,
    close: edge.close,
  };
}

async function ask(
  origin: string,
  site: string,
  { target = "/", method = "GET", headers = [], body }: Asking,
): Promise<Answered> {
  const { hostname, port } = new URL(origin);
  const lines = [["host", new URL(site).host], ...headers];
  if (body !== undefined) lines.push(["content-length", String(Buffer.byteLength(body))]);
  const request = sendRequest({
    hostname,
    port,
    method,
    path: target,
    headers: lines.flat(),
    agent: false,
    setHost: false,
  });
  request.end(body);
  const [response] = (await once(request, "response")) as [IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
  const answered = new Headers();
  for (let at = 0; at + 1 < response.rawHeaders.length; at += 2)
    answered.append(response.rawHeaders[at] ?? "", response.rawHeaders[at + 1] ?? "");
  return { status: response.statusCode ?? 0, headers: answered, text: Buffer.concat(chunks).toString("utf8") };
}
