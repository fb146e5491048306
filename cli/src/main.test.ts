import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ContentSink, SINK_TOKEN, openContentSink } from "./testing/content-sink.ts";
import { collect, runLicet, startLicet } from "./testing/run-licet.ts";

const EDGE_FLAGS = ["--origin", "https://licet.example", "--upstream", "http://127.0.0.1:9"];
const BASE_URL = ["--base-url", "https://platform.example/works/"];

let folder: string;
let works: string;
let sink: ContentSink;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "licet-main-"));
  works = await mkdtemp(join(folder, "works-"));
  await writeFile(join(works, "one.md"), "one");
  sink = await openContentSink();
});

afterAll(async () => {
  await sink.close();
  await rm(folder, { recursive: true });
});

describe("the command line", () => {
  it.each([
    "--help",
    "serve --help",
    "edge --help",
    "import --help",
    "consent --help",
    "revoke --help",
    "doctor --help",
    "verify --help",
    "demo --help",
    "backup --help",
    "restore --help",
    "analytics rebuild --help",
    "analytics check --help",
  ])("explains itself: licet %s", async (command) => {
    const { exitCode, out } = await runLicet(command.split(" "));
    expect(exitCode).toBe(0);
    expect(out).toContain(`Usage: licet ${command.replace("--help", "")}`);
  });

  it("says its version", async () => {
    expect(await runLicet(["--version"])).toMatchObject({
      exitCode: 0,
      out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
    });
  });

  it.each([
    [["frobnicate"], /^licet: unknown command 'frobnicate'$/m],
    [["edge"], /^licet: --origin, or LICET_ORIGIN: expected the Licet server, an origin .*, got none$/m],
    [
      ["edge", "--origin", "https://licet.example", "--upstream", "site"],
      /^licet: --upstream, or LICET_EDGE_UPSTREAM: expected the site behind the edge, .*, got site$/m,
    ],
    [
      ["edge", "--origin", "https://licet.example", "--upstream", "http://127.0.0.1:9"],
      /^licet: --site, or LICET_EDGE_SITE: expected how the world calls the site, .*, got none$/m,
    ],
    [
      ["edge", ...EDGE_FLAGS, "--site", "https://works.example/x"],
      /^licet: --site, or LICET_EDGE_SITE: .*, got https:\/\/works\.example\/x$/m,
    ],
    [
      ["edge", ...EDGE_FLAGS, "--site", "https://works.example", "--routes", "works=enforce"],
      /^licet edge: LICET_EDGE_ROUTES: expected <path>=off, observe or enforce/m,
    ],
    [["verify"], /^licet: missing required argument 'manifest-url'$/m],
    [["verify", "not-a-url"], /^licet: expected <origin>\/datasets\/<id>\/manifest\.json, got not-a-url$/m],
    [
      ["import", "no-such-folder", "--creator", "user:1", ...BASE_URL],
      /^licet: expected a folder, got no-such-folder, which is not there$/m,
    ],
    [
      ["import", ".", "--creator", "no one", ...BASE_URL],
      /^licet: --creator: expected at most 128 letters, .*, got no one$/m,
    ],
    [
      ["import", ".", "--creator", "user:1", ...BASE_URL],
      /^licet: expected --origin or LICET_ORIGIN .*, got neither$/m,
    ],
    [
      ["import", ".", "--creator", "user:1", ...BASE_URL, "--origin", "http://platform.example"],
      /^licet: --origin: expected https, .*, got http:\/\/platform\.example$/m,
    ],
    [
      ["import", ".", "--creator", "user:1", ...BASE_URL, "--origin", "https://platform.example"],
      /^licet: expected LICET_TOKEN .*, got neither$/m,
    ],
    [["demo", "--once", "--json"], /^licet: expected --once or --json, got both/],
  ])("ends with 2 and one line when it is asked the wrong way: licet %j", async (args, line) => {
    const { exitCode, out, err } = await runLicet(args);
    expect({ exitCode, out }).toEqual({ exitCode: 2, out: "" });
    expect(err).toMatch(line);
    expect(err.trimEnd()).not.toContain("\n");
  });

  it("ends with 2 when there is nothing to verify", async () => {
    const { exitCode, out } = await runLicet(["verify", `${sink.origin}/datasets/ds_1/manifest.json`]);
    expect(exitCode).toBe(2);
    expect(out).toContain("? This dataset could not be checked");
  });
});

