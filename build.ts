// Builds what is published: `dist/` of each package, JavaScript with types. Development and tests
// run the sources themselves and never read it.
import { spawnSync } from "node:child_process";
import { cpSync, readdirSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** In the order in which they need each other's types, with what the compiler does not carry over. */
const PACKAGES = [
  { folder: "protocol", assets: [] },
  { folder: "edge", assets: ["ai-crawlers.json"] },
  { folder: "sdk", assets: [] },
  { folder: "server", assets: ["db/migrations"] },
  { folder: "marketplace", assets: [] },
  { folder: "cli", assets: [] },
] as const;

const root = fileURLToPath(new URL("./", import.meta.url));

for (const { folder, assets } of PACKAGES) {
  rmSync(`${root}${folder}/dist`, { recursive: true, force: true });
  const { status, error } = spawnSync("tsc", ["--project", `${root}${folder}/tsconfig.build.json`], {
    stdio: "inherit",
    shell: process.platform === "win32",
  });
  if (error !== undefined) throw error;
  if (status !== 0) process.exit(status ?? 1);
  for (const asset of assets)
    cpSync(`${root}${folder}/src/${asset}`, `${root}${folder}/dist/${asset}`, { recursive: true });
  const files = readdirSync(`${root}${folder}/dist`, { recursive: true }).length;
  process.stdout.write(`${folder}/dist: ${files} files\n`);
}
