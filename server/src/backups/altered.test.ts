import { randomBytes } from "node:crypto";
import { cp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { type Config, ConfigError } from "@licet/server";
import { beforeAll, describe, expect, test } from "vitest";
import { enrolCreator, expectStatus, giveConsent, registerWork } from "../../../test/fixtures/actors.ts";
import { type Site, createSites, journalOf } from "../../../test/fixtures/backups.ts";
import type { TestDatabase } from "../../../test/fixtures/databases.ts";

const sites = createSites();
let site: Site;
let path: string;
/** What is refused leaves it empty, for the next. */
let database: TestDatabase;
/** The journal of two starts of the server: its last file follows the first. */
let journal: string;
const jtis: string[] = [];

beforeAll(async () => {
  const first = await sites.open(await sites.createDatabase());
  const creator = await enrolCreator(first.platform);
  for (let index = 0; index < 3; index += 1) {
    await registerWork(first.platform, creator.creatorId);
    jtis.push((await giveConsent(creator)).jti);
  }
  path = await first.backUp();
  expectStatus(await creator.caller.post(`/api/v1/consents/${jtis[0]}/revoke`), 200);
  expectStatus(await creator.caller.post(`/api/v1/consents/${jtis[1]}/revoke`), 200);
  await first.stop();
  site = await sites.open(first.database, { ...first, origin: first.platform.origin });
  expectStatus(await creator.caller.post(`/api/v1/consents/${jtis[2]}/revoke`), 200);
  await site.stop();
  journal = journalOf(first.database);
  database = await sites.createDatabase();
});

/** A copy of the journal with one file changed. */
async function alterJournal(which: number, alter: (text: string) => string | undefined): Promise<string> {
  const folder = join(await sites.createFolder(), "journal");
  await cp(journal, folder, { recursive: true });
  const name = (await readdir(folder)).sort()[which] ?? "";
  const text = alter(await readFile(join(folder, name), "utf8"));
  if (text === undefined) await rm(join(folder, name));
  else await writeFile(join(folder, name), text);
  return folder;
}

async function alterBackup(alter: (text: string) => string): Promise<string> {
  const altered = join(await sites.createFolder(), "altered.backup");
  await writeFile(altered, gzipSync(alter(gunzipSync(await readFile(path)).toString("utf8"))));
  return altered;
}

/** The one line that the operator gets instead of a database. */
async function refusalOf(options: {
  readonly path?: string;
  readonly journals?: readonly string[];
  readonly settings?: Partial<Config>;
}): Promise<string> {
  const restoring = sites.restore(site, { path, journals: [journal], database, ...options });
  const error = await restoring.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ConfigError);
  return error instanceof ConfigError ? error.message : "";
}

describe("a backup that is not what was written", () => {
  test.each([
    ["with another row", (text: string) => text.replace('"state":"active"', '"state":"revoked"'), "altered"],
    ["without a row", (text: string) => text.replace(/\{"row":.*\n/, ""), "altered"],
    ["cut in the middle", (text: string) => text.slice(0, text.length / 2), "cut short"],
    ["cut at a line", (text: string) => text.slice(0, text.lastIndexOf("\n", text.length - 2) + 1), "cut short"],
    ["followed by more", (text: string) => `${text}{"row":{}}\n`, "nothing after the end"],
    ["of another program", () => '{"a":1}\n', "expected a Licet backup of version 1"],
  ])("%s is refused with one line", async (_name, alter, said) => {
    const refusal = await refusalOf({ path: await alterBackup(alter) });
    expect(refusal).toContain(said);
    expect(refusal).not.toContain("\n");
  });

  test("and one whose file is cut is refused", async () => {
    const cut = join(await sites.createFolder(), "cut.backup");
    const bytes = await readFile(path);
    await writeFile(cut, bytes.subarray(0, bytes.length - 20));
    expect(await refusalOf({ path: cut })).toContain("expected a whole backup");
  });

  test("and one that was made whole again by somebody without the master key is refused by its seal", async () => {
    const forged = await alterBackup((text) => {
      const lines = text.split("\n");
      const end = JSON.parse(lines.at(-2) ?? "");
      return text.replace(end.seal, randomBytes(96).toString("base64url"));
    });
    expect(await refusalOf({ path: forged })).toContain("the master key does not open backup/bak_");
  });
});

describe("a restore with other settings", () => {
  test("names the setting: master key, origin", async () => {
    const wrongKey = await refusalOf({ settings: { masterKey: randomBytes(32) } });
    expect(wrongKey).toMatch(/^the master key does not open backup\/bak_/);
    const noKey = await refusalOf({ settings: { masterKey: undefined } });
    expect(noKey).toMatch(/master key that this database was sealed with, found no file/);
    const origin = await refusalOf({ settings: { origin: "https://other.example" } });
    expect(origin).toMatch(/^LICET_ORIGIN: expected http:\/\/127\.0\.0\.1:\d+, .*, got https:\/\/other\.example$/);
  });
});

describe("a journal that is not what was written", () => {
  test.each([
    ["with another fact", 0, (text: string) => text.replace('"revoked"', '"valid"'), "altered"],
    ["without a line in the middle", 0, (text: string) => withoutLine(text, -3), "altered"],
    ["without the last line of a file that another follows", 0, (text: string) => withoutLine(text, -2), "cut short"],
    ["without a file that another follows", 0, () => undefined, "expected the journal file before it"],
    ["of another platform", 1, (text: string) => text.replace("127.0.0.1", "127.0.0.2"), "expected the journal of"],
  ])("%s is refused with one line", async (_name, which, alter, said) => {
    const refusal = await refusalOf({ journals: [await alterJournal(which, alter)] });
    expect(refusal).toContain(said);
    expect(refusal).not.toContain("\n");
  });

  test("and a folder without any is refused", async () => {
    expect(await refusalOf({ journals: [await sites.createFolder()] })).toContain("expected journal files in");
    expect(await refusalOf({ journals: ["/nowhere/at/all"] })).toContain("--journal: expected a folder");
  });

  test("but a last line that a crash cut short is no change", async () => {
    const torn = await alterJournal(1, (text) => `${text}{"fact":{"at_ms":1`);
    const report = await sites.restore(site, { path, journals: [torn], database, isDryRun: true });
    expect(report).toMatchObject({ replayed: { "consent.revoked": 3 } });
  });
});

function withoutLine(text: string, index: number): string {
  const lines = text.split("\n");
  lines.splice(index, 1);
  return lines.join("\n");
}
