import { isOrigin } from "@licet/protocol";
import { type Settings, SettingsError, readEdgeConfig } from "./config.ts";
import { type NodeEdge, type NodeEdgeOptions, startNodeEdge } from "./node.ts";
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
  const site = settings["LICET_EDGE_SITE"] || undefined;
  if (site !== undefined && !isOrigin(site))
    throw new SettingsError(`LICET_EDGE_SITE: expected an origin such as https://works.example, got ${site}`);
  const port = settings["LICET_EDGE_PORT"] || DEFAULT_PORT;
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535)
    throw new SettingsError(`LICET_EDGE_PORT: expected 0 to 65535, got ${port}`);
  return {
    config: readEdgeConfig(settings),
    upstream,
    ...(site === undefined ? {} : { site }),
    host: settings["LICET_EDGE_HOST"] || "127.0.0.1",
    port: Number(port),
    log,
  };
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
