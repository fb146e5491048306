import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isCi } from "../fixtures/settings.ts";

/**
 * What a stranger installs: the packed tarballs in an empty folder, without this repository, its
 * sources or its tools.
 */
const run = promisify(execFile);
const ROOT = new URL("../../", import.meta.url).pathname;
const PUBLISHED = ["protocol", "edge", "sdk", "server", "cli"];
const INSTALL_MS = 240_000;
const COMMAND_MS = 120_000;
const QUIETLY = ["--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
/** The Node that runs npm here, which is the machine's own and may be the oldest we promise. */
const machineNode = process.env["npm_node_execpath"] ?? process.execPath;

/** `engines` of the server. */
const OLDEST_NODE = "22.18.0";

let folder: string;
let oldestNode: string | undefined;
let tarballs: readonly string[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "licet-packages-"));
  await run(process.execPath, [join(ROOT, "build.ts")], { cwd: ROOT });
  await run("npm", ["pack", "--pack-destination", folder, ...PUBLISHED.flatMap((name) => ["-w", name])], { cwd: ROOT });
  tarballs = (await readdir(folder)).filter((name) => name.endsWith(".tgz"));
  await writeFile(join(folder, "package.json"), JSON.stringify({ name: "stranger", private: true, type: "module" }));
  await run("npm", ["install", ...QUIETLY, ...tarballs.map((name) => `./${name}`)], { cwd: folder });
  oldestNode = await installOldestNode();
}, INSTALL_MS);

/** From npm's platform packages, beside what a stranger installs; undefined where the registry is out of reach, which CI is not. */
async function installOldestNode(): Promise<string | undefined> {
  const name = `node-${process.platform}-${process.arch}`;
  const prefix = join(folder, "oldest-node");
  try {
    await run("npm", ["install", ...QUIETLY, "--prefix", prefix, `${name}@${OLDEST_NODE}`], { cwd: folder });
    return join(prefix, "node_modules", name, "bin/node");
  } catch (error) {
    if (isCi) throw error;
    return undefined;
  }
}

afterAll(() => rm(folder, { recursive: true, force: true }));

function licet(node: string, args: readonly string[], settings: Record<string, string> = {}): ChildProcess {
  const { PATH = "" } = process.env;
  return spawn(node, [join(folder, "node_modules/.bin/licet"), ...args], {
    cwd: folder,
    env: { PATH, ...settings },
    stdio: ["pipe", "pipe", "pipe"],
  });
}

async function readAll(child: ChildProcess): Promise<{ readonly code: number | null; readonly text: string }> {
  let text = "";
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  const [code] = await once(child, "close");
  return { code, text };
}

