import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { CommandError, reasonOf } from "../command-error.ts";
import { runOfflineTask } from "../offline-task.ts";
import type { Settings } from "../settings.ts";
import { type Finding, type Problem, findingOf, warning, wrong } from "./finding.ts";

const DAY_SECONDS = 86_400;
const HOUR_SECONDS = 3_600;
const WARNING_HOURS = 26;
const WRONG_DAYS = 8;
/** Looking at each file whole takes time: the newest few must hold one that is whole. */
const MAX_TRIED = 3;

/** The newest whole backup in a folder: how old it is, and whether it is this server's. */
export async function lookAtBackups(
  folder: string,
  { settings, origin }: { readonly settings: Settings; readonly origin: string | undefined },
): Promise<Finding> {
  const name = "backups";
  const files = await newestFirst(folder);
  if (files.length === 0)
    return findingOf(name, [wrong(`${folder}: no file in it; take one with licet backup --out`)], "");
  const problems: Problem[] = [];
  for (const path of files.slice(0, MAX_TRIED)) {
    try {
      const whole = await runOfflineTask({ args: ["check-backup", path], environment: settings.bareEnvironment });
      const age = Date.now() / 1_000 - Number(whole["taken_at"]);
      return findingOf(
        name,
        [
          ...problems,
          ...judgeAge(path, age),
          ...(origin === undefined || whole["origin"] === origin
            ? []
            : [wrong(`${path}: expected a backup of ${origin}, got one of ${JSON.stringify(whole["origin"])}`)]),
        ],
        `${path} is whole and ${(age / HOUR_SECONDS).toFixed(1)} hours old`,
      );
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      problems.push(warning(`${path} is no whole backup (${reasonOf(error)})`));
    }
  }
  return findingOf(
    name,
    [wrong(`${folder}: none of the newest ${problems.length} files is a whole backup`), ...problems],
    "",
  );
}

function judgeAge(path: string, age: number): readonly Problem[] {
  const sentence = `the newest, ${path}, is ${Math.floor(age / HOUR_SECONDS)} hours old: see why no later one was taken`;
  if (age > WRONG_DAYS * DAY_SECONDS) return [wrong(sentence)];
  return age > WARNING_HOURS * HOUR_SECONDS ? [warning(sentence)] : [];
}

async function newestFirst(folder: string): Promise<readonly string[]> {
  const names = await readdir(folder).catch((error: unknown): never => {
    throw new CommandError(`--backups: expected a folder, got ${folder} (${reasonOf(error)})`);
  });
  const files = await Promise.all(
    names
      .filter((name) => !name.startsWith(".") && !name.endsWith(".part"))
      .map(async (name) => ({ path: join(folder, name), found: await stat(join(folder, name)) })),
  );
  return files
    .filter(({ found }) => found.isFile())
    .toSorted((left, right) => right.found.mtimeMs - left.found.mtimeMs)
    .map(({ path }) => path);
}
