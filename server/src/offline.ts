import { checkBackup } from "./backups/backup-format.ts";
import { type Config, ConfigError } from "./config.ts";
import { restoreBackup } from "./restore-backup.ts";

/** Rows between two lines of progress. */
const PROGRESS_ROWS = 5_000;

/**
 * What the server's program does without serving: `restore <backup> [--dry-run] [--journal
 * <folder>]…`, `check-backup <backup>`, `rewrap`, `check-config` and `examine`. Prints lines of JSON, the last one with the result.
 */
export async function runOffline(
  [verb, path, ...options]: readonly string[],
  readConfig: () => Config,
  print: (line: object) => void,
): Promise<void> {
  if (verb === "rewrap" && path === undefined) {
    const { changeMasterKey } = await import("./change-master-key.ts");
    print({ result: await changeMasterKey(readConfig(), (sealed) => print({ progress: { sealed } })) });
    return;
  }
  if (verb === "check-config" && path === undefined) {
    const { checkDatabase } = await import("./examine.ts");
    const config = readConfig();
    print({ result: { origin: config.origin, database: await checkDatabase(config) } });
    return;
  }
  if (verb === "examine" && path === undefined) {
    const { examine, listensOf } = await import("./examine.ts");
    const config = readConfig();
    print({ result: { findings: await examine(config), listens: listensOf(config) } });
    return;
  }
  if (path === undefined || (verb !== "restore" && verb !== "check-backup"))
    throw new ConfigError(
      `expected rewrap, check-config or examine, or restore or check-backup and a file, got ${verb ?? "nothing"} ${path ?? ""}`,
    );
  if (verb === "check-backup") {
    const { header, end } = await checkBackup(path);
    print({ result: { ...header, rows: end.rows } });
    return;
  }
  const { journals, isDryRun } = readOptions(options);
  let reported = 0;
  const report = await restoreBackup(readConfig(), {
    path,
    journals,
    isDryRun,
    onProgress: ({ table, rows }) => {
      if (rows - reported < PROGRESS_ROWS) return;
      reported = rows;
      print({ progress: { table, rows } });
    },
  });
  print({ result: report });
}

function readOptions(options: readonly string[]): { readonly journals: readonly string[]; readonly isDryRun: boolean } {
  const journals: string[] = [];
  let isDryRun = false;
  for (let at = 0; at < options.length; at += 1) {
    const option = options[at];
    const value = options[at + 1];
    if (option === "--dry-run") {
      isDryRun = true;
    } else if (option === "--journal" && value !== undefined) {
      journals.push(value);
      at += 1;
    } else {
      throw new ConfigError(`expected --dry-run or --journal <folder>, got ${option}`);
    }
  }
  return { journals, isDryRun };
}
