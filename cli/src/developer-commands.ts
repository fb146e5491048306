import type { Command } from "commander";
import { listen } from "./listen.ts";
import type { Settings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

/** `licet listen`, for who builds a marketplace. */
export function addDeveloperCommands(
  program: Command,
  surroundings: { readonly settings: Settings; readonly terminal: Terminal },
): void {
  program
    .command("listen")
    .description("send a marketplace's events to a webhook receiver on this machine")
    .requiredOption("--forward <url>", "where to, such as http://127.0.0.1:3000/webhooks/consent-updated")
    .option("--origin <origin>", "the Licet server (LICET_ORIGIN)")
    .option(
      "--after <position>",
      "begin after this position; 0 is everything since the offers (what happens from now on)",
    )
    .option("--secret <secret>", "sign with this whsec_ secret (a new one, which is printed)")
    .option("--allow-remote", "let --forward be a URL of another machine")
    .option("--json", "print JSON, one line for each event")
    .addHelpText(
      "after",
      "\nWith LICET_CLIENT_ID and LICET_CLIENT_SECRET of a marketplace (scope events:read). The secret is\nprinted first; give it to the receiver. Each event is posted once, with the members and headers of\na webhook, and is one line: its position, what happened, and the answer. Webhook endpoints that\nare registered get theirs all the same.\nExit code: 0 stopped with Ctrl-C, 1 the platform refused, 2 it could not be tried.",
    )
    .action(async (flags) => {
      process.exitCode = await listen(flags, surroundings);
    });
}
