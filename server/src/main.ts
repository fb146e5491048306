import { ConfigError, readConfig } from "./config.ts";

/** The server as a process: environment in, one JSON line out when ready, SIGTERM to stop. */
async function main(): Promise<void> {
  const task = process.argv.slice(2);
  if (task.length > 0) {
    const { runOffline } = await import("./offline.ts");
    // Whatever is not committed by then is undone.
    if (process.env["LICET_EXIT_WITH_PARENT"] === "1") process.stdin.on("end", () => process.exit(1)).resume();
    await runOffline(
      task,
      () => readConfig(process.env),
      (line) => void process.stdout.write(`${JSON.stringify(line)}\n`),
    );
    process.stdin.removeAllListeners("end").destroy();
    return;
  }
  const config = readConfig(process.env);
  // Loaded only now, so that a bad setting is answered at once and with one line.
  const { startServer } = await import("./start-server.ts");
  const running = await startServer({ config });
  const ready = {
    ready: true,
    origin: running.origin,
    ...(running.bootstrapToken === undefined ? {} : { operator_token: running.bootstrapToken }),
  };

  let stopping: Promise<void> | undefined;
  const stop = (): void => {
    stopping ??= running.stop().then(() => process.exit(0));
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  if (config.exitWithParent) process.stdin.on("end", stop).resume();
  process.stdout.write(`${JSON.stringify(ready)}\n`);
}

main().catch((error: unknown) => {
  process.stderr.write(
    error instanceof ConfigError
      ? `licet: ${error.message}\n`
      : `licet: ${error instanceof Error ? error.stack : String(error)}\n`,
  );
  process.exit(error instanceof ConfigError ? 2 : 1);
});
