#!/usr/bin/env node
import { Command, CommanderError } from "commander";
import { readFileSync } from "node:fs";
import { addAnalyticsCommands } from "./analytics-commands.ts";
import { CommandError, reasonOf } from "./command-error.ts";
import { addConsentCommands } from "./consent-commands.ts";
import { withConfigFile } from "./config-file.ts";
import { addOperatorCommands } from "./operator-commands.ts";
import { addDeveloperCommands } from "./developer-commands.ts";
import { addKeysCommands } from "./keys-commands.ts";
import { readSettings } from "./settings.ts";
import { createTerminal } from "./terminal.ts";

const settings = readSettings();
const terminal = createTerminal({ out: process.stdout, err: process.stderr, wantsColour: settings.wantsColour });
const surroundings = { settings, terminal };

const program = new Command("licet")
  .description("Offer creators' works as AI training data, with consent that anyone can check.")
  .version(readVersion(), "--version", "print the version")
  .helpOption("--help", "say what a command does and takes")
  .helpCommand(false)
  .configureOutput({ outputError: (text, write) => write(`licet: ${reasonOf(text.trim().replace(/^error: /, ""))}\n`) })
  .exitOverride();

program
  .command("serve")
  .description("run the server in the foreground")
  .option("--config <file>", "read settings from this file, as licet init writes it; the environment goes before it")
  .option("--port <port>", "the port to listen on (LICET_PORT, 4242)")
  .option("--host <address>", "the address to listen on (LICET_HOST, 127.0.0.1)")
  .option("--data-dir <folder>", "the folder for the embedded database and the master key (LICET_DATA_DIR, ./data)")
  .option("--origin <origin>", "how the world reaches the server, such as https://licet.example.org (LICET_ORIGIN)")
  .addHelpText(
    "after",
    "\nEverything else is set in the environment: DATABASE_URL, LICET_MASTER_KEY, LICET_ALLOW_HOSTS,\nLICET_LOG_LEVEL and more; a setting it does not know is refused by name, with the list.",
  )
  .action(async (flags) => {
    const { serve } = await import("./serve.ts");
    process.exitCode = await serve(flags, { settings: withConfigFile(settings, flags.config), terminal });
  });

program
  .command("edge")
  .description("stand in front of a site and decide who may take its works for AI")
  .option("--origin <origin>", "the Licet server (LICET_ORIGIN)")
  .option("--upstream <origin>", "the site behind the edge, such as http://127.0.0.1:8080 (LICET_EDGE_UPSTREAM)")
  .option(
    "--site <origin>",
    "how the world calls the site, such as https://works.example (LICET_EDGE_SITE; several: LICET_EDGE_SITES)",
  )
  .option("--routes <routes>", "what holds where: '/=enforce /about/=off' (LICET_EDGE_ROUTES, /=enforce)")
  .option("--license-url <url>", "where a license is had (LICET_EDGE_LICENSE_URL)")
  .option("--port <port>", "the port to listen on (LICET_EDGE_PORT, 4243)")
  .option("--host <address>", "the address to listen on (LICET_EDGE_HOST, 127.0.0.1)")
  .addHelpText(
    "after",
    "\nA crawler without a license gets 402, one with a license the file, and 403 once the consent is\ntaken back; people are never touched. Everything else is set in the environment: edge/README.md\nlists it. What ends TLS may stand in front of it, a cache may not.\nExit code: 0 stopped, 1 it failed, 2 a setting is missing or cannot be used.",
  )
  .action(async (flags) => {
    const { edge } = await import("./edge.ts");
    process.exitCode = await edge(flags, surroundings);
  });

program
  .command("import")
  .description("register every work in a folder, and everything below it")
  .argument("<folder>", "the folder with the works")
  .requiredOption("--creator <id>", "whose works they are: the platform's pseudonym for the creator, such as user:1001")
  .requiredOption("--base-url <url>", "where the folder is on the web; a work's URL is this and its path in the folder")
  .option("--origin <origin>", "the Licet server (LICET_ORIGIN)")
  .option("--token <token>", "the operator's token (LICET_TOKEN, which no process list shows)")
  .option("--license <license>", "the license of the works (the server's default: paid_training:1.0)")
  .option("--register", "register the creator first, if the server does not know them")
  .option("--dry-run", "read everything, register nothing")
  .option("--json", "print the result as JSON")
  .addHelpText(
    "after",
    "\nWithout a token, LICET_CLIENT_ID and LICET_CLIENT_SECRET of a client with content:read and\ncontent:write will do. Importing a folder again changes nothing but what changed in it.\nExit code: 0 done, 1 the server refused a work, 2 it could not be tried.",
  )
  .action(async (folder, flags) => {
    const { importFolder } = await import("./import-folder.ts");
    process.exitCode = await importFolder(folder, flags, surroundings);
  });

