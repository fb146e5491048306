import { serve } from "@hono/node-server";
import { readCatalogue } from "./catalogue.ts";
import { readConfig } from "./config.ts";
import { createSite } from "./site.ts";

/** How long open downloads may take to finish once the platform is asked to stop. */
const STOP_GRACE_MS = 2000;

async function main(): Promise<void> {
  const config = readConfig();
  const site = createSite(await readCatalogue(config.catalogueRoot));
  const server = serve({ fetch: site.fetch, port: config.port, hostname: config.host }, ({ address, family, port }) => {
    const host = family === "IPv6" ? `[${address}]` : address;
    console.log(JSON.stringify({ ready: true, origin: `http://${host}:${port}` }));
  });
  server.on("error", fail);

  function stop(): void {
    server.close();
    if ("closeAllConnections" in server) {
      setTimeout(() => server.closeAllConnections(), STOP_GRACE_MS).unref();
    }
    if (config.exitWithParent) process.stdin.destroy();
  }

  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);
  if (config.exitWithParent) process.stdin.once("close", stop).resume();
}

function fail(error: Error): void {
  console.error(error.message);
  process.exit(1);
}

main().catch(fail);
