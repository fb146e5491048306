import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { prepareWrangler, readConfig } from "./config.ts";
import { type Purge, startCloudflareSimulator } from "./purge-api.ts";
import { startWorker } from "./start-workerd.ts";

const TOKEN_BYTES = 24;

/** A zone of Cloudflare's on this machine: the edge's Worker in workerd, and the API that purges its cache. */
async function main(): Promise<void> {
  const config = readConfig();
  const folder = await mkdtemp(join(tmpdir(), "licet-cloudflare-"));
  prepareWrangler(folder);
  const worker = await startWorker(config.worker, {
    site: config.site,
    purgeToken: randomBytes(TOKEN_BYTES).toString("base64url"),
  });
  const api = await startCloudflareSimulator({
    plan: config.plan,
    domain: new URL(config.site).hostname,
    onPurge: (purge: Purge) => (config.isPurgeDown ? Promise.reject(new Error("down")) : worker.purge(purge)),
  });
  const { token, zone, domain } = api;
  const ready = { ready: true, origin: worker.origin, api: api.api.origin, token, zone, domain };
  process.stdout.write(`${JSON.stringify(ready)}\n`);

  let isEnding = false;
  function stop(): void {
    if (isEnding) return;
    isEnding = true;
    api.close();
    worker
      .stop()
      // workerd may write for a moment longer, so what wrangler removes by itself may come back.
      .finally(() => rm(folder, { recursive: true, force: true, maxRetries: 10 }))
      .then(
        () => process.exit(0),
        () => process.exit(1),
      );
  }
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);
  if (config.exitWithParent) process.stdin.once("close", stop).resume();
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : String(error));
  process.exit(1);
});
