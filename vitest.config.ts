import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { LongestFirst } from "./test/longest-first.ts";

process.env["WRANGLER_SEND_METRICS"] = "false";
// The suite starts hundreds of programs of ours: each takes what another one has compiled.
process.env["NODE_COMPILE_CACHE"] ??= fileURLToPath(new URL("node_modules/.cache/licet-compiled", import.meta.url));

const source = "@licet/source";
const inNode = { resolve: { conditions: [source] }, ssr: { resolve: { conditions: [source] } } };
const inWorkerd = {
  resolve: { conditions: [source] },
  ssr: { resolve: { conditions: [source, "workerd", "worker", "module", "browser"] } },
};
const notHere = ["test/tidy.test.ts", "test/workerd/**", "test/packaging/**", "**/node_modules/**"];

/** They are about PGlite, whatever else runs. */
const aboutPglite = ["server/src/db/embedded-pool.test.ts", "server/src/db/tend-embedded.test.ts"];

const postgresUrl = process.env["LICET_TEST_DATABASE_URL"];
if (process.env["CI"] === "true" && postgresUrl === undefined) {
  throw new Error("LICET_TEST_DATABASE_URL: expected a PostgreSQL server, since in CI the suite runs on both engines");
}

/** The server and the whole-system scenarios, on one engine. */
const onEngine = (engine: "pglite" | "postgres") => ({
  ...inNode,
  test: {
    name: engine,
    include: ["server/src/**/*.test.ts", "test/**/*.test.ts"],
    exclude: engine === "postgres" ? [...notHere, ...aboutPglite] : notHere,
    env: { LICET_TEST_ENGINE: engine },
    globalSetup: "./test/global-setup.ts",
    isolate: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});

export default defineConfig({
  test: {
    maxWorkers: 3,
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        ...inNode,
        test: {
          name: "node",
          include: ["{protocol,edge,sdk,marketplace,cli,examples/platform}/src/**/*.test.ts"],
          exclude: notHere,
          env: { LICET_TEST_ENGINE: "pglite" },
          globalSetup: ["./test/global-setup.ts", "./edge/src/testing/start-stage.ts"],
          isolate: false,
          testTimeout: 30_000,
        },
      },
      onEngine("pglite"),
      ...(postgresUrl === undefined ? [] : [onEngine("postgres")]),
      {
        ...inWorkerd,
        plugins: [cloudflareTest({ wrangler: { configPath: "./test/workerd/wrangler.jsonc" } })],
        test: {
          name: "workerd",
          include: ["{protocol,edge}/src/**/*.test.ts"],
          exclude: ["**/*.node.test.ts", ...notHere],
          globalSetup: "./edge/src/testing/start-stage.ts",
          fsModuleCache: false,
          isolate: false,
          testTimeout: 30_000,
        },
      },
      { ...inNode, test: { name: "packaging", include: ["test/packaging/*.test.ts"] } },
      { ...inNode, test: { name: "tidy", include: ["test/tidy.test.ts"], testTimeout: 60_000 } },
    ],
  },
});
