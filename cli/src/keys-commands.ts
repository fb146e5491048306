import type { Command } from "commander";
import { withConfigFile } from "./config-file.ts";
import { ROTATED_PURPOSES } from "./rotated-purposes.ts";
import type { Settings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

const EXIT_CODES = "Exit code: 0 done, 1 the server refused, 2 it could not be tried.";

/** `licet keys …`: the platform's own keys. */
export function addKeysCommands(
  program: Command,
  surroundings: { readonly settings: Settings; readonly terminal: Terminal },
): void {
  const keys = program
    .command("keys")
    .description("the platform's own keys: list, rotate, revoke, and change the master key")
    .helpCommand(false);

  onServer(keys.command("list"))
    .description("show every key: which sign, which are handed over, retired or revoked")
    .addHelpText("after", `\n${EXIT_CODES}`)
    .action(async (flags) => {
      const { listKeys } = await import("./keys.ts");
      process.exitCode = await listKeys(flags, surroundings);
    });

  onServer(keys.command("rotate"))
    .description("hand over to new keys, without a restart")
    .option("--purpose <purpose...>", `of ${ROTATED_PURPOSES.join(", ")} (all but oauth)`)
    .option("--alg <alg>", "EdDSA or ES256 (EdDSA)")
    .addHelpText(
      "after",
      `\nA new key is published first and signs a minute later; the old one stays valid for another 20\nminutes and is then retired. What it signed still verifies.\n${EXIT_CODES}`,
    )
    .action(async (flags) => {
      const { rotateKeys } = await import("./keys.ts");
      process.exitCode = await rotateKeys(flags, surroundings);
    });

  onServer(keys.command("revoke"))
    .description("end a key at once; another takes over")
    .argument("<kid>", "the key, as licet keys list shows it")
    .option("--compromised-since <instant>", "since when somebody else may have signed with it (now)")
    .addHelpText(
      "after",
      `\nPublic documents and acceptances that the key signed since then are signed again with its\nsuccessor. Consents that the platform signed with it since then end: their bytes are pinned in\ndatasets. What it signed before still verifies.\n${EXIT_CODES}`,
    )
    .action(async (kid, flags) => {
      const { revokeKey } = await import("./keys.ts");
      process.exitCode = await revokeKey(kid, flags, surroundings);
    });

  keys
    .command("rewrap")
    .description("seal all private keys and secrets with another master key, while no server runs")
    .option("--config <file>", "read settings from this file, as licet init writes it")
    .option("--new-key-file <file>", "a 0600 file with the new key; it is made when it is not there")
    .option("--data-dir <folder>", "the folder for the embedded database and the master key (LICET_DATA_DIR, ./data)")
    .option("--json", "print the result as JSON")
    .addHelpText(
      "after",
      "\nThe environment is that of licet serve: DATABASE_URL or LICET_DATA_DIR, and LICET_MASTER_KEY when\nthe old key is there. The new key is in LICET_NEW_MASTER_KEY or in --new-key-file; without either a\nnew one takes the place of master.key in the data folder. After a crash everything is sealed with\nthe old key or everything with the new one.\nExit code: 0 done, 1 it failed, 2 the database, the key or a running server do not allow it.",
    )
    .action(async (flags) => {
      const { rewrapKeys } = await import("./keys.ts");
      process.exitCode = await rewrapKeys(flags, {
        ...surroundings,
        settings: withConfigFile(surroundings.settings, flags.config),
      });
    });
}

function onServer(command: Command): Command {
  return command
    .option("--origin <origin>", "the Licet server (LICET_ORIGIN)")
    .option("--token <token>", "the operator's token (LICET_TOKEN, which no process list shows)")
    .option("--json", "print the answer as JSON");
}
