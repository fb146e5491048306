import { execFile } from "node:child_process";
import { cp, readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { enrolCreator, expectStatus, giveConsent, registerWork } from "./fixtures/actors.ts";
import { createCaller } from "./fixtures/caller.ts";
import { checkPlatform } from "./fixtures/check-platform.ts";
import { type Child, fileOf, startChild } from "./fixtures/child-process.ts";
import { freePort, startPlatform } from "./fixtures/platform.ts";
import { engine } from "./fixtures/settings.ts";
import { canMakeDisks, createSmallDisk } from "./fixtures/small-disk.ts";

const VIEW = "/.well-known/consent-revocations.json";
const PATIENCE = { timeout: 30_000, interval: 50 };
const CONSENTS = 6;
/** More than fits into the page (4,096 bytes) that a full disk still has for the journal's open file. */
const JOURNALED_CONSENTS = 24;

describe.skipIf(!canMakeDisks)("a full disk (only root may make one)", async () => {
  if (!canMakeDisks) return;
  const disk = createSmallDisk(2);
  const [journalFolder, copiesFolder] = [join(disk.folder, "journal"), join(disk.folder, "copies")];
  const platform = await startPlatform({ journalFolder, copiesFolder });

  test(
    "under journal and copies keeps no refusal back, and both catch up when there is room",
    { timeout: 120_000 },
    async () => {
      const ana = await enrolCreator(platform);
      await registerWork(platform, ana.creatorId);
      const consents = await Promise.all(Array.from({ length: JOURNALED_CONSENTS }, () => giveConsent(ana)));
      const copyOfView = join(copiesFolder, `${VIEW}.signed`);
      await expect.poll(() => readFile(copyOfView, "utf8").catch(() => ""), PATIENCE).toContain('"revocations":[]');
      disk.fill();
      for (const { jti } of consents) expectStatus(await ana.caller.post(`/api/v1/consents/${jti}/revoke`, {}), 200);
      await expect
        .poll(async () => (await platform.anonymous.get("/readyz")).body.journal_failing_since, PATIENCE)
        .toMatch(/Z$/);
      // A copy is whole or the one before, never half of one.
      JSON.parse(await readFile(copyOfView, "utf8"));
      const files = (await readdir(journalFolder)).length;
      disk.makeRoom();
      const journal = async (): Promise<string> =>
        (
          await Promise.all((await readdir(journalFolder)).map((name) => readFile(join(journalFolder, name), "utf8")))
        ).join("");
      for (const { jti } of consents) {
        await expect.poll(journal, PATIENCE).toContain(`"aggregate":"${jti}"`);
        await expect.poll(() => readFile(copyOfView, "utf8"), PATIENCE).toContain(jti);
      }
      await expect
        .poll(async () => (await platform.anonymous.get("/readyz")).body.journal_failing_since, PATIENCE)
        .toBeUndefined();
      expect(files).toBeLessThanOrEqual(2);
    },
  );

  describe.skipIf(engine !== "pglite")("under the embedded database", () => {
    if (engine !== "pglite") return;
    const small = createSmallDisk(192);
    const smaller = createSmallDisk(96);

    test(
      "is a 503 that says so; what was acknowledged stays, and it goes on when there is room",
      { timeout: 240_000 },
      async () => {
        await cp(join(inject("templateFolder"), "pglite"), join(small.folder, "pglite"), { recursive: true });
        const port = await freePort();
        const origin = `http://127.0.0.1:${port}`;
        const start = (): Promise<Child<{ readonly operator_token?: string }>> =>
          startChild(fileOf("server/src/main.ts"), {
            LICET_PORT: String(port),
            LICET_ORIGIN: origin,
            LICET_DATA_DIR: small.folder,
            LICET_LOG_LEVEL: "silent",
            LICET_RATE_LIMITS: "off",
            LICET_EXIT_WITH_PARENT: "1",
          });
        let server = await start();
        onTestFinished(() => server.kill());
        const as = (token: string) => createCaller(origin, token);
        const operatorToken = server.ready.operator_token ?? "";
        const clock = { nowMs: () => Date.now(), advance: () => undefined };
        const anonymous = createCaller(origin);
        const platform = { origin, operatorToken, operator: as(operatorToken), anonymous, clock, as };
        const ana = await enrolCreator(platform);
        const consents = [];
        for (let given = 0; given < CONSENTS; given += 1) {
          const work = await registerWork(platform, ana.creatorId);
          consents.push(await giveConsent(ana, { subject: `content:${work}` }));
        }
        small.fill();
        const answers = new Map<string, number>();
        for (const { jti } of consents) {
          const answer = await ana.caller.post(`/api/v1/consents/${jti}/revoke`, {});
          if (answer.status !== 200) expect(answer).toMatchObject({ status: 503, body: { code: "unavailable" } });
          answers.set(jti, answer.status);
        }
        expect([...answers.values()]).toContain(503);
        expectStatus(await anonymous.get(VIEW), 200);
        await server.kill();
        await expect(start()).rejects.toThrow("LICET_DATA_DIR: expected at least 32 MiB free");
        small.makeRoom();
        server = await start();
        const { body } = expectStatus(await anonymous.get(VIEW), 200);
        const listed = body.revocations.map((entry: { readonly jti: string }) => entry.jti);
        for (const [jti, status] of answers) expect([jti, listed.includes(jti)]).toEqual([jti, status === 200]);
        for (const jti of answers.keys())
          expectStatus(await ana.caller.post(`/api/v1/consents/${jti}/revoke`, {}), 200);
        await checkPlatform({ hasCrashed: true, ...platform, now: () => Math.floor(Date.now() / 1_000) });
      },
    );

    test(
      "when its write-ahead log finds no room ends the process, and nothing that was committed is lost",
      { timeout: 240_000 },
      async () => {
        await cp(join(inject("templateFolder"), "pglite"), join(smaller.folder, "pglite"), { recursive: true });
        const written = await exhaustLog(smaller.folder);
        expect(written).toMatchObject({ code: 1, stdout: "committed\n" });
        expect(written.stderr).toContain("the embedded database cannot be asked any more");
        smaller.makeRoom();
        expect((await readNote(smaller.folder)).stdout).toBe("the note\n");
      },
    );
  });
});

const MAIN = fileOf("server/src/db/open-database.ts");
const OPEN = `
  const { openDatabase } = await import(${JSON.stringify(MAIN)});
  const { pino } = await import("pino");
  const { sql } = await import("kysely");
  const { db, close } = await openDatabase({ dataFolder: process.argv[1] }, pino({ level: "fatal" }, pino.destination({ dest: 2, sync: true })));`;

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Commits a note, fills the disk, and writes to the log until it has no room. */
function exhaustLog(dataFolder: string): Promise<Ended> {
  return run(
    `${OPEN}
  const { openSync, writeSync } = await import("node:fs");
  await sql\`create table note (text text)\`.execute(db);
  await sql\`insert into note values ('the note')\`.execute(db);
  console.log("committed");
  const file = openSync(process.argv[1] + "/ballast", "a");
  try { for (;;) writeSync(file, Buffer.alloc(65536)); } catch {}
  for (let written = 0; written < 400; written += 1)
    await sql\`select pg_logical_emit_message(true, 'x', repeat('x', 100000))\`.execute(db).catch(() => undefined);
  console.log("it never panicked");`,
    dataFolder,
  );
}

function readNote(dataFolder: string): Promise<Ended> {
  return run(
    `${OPEN}
  console.log((await sql\`select text from note\`.execute(db)).rows[0].text);
  await close();`,
    dataFolder,
  );
}

async function run(program: string, dataFolder: string): Promise<Ended> {
  const args = ["--conditions=@licet/source", "--input-type=module", "--eval", program, dataFolder];
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { cwd: fileOf(""), timeout: 100_000 });
    return { code: 0, stdout, stderr };
  } catch (error) {
    return Object(error);
  }
}
