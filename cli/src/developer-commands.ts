import type { Command } from "commander";
import type { Settings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";
import { TRIGGERED_EVENTS } from "./trigger-events.ts";

interface Surroundings {
  readonly settings: Settings;
  readonly terminal: Terminal;
}

/** `licet listen` and `licet trigger`, for who builds a marketplace. */
export function addDeveloperCommands(program: Command, surroundings: Surroundings): void {
  addListenCommand(program, surroundings);
  addTriggerCommand(program, surroundings);
}

function addListenCommand(program: Command, surroundings: Surroundings): void {
  program
    .command("listen")
    .description("send a marketplace's events to a webhook receiver on this machine")
    .requiredOption("--forward <url>", "where to, such as http://127.0.0.1:3000/webhooks/consent-updated")
    .option("--origin <origin>", "the Licet server (LICET_ORIGIN)")
    .option(
      "--after <position>",
      "begin after this position; 0 is everything since the offers (what happens from now on)",
    )
    .option(
      "--secret <secret>",
      "sign with this whsec_ secret (LICET_WEBHOOK_SECRET, which no process list shows; or a new one, which is printed)",
    )
    .option("--allow-remote", "let --forward be a URL of another machine")
    .option("--json", "print JSON, one line for each event")
    .addHelpText(
      "after",
      "\nWith LICET_CLIENT_ID and LICET_CLIENT_SECRET of a marketplace (scope events:read). A secret that\nit makes itself is printed first; give it to the receiver. Each event is posted once, with the members and headers of\na webhook, and is one line: its position, what happened, and the answer. Webhook endpoints that\nare registered get theirs all the same.\nExit code: 0 stopped with Ctrl-C, 1 the platform refused, 2 it could not be tried.",
    )
    .action(async (flags) => {
      const { listen } = await import("./listen.ts");
      process.exitCode = await listen(flags, surroundings);
    });
}

function addTriggerCommand(program: Command, surroundings: Surroundings): void {
  const events = Object.entries(TRIGGERED_EVENTS).map(([name, { says }]) => `  ${name.padEnd(19)} ${says}`);
  program
    .command("trigger")
    .description("cause an event on a server in test mode, with everything it takes, for whoever writes a receiver")
    .argument("<event>", "such as consent.revoked; the list is below")
    .option("--marketplace <id>", "offer the dataset to this marketplace first, and wait for its answer")
    .option("--dataset <id>", "do it to a work and a consent of this dataset, instead of new ones")
    .option("--live", "also on a live server, when it is on this machine")
    .option("--origin <origin>", "the Licet server (LICET_ORIGIN)")
    .option("--token <token>", "the operator's token (LICET_TOKEN, which no process list shows)")
    .addHelpText(
      "after",
      `\nEvents:\n${events.join("\n")}\n\nWithout --dataset it makes a creator with a key, a small work, a consent and a dataset. They stay\non the server. The first version of a dataset is no news to anybody, so dataset.published makes\nanother one.\nA live server is refused, because its consents are people's and its marketplaces real.\nExit code: 0 done, 1 a step was refused or the marketplace did not take the message, 2 it could not\nbe tried.`,
    )
    .action(async (event, flags) => {
      const { trigger } = await import("./trigger.ts");
      process.exitCode = await trigger(event, flags, surroundings);
    });
}