describe("the tarballs", () => {
  test("are those of the published packages, with types and without sources or tests", async () => {
    expect(tarballs).toHaveLength(PUBLISHED.length);
    for (const name of ["@licet/protocol", "@licet/edge", "@licet/sdk", "@licet/server"]) {
      const files = await readdir(join(folder, "node_modules", name), { recursive: true });
      expect(files).toContain("dist/index.d.ts");
      expect(files.filter((file) => /\.test\.|^src|\/testing\//.test(file))).toEqual([]);
    }
  });

  test("say the same version everywhere", async () => {
    const versions = await Promise.all(
      ["@licet/protocol", "@licet/edge", "@licet/sdk", "@licet/server", "licet"].map(async (name) => {
        const { version } = JSON.parse(await readFile(join(folder, "node_modules", name, "package.json"), "utf8"));
        return version;
      }),
    );
    expect(new Set(versions).size).toBe(1);
  });
});

describe(`on the machine's own Node (${machineNode === process.execPath ? process.version : "the one that runs npm"})`, () => {
  test("the sdk is imported and verifies", async () => {
    const program = `
      import { createClient, verifyDataset, verifyWebhook } from "@licet/sdk";
      import { parseJson } from "@licet/protocol";
      const refused = verifyWebhook({ headers: new Headers(), body: "{}" }, { secrets: [] });
      console.log(process.versions.node, typeof createClient, typeof verifyDataset, refused.ok, parseJson("{}").ok);`;
    const { stdout } = await run(machineNode, ["--input-type=module", "--eval", program], { cwd: folder });
    expect(stdout).toMatch(/^(2\d|[3-9]\d)\.\S+ function function false true\n$/);
  });

  test("licet says its version and its help", { timeout: COMMAND_MS }, async () => {
    const { version } = JSON.parse(await readFile(join(folder, "node_modules/licet/package.json"), "utf8"));
    expect(await readAll(licet(machineNode, ["--version"]))).toEqual({ code: 0, text: `${version}\n` });
    const help = await readAll(licet(machineNode, ["--help"]));
    expect(help.code).toBe(0);
    expect(help.text).toContain("licet [options] [command]");
  });

  test("the demo, which needs the repository, says so in one line", { timeout: COMMAND_MS }, async () => {
    const { code, text } = await readAll(licet(machineNode, ["demo", "--once"]));
    expect(code).toBe(2);
    expect(text).toMatch(/^licet: .*repository.*\n$/);
  });
});

describe.each([
  ["the locked Node", () => process.execPath],
  [`Node ${OLDEST_NODE}, the oldest that the server is promised for`, () => oldestNode],
])("on %s", (_name, nodeOf) => {
  test("licet serve starts, is ready, and stops", { timeout: COMMAND_MS }, async ({ skip }) => {
    const node = nodeOf();
    if (node === undefined) return skip(`node-${process.platform}-${process.arch}@${OLDEST_NODE} cannot be installed`);
    const child = licet(node, ["serve", "--port", "0"], {
      LICET_DATA_DIR: await mkdtemp(join(folder, "data-")),
      LICET_LOG_LEVEL: "error",
    });
    const ended = readAll(child);
    const origin = await originOf(child);
    expect((await fetch(`${origin}/readyz`)).status).toBe(200);
    const keys = await fetch(`${origin}/.well-known/keys.json`);
    expect((await keys.json()).iss).toBe(origin);
    child.kill("SIGTERM");
    expect((await ended).code).toBe(0);
  });
});

describe("the edge", () => {
  test(
    "starts as licet edge, and its Worker is where wrangler.jsonc looks for it",
    { timeout: COMMAND_MS },
    async () => {
      const child = licet(process.execPath, [
        "edge",
        "--origin",
        "https://licet.example.org",
        "--upstream",
        "http://127.0.0.1:9",
        "--site",
        "https://works.example",
        "--port",
        "0",
      ]);
      const ended = readAll(child);
      const origin = await originOf(child);
      expect((await fetch(origin)).status).toBe(502);
      child.kill("SIGTERM");
      expect((await ended).code).toBe(0);
      const config = await readFile(join(folder, "node_modules/@licet/edge/wrangler.jsonc"), "utf8");
      const main = /"main": "([^"]+)"/.exec(config)?.[1] ?? "";
      expect(await readFile(join(folder, main), "utf8")).toContain("export default");
    },
  );
});

describe("the server", () => {
  test("has types that compile for a stranger", { timeout: COMMAND_MS }, async () => {
    await writeFile(
      join(folder, "stranger.ts"),
      `import { createClient, verifyDataset, type DatasetReport } from "@licet/sdk";
       const client = createClient({ origin: "https://licet.example.org", token: "t" });
       export const report: Promise<DatasetReport> = verifyDataset("https://licet.example.org/datasets/d/manifest.json", { client });`,
    );
    const { stdout } = await run(
      join(ROOT, "node_modules/.bin/tsc"),
      ["--noEmit", "--strict", "--module", "nodenext", "--lib", "es2024,dom", "--types", "", "stranger.ts"],
      { cwd: folder },
    );
    expect(stdout).toBe("");
  });
});

function originOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    child.stdout?.on("data", (chunk: Buffer) => {
      text += chunk.toString("utf8");
      const origin = /running at (http:\/\/\S+)/.exec(text)?.[1];
      if (origin !== undefined) resolve(origin);
    });
    child.once("close", (code) => reject(new Error(`expected the server to start, got exit code ${code}: ${text}`)));
  });
}
