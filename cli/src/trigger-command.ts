import type { Command } from "commander";
import type { Settings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";
import { TRIGGERED_EVENTS } from "./trigger-events.ts";
import { trigger } from "./trigger.ts";

/** `licet trigger`. */
export function addTriggerCommand(
  program: Command,
  surroundings: { readonly settings: Settings; readonly terminal: Terminal },
): void {
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
      process.exitCode = await trigger(event, flags, surroundings);
    });
}
