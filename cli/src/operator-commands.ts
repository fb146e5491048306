import type { Command } from "commander";
import { withConfigFile } from "./config-file.ts";
import type { Settings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

/** `licet init` and `licet doctor`. */
export function addOperatorCommands(
  program: Command,
  surroundings: { readonly settings: Settings; readonly terminal: Terminal },
): void {
  program
    .command("init")
    .description("ask what a server needs, and write its settings and its master key")
    .argument("[folder]", "where licet.env and master.key go", ".")
    .option("--origin <origin>", "how the world reaches the server")
    .option("--host <address>", "the address to listen on")
    .option("--port <port>", "the port to listen on")
    .option("--tls <who>", "proxy, own or none")
    .option("--tls-cert <file>", "with --tls own")
    .option("--tls-key <file>", "with --tls own")
    .option("--trusted-proxies <ranges>", "with --tls proxy")
    .option("--database <engine>", "embedded or postgres")
    .option("--database-url <url>", "with --database postgres; it is tried at once")
    .option("--data-dir <folder>", "from the folder")
    .option("--journal-dir <folder>", "from the folder")
    .option("--copies-dir <folder>", "copies of the public documents")
    .option("--mode <mode>", "live or test")
    .option("--yes", "ask nothing, take the defaults")
    .action(async (folder, flags) => {
      const { init } = await import("./init.ts");
      process.exitCode = await init(folder, flags, surroundings);
    });
  program
    .command("doctor")
    .description("look at a server's settings, database, folders and backups, and at what the world gets from it")
    .option("--config <file>", "settings as licet init writes them: looks at this machine, too")
    .option("--origin <origin>", "the server as the world reaches it (LICET_ORIGIN)")
    .option("--dataset <id...>", "datasets whose documents are looked at (with LICET_TOKEN, the first there is)")
    .option("--backups <folder>", "where backups are: is the newest whole, and new enough?")
    .option("--token <token>", "the operator's token (LICET_TOKEN, which no process list shows)")
    .option("--json", "print the findings as JSON")
    .addHelpText(
      "after",
      "\nChanges nothing. Run it as the server's user on the server's machine, and with --origin alone from\nanywhere else, behind the caches that readers are behind.\nExit code: 0 nothing is wrong (there may be warnings), 1 something is, 2 it could not be tried.",
    )
    .action(async (flags) => {
      const settings = withConfigFile(surroundings.settings, flags.config);
      const { doctor } = await import("./doctor/doctor.ts");
      process.exitCode = await doctor(flags, { ...surroundings, settings });
    });
}
