import { isOrigin } from "@licet/protocol";
import { isIP, isIPv4 } from "node:net";
import { type Settings, SettingsError, readEdgeConfig } from "./config.ts";
import { DEFAULT_CLIENT_CONNECTIONS, type NodeEdge, type NodeEdgeOptions, startNodeEdge } from "./node.ts";
import type { LogEntry } from "./ports.ts";

const DEFAULT_PORT = "4243";

/** The process of `licet edge`: its settings are its environment, its first line says that it is ready. */
async function main(): Promise<void> {
  const edge = await startNodeEdge(readOptions(process.env));
  const end = endOnce(edge);
  process.once("SIGTERM", end);
  process.once("SIGINT", end);
  if (process.env["LICET_EXIT_WITH_PARENT"] === "1") process.stdin.once("close", end).resume();
  process.stdout.write(`${JSON.stringify({ ready: true, origin: edge.origin })}\n`);
}

function readOptions(settings: Settings): NodeEdgeOptions {
  const upstream = settings["LICET_EDGE_UPSTREAM"] ?? "";
  if (!isOrigin(upstream))
    throw new SettingsError(
      `LICET_EDGE_UPSTREAM: expected the origin of the site, such as http://127.0.0.1:8080, got ${upstream || "none"}`,
    );
  const port = settings["LICET_EDGE_PORT"] || DEFAULT_PORT;
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535)
    throw new SettingsError(`LICET_EDGE_PORT: expected 0 to 65535, got ${port}`);
  return {
    config: readEdgeConfig(settings),
    upstream,
    site: readSites(settings),
    trustedProxies: readProxies(settings["LICET_EDGE_TRUST_PROXY"]),
    clientConnections: readConnections(settings["LICET_EDGE_CLIENT_CONNECTIONS"]),
    host: settings["LICET_EDGE_HOST"] || "127.0.0.1",
    port: Number(port),
    log,
  };
}

/** One site or several; never whatever a request says in Host. */
function readSites(settings: Settings): readonly string[] {
  const sites = wordsOf([settings["LICET_EDGE_SITE"], settings["LICET_EDGE_SITES"]].join(" "));
  const wrong = sites.find((site) => !isOrigin(site));
  if (sites.length === 0 || wrong !== undefined)
    throw new SettingsError(
      `LICET_EDGE_SITE, or several in LICET_EDGE_SITES: expected an origin such as https://works.example, got ${wrong ?? "none"}`,
    );
  return sites;
}

function readProxies(text = ""): readonly string[] {
  const proxies = wordsOf(text);
  const wrong = proxies.find((proxy) => !isNetwork(proxy));
  if (wrong !== undefined)
    throw new SettingsError(`LICET_EDGE_TRUST_PROXY: expected addresses, or networks such as 10.0.0.0/8, got ${wrong}`);
  return proxies;
}

function isNetwork(text: string): boolean {
  const [address = "", bits] = text.split("/");
  const most = isIPv4(address) ? 32 : 128;
  return isIP(address) !== 0 && (bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= most));
}

function readConnections(text = ""): number {
  if (text === "") return DEFAULT_CLIENT_CONNECTIONS;
  const connections = Number(text);
  if (!/^\d{1,3}$/.test(text) || connections < 1)
    throw new SettingsError(`LICET_EDGE_CLIENT_CONNECTIONS: expected 1 to 999, got ${text}`);
  return connections;
}

function wordsOf(text: string): readonly string[] {
  return text.split(/[\s,]+/).filter((word) => word !== "");
}

function log(entry: LogEntry): void {
  process.stderr.write(`${JSON.stringify({ at: new Date().toISOString(), ...entry })}\n`);
}

function endOnce(edge: NodeEdge): () => void {
  let isEnding = false;
  return () => {
    if (isEnding) return;
    isEnding = true;
    edge.close().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  };
}

main().catch((error: unknown) => {
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(error instanceof SettingsError ? `licet edge: ${message}\n` : `licet edge failed: ${message}\n`);
  process.exit(error instanceof SettingsError ? 2 : 1);
});
