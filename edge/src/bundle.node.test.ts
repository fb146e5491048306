import { execFile } from "node:child_process";
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";

const EDGE = fileURLToPath(new URL("../", import.meta.url));
const MAX_GZIPPED_BYTES = 150_000;

test("the Worker can be deployed as wrangler.jsonc says, and is small", { timeout: 120_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), "licet-worker-"));
  try {
    const args = ["deploy", "src/worker.ts", "--config", "wrangler.jsonc", "--dry-run", "--outdir", folder];
    const { stdout } = await promisify(execFile)("wrangler", args, {
      cwd: EDGE,
      shell: process.platform === "win32",
      env: {
        ...process.env,
        // The sources in place of what is published; the setting replaces wrangler's own conditions.
        WRANGLER_BUILD_CONDITIONS: "@licet/source,workerd,worker,browser,import",
        WRANGLER_SEND_METRICS: "false",
        WRANGLER_LOG_PATH: join(folder, "logs"),
      },
    });
    expect(stdout).toContain("LICET_ORIGIN");
    const [bundle = "none", ...others] = (await readdir(folder)).filter((name) => name.endsWith(".js"));
    const bytes = await readFile(join(folder, bundle));
    expect([bundle, others]).toEqual(["worker.js", []]);
    expect(bytes.toString("utf8")).not.toMatch(/\bfrom\s*"node:/);
    expect(gzipSync(bytes).length).toBeLessThan(MAX_GZIPPED_BYTES);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