program
  .command("verify")
  .description("check a dataset from its manifest URL, trusting the platform for nothing but its keys")
  .argument("<manifest-url>", "such as https://licet.example.org/datasets/ds_1/manifest.json")
  .option("--allow-partial", "end with 0 although some works are withdrawn")
  .option("--test", "accept a platform in test mode, whose documents say test: true")
  .option("--json", "print the report as JSON")
  .addHelpText(
    "after",
    "\nThe public documents are checked without credentials. With LICET_CLIENT_ID and\nLICET_CLIENT_SECRET of a marketplace that the dataset was offered to, every consent and every\nwork is checked as well.\nExit code: 0 nothing failed, 1 a check failed or works are withdrawn, 2 it could not be tried.",
  )
  .action(async (manifestUrl, flags) => {
    const { verifyManifest } = await import("./verify-manifest.ts");
    process.exitCode = await verifyManifest(manifestUrl, flags, surroundings);
  });

program
  .command("backup")
  .description("take a backup of a running server into a file, or check one")
  .option("--out <file>", "where it goes; it has this name only once it is whole")
  .option("--verify <file>", "check a backup without a server")
  .option("--origin <origin>", "the Licet server (LICET_ORIGIN)")
  .option("--token <token>", "the operator's token (LICET_TOKEN, which no process list shows)")
  .option("--json", "print the result as JSON")
  .addHelpText(
    "after",
    "\nA backup is a snapshot of one instant; the server goes on meanwhile. Keys and secrets in it stay\nsealed, so the master key (LICET_MASTER_KEY, or master.key in the data folder) is kept apart from\nit, and so is the journal (LICET_JOURNAL_DIR), without which a restore would undo revocations.\nExit code: 0 done, 1 the server failed, 2 it could not be tried or the file is not a whole backup.",
  )
  .action(async (flags) => {
    const { backup } = await import("./backup.ts");
    process.exitCode = await backup(flags, surroundings);
  });

program
  .command("restore")
  .description("restore a backup into an empty database, and everything that was refused since")
  .argument("<file>", "the backup")
  .option("--journal <folder...>", "the folders of every server's journal (LICET_JOURNAL_DIR)")
  .option("--without-journal", "restore although whatever was revoked since the backup will stand again")
  .option("--dry-run", "do everything, say what came of it, and leave the database empty")
  .option("--config <file>", "read settings from this file, as licet init writes it")
  .option("--data-dir <folder>", "the folder for the embedded database and the master key (LICET_DATA_DIR, ./data)")
  .option("--json", "print the result as JSON")
  .addHelpText(
    "after",
    "\nThe environment is that of licet serve: DATABASE_URL or LICET_DATA_DIR, LICET_MASTER_KEY. The\ndatabase is restored as a whole or stays empty. Backups of the embedded database can be restored\ninto PostgreSQL, and the other way round.\nExit code: 0 done, 1 it failed, 2 the backup, the journal, the key or the database do not fit.",
  )
  .action(async (file, flags) => {
    const { restore } = await import("./restore.ts");
    process.exitCode = await restore(file, flags, { settings: withConfigFile(settings, flags.config), terminal });
  });

addConsentCommands(program, surroundings);
addOperatorCommands(program, surroundings);
addKeysCommands(program, surroundings);
addDeveloperCommands(program, surroundings);
addAnalyticsCommands(program, surroundings);

program
  .command("demo")
  .description("play the whole story here: platform, creators, marketplace, and a consent taken back")
  .option("--once", "end when the story is told: 0 when all of it held, otherwise 1")
  .option("--json", "play up to the accepted receipt, print one line with everything needed to go on, stay up")
  .option("--keep <folder>", "keep the data in this folder, which must be empty or new")
  .action(async (flags) => {
    const { playDemo } = await import("./demo/play-demo.ts");
    process.exitCode = await playDemo(flags, surroundings);
  });

function readVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  return String(version);
}

async function main(): Promise<void> {
  // Whoever reads us may stop reading, as `head` does.
  process.stdout.on("error", () => process.exit());
  try {
    await program.parseAsync();
  } catch (error) {
    if (error instanceof CommanderError) {
      // Commander has said it already; asking for help or the version is no mistake.
      process.exitCode = error.exitCode === 0 ? 0 : 2;
    } else if (error instanceof CommandError) {
      terminal.note(`licet: ${reasonOf(error)}`);
      process.exitCode = error.exitCode;
    } else {
      terminal.note(`licet: ${error instanceof Error ? error.stack : String(error)}`);
      process.exitCode = 1;
    }
  }
}

await main();
