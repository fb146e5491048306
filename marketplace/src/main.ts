import { readConfig } from "./config.ts";
import { type RunningMarketplace, startMarketplace } from "./start-marketplace.ts";

/** A process that is told to end has this long to finish what it is doing. */
const GRACE_SECONDS = 5;

async function main(): Promise<void> {
  const config = readConfig(process.env);
  const marketplace = await startMarketplace(config);
  const end = endOnce(marketplace);
  process.once("SIGTERM", end);
  process.once("SIGINT", end);
  if (config.exitWithParent) {
    process.stdin.once("end", end);
    process.stdin.once("close", end);
    process.stdin.resume();
  }
  process.stdout.write(
    `${JSON.stringify({ ready: true, origin: marketplace.origin, receipt_jwk: marketplace.receiptJwk })}\n`,
  );
}

function endOnce(marketplace: RunningMarketplace): () => void {
  let isEnding = false;
  return () => {
    if (isEnding) return;
    isEnding = true;
    setTimeout(() => process.exit(0), GRACE_SECONDS * 1000).unref();
    marketplace.close().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  };
}

main().catch((error: unknown) => {
  process.stderr.write(
    `${JSON.stringify({ level: "fatal", error: error instanceof Error ? error.message : String(error) })}\n`,
  );
  process.exit(1);
});