describe("licet import", () => {
  const settings = { LICET_TOKEN: SINK_TOKEN };
  const args = (creatorId: string): string[] => [
    "import",
    works,
    "--creator",
    creatorId,
    ...BASE_URL,
    "--origin",
    sink.origin,
  ];

  it("prints a table and a sum", async () => {
    const { exitCode, out, err } = await runLicet(args("user:1"), settings);
    expect({ exitCode, err }).toEqual({ exitCode: 0, err: "" });
    expect(out).toMatch(/^work +type +length +result\none\.md +text\/markdown +added\n\n1 file: 1 added\.\n$/);
  });

  it("prints JSON for programs", async () => {
    const { exitCode, out } = await runLicet([...args("user:1"), "--json"], settings);
    expect(exitCode).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      creator_id: "user:1",
      counts: { unchanged: 1 },
      works: [{ path: "one.md", status: "unchanged" }],
    });
  });

  it("registers the creator when told to", async () => {
    expect(await runLicet(args("user:7"), settings)).toMatchObject({
      exitCode: 2,
      err: expect.stringContaining("add --register"),
    });
    expect(await runLicet([...args("user:7"), "--register"], settings)).toMatchObject({ exitCode: 0 });
    expect(await runLicet([...args("user:7"), "--register"], settings)).toMatchObject({ exitCode: 0 });
  });

  it("ends with 1 when the server refuses a work", async () => {
    const id = [...sink.works.keys()][0] ?? "";
    sink.refusals.set(id, "it was withdrawn");
    expect(await runLicet(args("user:1"), settings)).toMatchObject({
      exitCode: 1,
      out: expect.stringContaining("refused: it was withdrawn"),
    });
    sink.refusals.delete(id);
  });

  it("ends with 2 when the token is not taken", async () => {
    expect(await runLicet(args("user:1"), { LICET_TOKEN: "another" })).toMatchObject({
      exitCode: 2,
      err: "licet: expected a token that is in force\n",
    });
  });
});

describe("licet serve", () => {
  it("shows the operator's token at the first start only, and stops when asked", async () => {
    const args = ["serve", "--port", "0", "--origin", "http://localhost:4242", "--data-dir", join(folder, "data")];
    const first = await serveUntilReady(args);
    expect(first.out).toMatch(
      /^Licet is running at http:\/\/localhost:4242 .*\n\nThis is the operator's token:\n\n {4}licet_op_\S+\n/,
    );
    expect(first.exitCode).toBe(0);
    const second = await serveUntilReady(args);
    expect(second.out).toMatch(/^Licet is running at \S+ \(Ctrl-C stops it\)\.\n$/);
    expect(second.exitCode).toBe(0);
  }, 120_000);

  it("ends with the server's exit code when it does not start", async () => {
    expect(await runLicet(["serve", "--port", "70000"])).toMatchObject({
      exitCode: 2,
      out: "",
      err: expect.stringContaining("licet: LICET_PORT: expected a whole number from 0 to 65535, got 70000"),
    });
  });
});

async function serveUntilReady(
  args: readonly string[],
): Promise<{ readonly out: string; readonly exitCode: number | null }> {
  const child = startLicet(args, { LICET_LOG_LEVEL: "error" });
  const out = collect(child.stdout);
  const closed = once(child, "close");
  const said = once(child.stdout ?? child, "data");
  await Promise.race([said, closed]);
  child.kill("SIGTERM");
  await closed;
  return { out: out(), exitCode: child.exitCode };
}
