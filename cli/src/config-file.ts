import { readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { CommandError, reasonOf } from "./command-error.ts";
import { type Environment, type Settings, readSettings } from "./settings.ts";

const MAX_FILE_BYTES = 65_536;
const SETTING = /^(LICET_[A-Z0-9_]+|DATABASE_URL|OTEL_[A-Z0-9_]+)$/;

/**
 * The settings with those of an environment file below them: what the environment itself says goes
 * before the file. Throws a {@link CommandError} that names file and line.
 */
export function withConfigFile(settings: Settings, file: string | undefined): Settings {
  if (file === undefined) return settings;
  const path = resolve(settings.workingFolder, file);
  const merged = { ...parseConfigFile(readConfigFile(path), path), ...settings.environment };
  return { ...readSettings(merged), workingFolder: settings.workingFolder, commandName: settings.commandName };
}

function readConfigFile(path: string): string {
  try {
    const { mode, size } = statSync(path);
    if ((mode & 0o007) !== 0)
      throw new CommandError(
        `${path}: expected a file that not everybody can read (chmod 600), got mode ${(mode & 0o777).toString(8)}`,
      );
    if (size > MAX_FILE_BYTES)
      throw new CommandError(`${path}: expected at most ${MAX_FILE_BYTES} bytes of settings, got ${size}`);
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof CommandError) throw error;
    throw new CommandError(`--config: expected a file with settings, got ${path} (${reasonOf(error)})`);
  }
}

/**
 * Reads `NAME=value` lines: blank lines and lines that begin with `#` say nothing, a value with
 * spaces is in double quotes, in which `\"` and `\\` stand for themselves. systemd reads every such file the same
 * way (EnvironmentFile=). Throws a {@link CommandError} with the line's number.
 */
export function parseConfigFile(text: string, path: string): Environment {
  const settings: Record<string, string> = {};
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    const refuse = (sentence: string): never => {
      throw new CommandError(`${path}, line ${index + 1}: ${sentence}`);
    };
    const equals = line.indexOf("=");
    const name = equals === -1 ? line : line.slice(0, equals);
    if (equals === -1) refuse("expected NAME=value or a comment, got a line without =");
    if (!SETTING.test(name)) refuse("expected a name such as LICET_ORIGIN, DATABASE_URL or OTEL_…, got another one");
    if (Object.hasOwn(settings, name)) refuse(`expected ${name} once, got it again`);
    settings[name] =
      readValue(line.slice(equals + 1)) ?? refuse(`${name}: expected a value, in double quotes if it has spaces`);
  }
  return settings;
}

/** Never repeated in a refusal: a value may hold a password. */
function readValue(text: string): string | undefined {
  const quoted = /^"((?:[^"\\]|\\["\\])*)"$/.exec(text)?.[1];
  if (quoted !== undefined) return quoted.replaceAll(/\\(["\\])/g, "$1");
  return /^[^\s"'\\]+$/.test(text) ? text : undefined;
}

/** One line of such a file. */
export function settingLine(name: string, value: string): string {
  return `${name}="${value.replaceAll(/(["\\])/g, "\\$1")}"`;
}
