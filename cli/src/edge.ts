import { isOrigin } from "@licet/protocol";
import { readyText, startProgram } from "./child-process.ts";
import { CommandError } from "./command-error.ts";
import type { Settings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

export interface EdgeFlags {
  readonly origin?: string;
  readonly upstream?: string;
  readonly site?: string;
  readonly routes?: string;
  readonly licenseUrl?: string;
  readonly port?: string;
  readonly host?: string;
}

const FORWARDED = ["SIGINT", "SIGTERM", "SIGHUP"] as const satisfies readonly NodeJS.Signals[];

/** `licet edge`: the edge in front of a site, in the foreground. Ends when it ends, with its exit code. */
export async function edge(
  flags: EdgeFlags,
  { settings, terminal }: { readonly settings: Settings; readonly terminal: Terminal },
): Promise<number> {
  const environment = environmentOf(flags, settings);
  const program = startProgram({ name: "the edge", entry: edgeEntry(), environment, errors: "inherit" });
  for (const signal of FORWARDED) process.on(signal, () => program.signal(signal === "SIGHUP" ? "SIGTERM" : signal));
  if (settings.exitWithParent) process.stdin.once("close", () => void program.stop()).resume();
  // An edge that does not start has said why on standard error, which is ours too.
  const ready = await Promise.race([program.ended, program.ready]);
  if (typeof ready === "number") return ready;
  const { LICET_ORIGIN: origin = "", LICET_EDGE_UPSTREAM: upstream = "" } = environment;
  terminal.print(
    [
      `The edge is running at ${terminal.paint("bold", readyText(ready, "origin"))} (Ctrl-C stops it).`,
      `It hands on to ${upstream} what may pass, by what ${origin} says.`,
    ].join("\n"),
  );
  const exitCode = await program.ended;
  process.stdin.destroy();
  return exitCode;
}

/** The edge's own entry, beside what its package exports. */
function edgeEntry(): string {
  const exported = import.meta.resolve("@licet/edge");
  return new URL(exported.endsWith(".ts") ? "./main.ts" : "./main.js", exported).href;
}

function environmentOf(
  { origin, upstream, site, routes, licenseUrl, port, host }: EdgeFlags,
  { environment }: Settings,
): Settings["environment"] {
  const given = {
    LICET_ORIGIN: origin,
    LICET_EDGE_UPSTREAM: upstream,
    LICET_EDGE_SITE: site,
    LICET_EDGE_ROUTES: routes,
    LICET_EDGE_LICENSE_URL: licenseUrl,
    LICET_EDGE_PORT: port,
    LICET_EDGE_HOST: host,
  };
  const flags = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const merged: Settings["environment"] = { ...environment, ...flags, LICET_EXIT_WITH_PARENT: "1" };
  demandOrigin(merged["LICET_ORIGIN"], "--origin, or LICET_ORIGIN: expected the Licet server");
  demandOrigin(merged["LICET_EDGE_UPSTREAM"], "--upstream, or LICET_EDGE_UPSTREAM: expected the site behind the edge");
  if (!merged["LICET_EDGE_SITES"])
    demandOrigin(merged["LICET_EDGE_SITE"], "--site, or LICET_EDGE_SITE: expected how the world calls the site");
  return merged;
}

function demandOrigin(value: string | undefined, expected: string): void {
  if (value === undefined || !isOrigin(value))
    throw new CommandError(`${expected}, an origin such as https://site.example, got ${value || "none"}`, 2);
}
