import { CLOUDFLARE_LIMITS } from "./purge-api.ts";

/** What stands for Cloudflare on this machine. */
export interface CloudflareConfig {
  /** `LICET_…`: the settings of the Worker. */
  readonly worker: Readonly<Record<string, string>>;
  /** The site's address as the world knows it. */
  readonly site: string;
  readonly plan: keyof typeof CLOUDFLARE_LIMITS;
  /** No purge succeeds. */
  readonly isPurgeDown: boolean;
  /** Stop when standard input closes, so that a killed parent leaves no orphan. */
  readonly exitWithParent: boolean;
}

/** How wrangler finds our workspaces' sources; there is no key for it in its configuration. */
const BUILD_CONDITIONS = "@licet/source,workerd,worker,browser,import";

/**
 * wrangler takes these from the environment alone. What it writes, its logs too, goes into `folder`;
 * what it has to say goes to standard error, since standard output is for our own line.
 */
export function prepareWrangler(folder: string): void {
  process.env["WRANGLER_BUILD_CONDITIONS"] = BUILD_CONDITIONS;
  process.env["WRANGLER_SEND_METRICS"] = "false";
  // It would ask Cloudflare where this machine is.
  process.env["CLOUDFLARE_CF_FETCH_ENABLED"] = "false";
  for (const name of ["TMPDIR", "TEMP", "TMP", "XDG_CONFIG_HOME"]) process.env[name] = folder;
  console.log = console.error;
  console.info = console.error;
}

export function readConfig(env: NodeJS.ProcessEnv = process.env): CloudflareConfig {
  const site = env["CLOUDFLARE_SITE"] ?? "";
  if (!URL.canParse(site)) throw new Error(`CLOUDFLARE_SITE: expected the origin of a site, got ${site || "none"}`);
  const plan = planOf(env["CLOUDFLARE_PLAN"] ?? "enterprise");
  return {
    worker: Object.fromEntries(
      Object.entries(env).flatMap(([name, value]): [string, string][] =>
        name.startsWith("LICET_") && value !== undefined ? [[name, value]] : [],
      ),
    ),
    site: new URL(site).origin,
    plan,
    isPurgeDown: env["CLOUDFLARE_PURGE_DOWN"] === "1",
    exitWithParent: env["CLOUDFLARE_EXIT_WITH_PARENT"] === "1",
  };
}

function planOf(text: string): CloudflareConfig["plan"] {
  switch (text) {
    case "free":
    case "pro":
    case "business":
    case "enterprise":
      return text;
    default:
      throw new Error(`CLOUDFLARE_PLAN: expected ${Object.keys(CLOUDFLARE_LIMITS).join(", ")}, got ${text}`);
  }
}
