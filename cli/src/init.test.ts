import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseConfigFile, settingLine } from "./config-file.ts";
import { runLicet } from "./testing/run-licet.ts";

/** Each starts several programs, on machines that do other things, too. */
const COMMANDS_MS = 120_000;

let folder: string;
const ANSWERS = ["--yes", "--origin", "http://localhost:4777", "--port", "4777", "--tls", "none"];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "licet-init-"));
});
afterAll(() => rm(folder, { recursive: true }));

describe("licet init", { timeout: COMMANDS_MS }, () => {
  it("writes settings and a master key that only their owner reads, and never over others", async () => {
    const home = join(folder, "one");
    expect(await runLicet(["init", home, ...ANSWERS])).toMatchObject({ exitCode: 0 });
    const key = await readFile(join(home, "master.key"), "utf8");
    expect(Buffer.from(key, "base64url")).toHaveLength(32);
    for (const name of ["licet.env", "master.key"]) expect((await stat(join(home, name))).mode & 0o777).toBe(0o600);
    const settings = parseConfigFile(await readFile(join(home, "licet.env"), "utf8"), "licet.env");
    expect(settings).toMatchObject({ LICET_ORIGIN: "http://localhost:4777", LICET_PORT: "4777", LICET_MODE: "live" });
    expect(await runLicet(["init", home, ...ANSWERS])).toMatchObject({
      exitCode: 2,
      err: expect.stringContaining("is there already"),
    });
    expect(await readFile(join(home, "master.key"), "utf8")).toBe(key);
  });

  it("names the flag that a script forgot, and writes nothing that the server would refuse", async () => {
    const home = join(folder, "two");
    expect((await runLicet(["init", home])).err).toMatch(/^licet: expected --origin/);
    const refused = await runLicet(["init", home, ...ANSWERS, "--port", "99999"]);
    expect(refused.err).toMatch(/^licet: LICET_PORT: expected a whole number/m);
    await expect(stat(home)).rejects.toThrow("ENOENT");
  });
});

describe("licet doctor", { timeout: COMMANDS_MS }, () => {
  it("says what it found, and ends with 1 when the public documents are not to be reached", async () => {
    const home = join(folder, "three");
    await runLicet(["init", home, ...ANSWERS, "--origin", "http://localhost:1", "--port", "4778"]);
    const { exitCode, out } = await runLicet(["doctor", "--config", join(home, "licet.env")]);
    expect(exitCode).toBe(1);
    expect(out).toMatch(/✓ master key: .*master\.key/);
    expect(out).toMatch(/✗ \/\.well-known\/keys\.json: cannot be reached/);
  });
});

describe("a settings file", () => {
  it("gives back any value it was given", () => {
    const value = 'a "quoted" \\ value # with spaces';
    expect(parseConfigFile(settingLine("LICET_ORIGIN", value), "f")).toEqual({ LICET_ORIGIN: value });
  });

  it.each([
    ["LICET_PORT=1\nLICET_PORT=2", /^f, line 2: expected LICET_PORT once/],
    ["# fine\n\nPATH=/bin", /^f, line 3: expected a name such as/],
    ["LICET_ORIGIN", /^f, line 1: .*without =/],
    ["DATABASE_URL=postgres://u:secret word@h/d", /^f, line 1: DATABASE_URL: expected a value(?!.*secret)/],
  ])("is refused by line: %j", (text, message) => {
    expect(() => parseConfigFile(text, "f")).toThrow(message);
  });

  it("that everybody can read is refused", async () => {
    const path = join(folder, "open.env");
    await writeFile(path, "LICET_PORT=0\n", { mode: 0o644 });
    expect((await runLicet(["serve", "--config", path])).err).toMatch(/expected a file that not everybody can read/);
  });
});
