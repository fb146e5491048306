import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { type TestDatabase, createTestDatabase } from "../../test/fixtures/databases.ts";
import { type Ended, collect, runLicet, startLicet } from "./testing/run-licet.ts";

const START_MS = 90_000;
const COMMANDS_MS = 120_000;

let folder: string;
let database: TestDatabase;
let server: ChildProcess;
let environment: { readonly LICET_ORIGIN: string; readonly LICET_TOKEN: string };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "licet-consent-"));
  database = await createTestDatabase(inject("templateFolder"));
  server = startLicet(["serve", "--port", "0", "--data-dir", database.dataFolder], { LICET_LOG_LEVEL: "error" });
  const out = collect(server.stdout);
  await Promise.race([once(server.stdout ?? server, "data"), once(server, "close")]);
  environment = {
    LICET_ORIGIN: /http:\/\/[^\s]+/.exec(out())?.[0] ?? "",
    LICET_TOKEN: /licet_op_\S+/.exec(out())?.[0] ?? "",
  };
  const works = join(folder, "works");
  await mkdir(works);
  await writeFile(join(works, "one.md"), "one");
  await run(["import", works, "--creator", "user:1", "--register", "--base-url", "https://platform.example/works/"]);
}, START_MS);

afterAll(async () => {
  server.kill("SIGTERM");
  await once(server, "close");
  await database.drop();
  await rm(folder, { recursive: true, force: true });
});

function run(args: readonly string[]): Promise<Ended> {
  return runLicet(args, environment);
}

const keyFile = (name: string): string => join(folder, name);

describe("licet consent", { timeout: COMMANDS_MS }, () => {
  it("shows the words, signs them with a key that stays in its owner's file, and can be taken back", async () => {
    const path = keyFile("one.jwk");
    const given = await run(["consent", "--creator", "user:1", "--key", path, "--yes"]);
    expect(given.exitCode).toBe(0);
    expect(given.out).toContain("WHAT YOU AGREE TO");
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    const key = await readFile(path, "utf8");
    const jti = /ctok_\S+/.exec(given.out)?.[0] ?? "";
    const again = await run(["consent", "--creator", "user:1", "--key", path, "--yes", "--json"]);
    expect(JSON.parse(again.out)).toMatchObject({
      creator_id: "user:1",
      claims: { scope: ["training", "commercial"] },
    });
    expect(await readFile(path, "utf8")).toBe(key);
    expect(await run(["revoke", jti])).toMatchObject({
      exitCode: 0,
      out: expect.stringContaining(`${jti} is revoked`),
    });
    const shown = await run(["revocation", jti]);
    expect(shown).toMatchObject({ exitCode: 0, err: "" });
    expect(shown.out).toMatch(/^consent\.revoked of ctok_\S+ at \S+Z \(evt_\S+\)\n +\d+ ms {2}committed +database\n/);
    const followed = await run(["revocation", jti, "--follow"]);
    expect(followed).toMatchObject({ exitCode: 0, err: "" });
    expect(followed.out).toMatch(/ \d+ ms {2}committed +database\nEverybody has it\.\n$/);
    const lines = (await run(["revocation", jti, "--follow", "--json"])).out.trim().split("\n");
    expect(lines.map((line) => JSON.parse(line).event)).toEqual(["revocation", "leg", "end"]);
    expect(await run(["revocation", "evt_nothing"])).toMatchObject({
      exitCode: 1,
      err: expect.stringContaining("there is no revocation evt_nothing"),
    });
    expect(await run(["revocation", "evt_nothing", "--follow"])).toMatchObject({
      exitCode: 1,
      err: expect.stringContaining("there is no revocation evt_nothing"),
    });
    const view = await fetch(`${environment.LICET_ORIGIN}/.well-known/consent-revocations.json`);
    expect(await view.text()).toContain(jti);
  });

  it("signs nothing when nobody is there to read", async () => {
    const path = keyFile("unread.jwk");
    expect(await run(["consent", "--creator", "user:1", "--key", path])).toMatchObject({
      exitCode: 2,
      out: "",
      err: expect.stringContaining("type yes"),
    });
    await expect(stat(path)).rejects.toThrow("ENOENT");
  });

  it.each([
    [["--creator", "user:2"], /whom \S+ does not know: licet import --register/],
    [["--creator", "user:1", "--scope", "trainin"], /--scope: expected entries of training, .*, got trainin/],
    [["--creator", "user:1", "--price-floor", "5"], /--price-floor: expected a price such as per-token:0\.0001, got 5/],
    [["--creator", "user:1", "--days", "a year"], /--days: expected a whole number such as 365, got a year/],
    [["--creator", "user:1", "--alg", "RS256"], /--alg: expected EdDSA or ES256, got RS256/],
  ])("says what it expected, and makes no key: %j", async (args, message) => {
    const path = keyFile("refused.jwk");
    const { exitCode, err } = await run(["consent", "--key", path, "--yes", ...args]);
    expect(exitCode).toBe(2);
    expect(err).toMatch(message);
    await expect(stat(path)).rejects.toThrow("ENOENT");
  });

  it("takes no key that others read, nor one whose halves do not belong together", async () => {
    const path = keyFile("two.jwk");
    expect(await run(["consent", "--creator", "user:1", "--key", path, "--alg", "ES256", "--yes"])).toMatchObject({
      exitCode: 0,
    });
    await chmod(path, 0o644);
    const consent = ["consent", "--creator", "user:1", "--key", path, "--yes"];
    expect((await run(consent)).err).toMatch(/only its owner reads \(chmod 600\), got mode 644/);
    await chmod(path, 0o600);
    const other = JSON.parse(await readFile(keyFile("one.jwk"), "utf8"));
    await writeFile(path, JSON.stringify({ ...JSON.parse(await readFile(path, "utf8")), d: other.d }));
    expect((await run(consent)).err).toMatch(/expected a private key as a JWK/);
  });
});

describe("licet revoke", () => {
  it("ends with 1 when the server knows no such consent", async () => {
    expect(await run(["revoke", "ctok_AAAAAAAAAAAAAAAAAAAAAA"])).toMatchObject({ exitCode: 1, out: "" });
  });
});
