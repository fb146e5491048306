import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Creator, enrolCreator, expectStatus, giveConsent, registerWork } from "../../../test/fixtures/actors.ts";
import { createSites, journalOf } from "../../../test/fixtures/backups.ts";

const sites = createSites();

async function readJournal(folder: string): Promise<string> {
  const names = await readdir(folder);
  return (await Promise.all(names.map((name) => readFile(join(folder, name), "utf8")))).join("");
}

async function revoke(creator: Creator, jti: string): Promise<void> {
  expectStatus(await creator.caller.post(`/api/v1/consents/${jti}/revoke`), 200);
}

describe("the journal", () => {
  test("has a refusal on disk before it is answered, without free text", async () => {
    const site = await sites.open(await sites.createDatabase());
    const creator = await enrolCreator(site.platform);
    await registerWork(site.platform, creator.creatorId);
    const { jti } = await giveConsent(creator);
    expectStatus(await creator.caller.post(`/api/v1/consents/${jti}/revoke`, { reason: "a very private one" }), 200);
    const text = await readJournal(journalOf(site.database));
    expect(text).toContain(`"aggregate":"${jti}"`);
    expect(text).toContain('"type":"consent.revoked"');
    expect(text).not.toContain("a very private one");
    await site.stop();
  });

  test("that cannot be written stops no revocation, is told by /readyz, and is caught up with at the next start", async () => {
    const database = await sites.createDatabase();
    const folder = journalOf(database);
    await mkdir(database.dataFolder, { recursive: true });
    await writeFile(folder, "a file where the folder should be");
    const site = await sites.open(database);
    const creator = await enrolCreator(site.platform);
    await registerWork(site.platform, creator.creatorId);
    const { jti } = await giveConsent(creator);
    await revoke(creator, jti);
    const ready = expectStatus(await site.platform.anonymous.get("/readyz"), 200);
    expect(ready.body.journal_failing_since).toMatch(/Z$/);
    await site.stop();
    await rm(folder);
    const back = await sites.open(database, { ...site, origin: site.platform.origin });
    expect(await readJournal(folder)).toContain(`"aggregate":"${jti}"`);
    expect((await back.platform.anonymous.get("/readyz")).body.journal_failing_since).toBeUndefined();
    await back.stop();
  });

  test("that could not be written is caught up with as soon as it can", async () => {
    const database = await sites.createDatabase();
    const folder = journalOf(database);
    await mkdir(database.dataFolder, { recursive: true });
    await writeFile(folder, "a file where the folder should be");
    const site = await sites.open(database);
    const creator = await enrolCreator(site.platform);
    await registerWork(site.platform, creator.creatorId);
    const { jti } = await giveConsent(creator);
    await revoke(creator, jti);
    await rm(folder);
    await expect.poll(() => readJournal(folder).catch(() => ""), { timeout: 30_000 }).toContain(`"aggregate":"${jti}"`);
    await expect
      .poll(async () => (await site.platform.anonymous.get("/readyz")).body.journal_failing_since, { timeout: 30_000 })
      .toBeUndefined();
    await site.stop();
  });
});
