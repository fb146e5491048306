import { fileURLToPath } from "node:url";

export interface PlatformConfig {
  /** 0 asks the system for a free port. */
  readonly port: number;
  readonly host: string;
  readonly catalogueRoot: string;
  /** Stop when standard input closes, so that a killed parent leaves no orphan. */
  readonly exitWithParent: boolean;
}

export function readConfig(env: NodeJS.ProcessEnv = process.env): PlatformConfig {
  const port = env.PLATFORM_PORT ?? "0";
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535) {
    throw new Error(`PLATFORM_PORT: expected a port from 0 to 65535, got ${JSON.stringify(port)}`);
  }
  return {
    port: Number(port),
    host: env.PLATFORM_HOST ?? "127.0.0.1",
    catalogueRoot: env.PLATFORM_CATALOGUE ?? fileURLToPath(new URL("../../catalogue", import.meta.url)),
    exitWithParent: env.PLATFORM_EXIT_WITH_PARENT === "1",
  };
}
