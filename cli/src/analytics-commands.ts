import type { Command } from "commander";
import type { Settings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

/** `licet analytics …`: what the server keeps added up. */
export function addAnalyticsCommands(
  program: Command,
  surroundings: { readonly settings: Settings; readonly terminal: Terminal },
): void {
  const analytics = program
    .command("analytics")
    .description("usage and earnings as the server keeps them added up: count them anew, check them")
    .helpCommand(false);

  onServer(analytics.command("rebuild"))
    .description("empty what is added up and count it anew from receipts and ledger")
    .option("--no-wait", "do not wait until everything is counted")
    .addHelpText(
      "after",
      "\nReceipts and ledger stay as they are. Until everything is counted again, reports are incomplete and\nsay so (complete_to).\nExit code: 0 done, 1 the server refused or stopped counting, 2 it could not be tried.",
    )
    .action(async (flags) => {
      const { rebuildAnalytics } = await import("./analytics.ts");
      process.exitCode = await rebuildAnalytics(flags, surroundings);
    });

  onServer(analytics.command("check"))
    .description("compare what is added up with receipts and ledger")
    .addHelpText(
      "after",
      "\nThe server reads every receipt and every entry of the ledger, which takes seconds for millions.\nExit code: 0 they agree, 1 they differ or the server refused, 2 it could not be tried.",
    )
    .action(async (flags) => {
      const { checkAnalytics } = await import("./analytics.ts");
      process.exitCode = await checkAnalytics(flags, surroundings);
    });
}

function onServer(command: Command): Command {
  return command
    .option("--origin <origin>", "the Licet server (LICET_ORIGIN)")
    .option("--token <token>", "the operator's token (LICET_TOKEN, which no process list shows)")
    .option("--json", "print the answer as JSON");
}
