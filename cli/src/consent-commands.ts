import type { Command } from "commander";
import type { Settings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

const EXIT_CODES = "Exit code: 0 done, 1 it was declined or the server refused, 2 it could not be tried.";

/** `licet consent`, `licet revoke` and `licet revocation`: what a creator gives, takes back, and how far that is. */
export function addConsentCommands(
  program: Command,
  surroundings: { readonly settings: Settings; readonly terminal: Terminal },
): void {
  onServer(program.command("consent"))
    .description("show a creator the words of a consent, sign them with the creator's own key, and hand it in")
    .requiredOption("--creator <id>", "whose consent it is: the platform's pseudonym for the creator")
    .requiredOption("--key <file>", "the creator's private key (JWK, 0600); it is made when it is not there")
    .option("--subject <subject>", "content:<id>, dataset:<id> or creator:<id> (all works of the creator)")
    .option("--scope <uses>", "what is allowed, separated by commas", "training,commercial")
    .option("--price-floor <price>", "what it must pay at least", "per-token:0")
    .option("--days <days>", "how long it stands", "365")
    .option("--license <license>", "the terms (the server's default: paid_training:1.0)")
    .option("--audience <ids>", "marketplaces it is for, separated by commas (all)")
    .option("--prohibit <uses>", "what is forbidden whatever the scope says, separated by commas")
    .option("--future-works", "works that are registered later, too")
    .option("--language <language>", "of the words (en)")
    .option("--alg <alg>", "of a new key: EdDSA or ES256", "EdDSA")
    .option("--yes", "sign without asking: the creator has read the words elsewhere")
    .addHelpText(
      "after",
      `\nA platform's own pages do this in the creator's browser, where the key never leaves the device;\nthis is for the first consent, for trying, and for creators with a terminal. LICET_TOKEN is the\noperator's token, or a session of the creator's own (licet_cr_…).\n${EXIT_CODES}`,
    )
    .action(async (flags) => {
      const { consent } = await import("./consent.ts");
      process.exitCode = await consent(flags, surroundings);
    });
  onServer(program.command("revoke"))
    .description("take a consent back: when it is done, the public documents say so")
    .argument("<jti>", "the consent, as licet consent names it")
    .option("--reason <reason>", "such as creator_requested_revocation")
    .addHelpText("after", `\n${EXIT_CODES}`)
    .action(async (jti, flags) => {
      const { revoke } = await import("./revoke.ts");
      process.exitCode = await revoke(jti, flags, surroundings);
    });
  onServer(program.command("revocation"))
    .description("how far something that was taken back has come: each leg, with its milliseconds")
    .argument("<id>", "a revocation_id (evt_…), the jti of a consent, or the event_id of a webhook")
    .option("--follow", "print legs as they happen, until everybody has it")
    .addHelpText(
      "after",
      "\nLegs are: committed, each purge of a cache, each edge, each webhook that was taken, and each\nmarketplace's word that it has stopped. LICET_TOKEN is the operator's token or a creator's session;\nLICET_CLIENT_ID and LICET_CLIENT_SECRET of a client with events:read will do.\nExit code: 0 shown (with --follow, everybody has it), 1 the server refused or went away, 2 it could not be tried.",
    )
    .action(async (id, flags) => {
      const { showRevocation } = await import("./revocation.ts");
      process.exitCode = await showRevocation(id, flags, surroundings);
    });
}

function onServer(command: Command): Command {
  return command
    .option("--origin <origin>", "the Licet server (LICET_ORIGIN)")
    .option("--token <token>", "the operator's or the creator's token (LICET_TOKEN, which no process list shows)")
    .option("--json", "print the result as JSON");
}
