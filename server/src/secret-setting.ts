import { readFileSync } from "node:fs";

export type Environment = Readonly<Record<string, string | undefined>>;

/** A secret from its setting, or from the file that `<name>_FILE` names. Neither is repeated in what is refused. */
export function readSecret(
  env: Environment,
  name: string,
  refuse: (name: string, sentence: string) => never,
): string | undefined {
  const path = env[`${name}_FILE`];
  if (path === undefined) return env[name];
  if (env[name] !== undefined) return refuse(`${name}_FILE`, `expected it or ${name}, got both`);
  try {
    return readFileSync(path, "utf8").trim();
  } catch (error) {
    return refuse(
      `${name}_FILE`,
      `expected a file that can be read, got ${path} (${error instanceof Error ? error.message : String(error)})`,
    );
  }
}
