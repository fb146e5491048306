import { type Connection, connectionShape } from "./connection-store.ts";

/** What the marketplace is told by its environment, read once. */
export interface MarketplaceConfig {
  readonly host: string;
  /** 0 lets the system choose a free one. */
  readonly port: number;
  readonly dataDir: string;
  /** Bearer of the marketplace's own API. */
  readonly token: string;
  /** Bearer that the platform presents on registration and when it asks for receipts. */
  readonly platformToken: string;
  /** Exact `host:port` pairs that works may be fetched from although they are private or not https. */
  readonly allowedHosts: readonly string[];
  readonly exitWithParent: boolean;
  /** True for a marketplace that deals with a platform in test mode: it accepts `test: true`, and says so in what it signs. */
  readonly test: boolean;
  /** Stored at start when it is there; otherwise the stored one, or none until PUT /api/v1/connection. */
  readonly connection?: Connection;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Throws, in words, on an environment that is incomplete or contradicts itself. */
export function readConfig(env: Environment): MarketplaceConfig {
  const token = required(env, "MARKETPLACE_TOKEN");
  const platformToken = required(env, "MARKETPLACE_PLATFORM_TOKEN");
  if (token === platformToken)
    throw new Error("MARKETPLACE_TOKEN and MARKETPLACE_PLATFORM_TOKEN: expected two different tokens, got one");
  const portText = env["MARKETPLACE_PORT"] ?? "8790";
  if (!/^\d{1,5}$/.test(portText) || Number(portText) > 65_535)
    throw new Error(`MARKETPLACE_PORT: expected 0 to 65535, got ${portText}`);
  const connection = env["MARKETPLACE_CONNECTION"];
  return {
    host: env["MARKETPLACE_HOST"] ?? "127.0.0.1",
    port: Number(portText),
    dataDir: env["MARKETPLACE_DATA_DIR"] ?? "data/marketplace",
    token,
    platformToken,
    allowedHosts: readAllowedHosts(env["MARKETPLACE_ALLOW_HOSTS"]),
    exitWithParent: env["MARKETPLACE_EXIT_WITH_PARENT"] === "1",
    test: readMode(env["MARKETPLACE_MODE"]) === "test",
    ...(connection === undefined ? {} : { connection: readConnection(connection) }),
  };
}

function readMode(mode = "live"): "live" | "test" {
  if (mode !== "live" && mode !== "test") throw new Error(`MARKETPLACE_MODE: expected live or test, got ${mode}`);
  return mode;
}

function readAllowedHosts(text = ""): readonly string[] {
  const hosts = text
    .split(",")
    .map((host) => host.trim())
    .filter((host) => host !== "");
  const wrong = hosts.find((host) => !/^(\[[0-9a-f:]+\]|[a-z0-9.-]+):\d{1,5}$/.test(host));
  if (wrong !== undefined)
    throw new Error(`MARKETPLACE_ALLOW_HOSTS: expected host:port pairs separated by commas, got ${wrong}`);
  return hosts;
}

function required(env: Environment, name: string): string {
  const value = env[name];
  if (value === undefined || value === "") throw new Error(`${name}: expected a token, got none`);
  return value;
}

function readConnection(text: string): Connection {
  const parsed = connectionShape.safeParse(JSON.parse(text));
  if (!parsed.success)
    throw new Error(
      `MARKETPLACE_CONNECTION: ${parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`).join("; ")}`,
    );
  return parsed.data;
}
