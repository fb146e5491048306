import { fileURLToPath } from "node:url";
import { unstable_startWorker } from "wrangler";
import type { Purge } from "./purge-api.ts";
import { PURGE_PATH } from "./purge-path.ts";

/** The edge's Worker in a workerd of its own. */
export interface RunningWorker {
  readonly origin: string;
  /** Empties the cache as a purge does. */
  readonly purge: (purge: Purge) => Promise<void>;
  readonly stop: () => Promise<void>;
}

const CONFIG = fileURLToPath(new URL("../wrangler.jsonc", import.meta.url));

/** Starts the Worker with these settings on a free port of this machine. `site` is where the world finds what is behind it. */
export async function startWorker(
  settings: Readonly<Record<string, string>>,
  { site, purgeToken }: { readonly site: string; readonly purgeToken: string },
): Promise<RunningWorker> {
  const variables = { ...settings, SIMULATED_SITE: site, SIMULATED_PURGE_TOKEN: purgeToken };
  const worker = await unstable_startWorker({
    config: CONFIG,
    bindings: Object.fromEntries(
      Object.entries(variables).map(([name, value]) => [name, { type: "plain_text" as const, value }]),
    ),
    dev: {
      server: { hostname: "127.0.0.1", port: 0 },
      inspector: false,
      persist: false,
      logLevel: "error",
      watch: false,
    },
  });
  await worker.ready;
  const { origin } = await worker.url;
  return {
    origin,
    purge: async (purge) => {
      const response = await fetch(`${origin}${PURGE_PATH}`, {
        method: "POST",
        headers: { authorization: `Bearer ${purgeToken}` },
        body: JSON.stringify(purge),
      });
      if (!response.ok) throw new Error(`expected the Worker to purge its cache, got ${response.status}`);
    },
    stop: () => worker.dispose(),
  };
}
