import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { type Server, createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { enrolCreator, expectStatus, giveConsent, registerWork } from "../../test/fixtures/actors.ts";
import { createCaller } from "../../test/fixtures/caller.ts";
import { SHORT_LIVED, fileOf, startChild } from "../../test/fixtures/child-process.ts";
import { createTestDatabase } from "../../test/fixtures/databases.ts";
import { runLicet, startLicet } from "./testing/run-licet.ts";

let folder: string;
const LICET_MASTER_KEY = randomBytes(32).toString("base64url");

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "licet-cli-backup-"));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe("licet backup and licet restore", () => {
  it.each([
    [["backup"], /^licet: expected --out <file> .* or --verify <file> .*, got neither or both$/m],
    [["backup", "--out", "x", "--origin", "http://127.0.0.1:1"], /^licet: expected LICET_TOKEN .*, got neither$/m],
    [["backup", "--verify", "no-such-file"], /^licet: .*no-such-file: expected a whole backup, got one that cannot/],
    [
      ["restore", "no-such-file"],
      /^licet: expected --journal <folder> .*, or --without-journal .*, got neither or both$/m,
    ],
  ])("end with 2 and one line when they are asked the wrong way: licet %j", async (args, line) => {
    const { exitCode, out, err } = await runLicet(args);
    expect({ exitCode, out }).toEqual({ exitCode: 2, out: "" });
    expect(err).toMatch(line);
    expect(err.trimEnd()).not.toContain("\n");
  });

  it(
    "take a running server's backup, check it, and bring it back with what was revoked since",
    { timeout: 180_000 },
    async () => {
      const database = await createTestDatabase(inject("templateFolder"));
      const { dataFolder } = database;
      const server = await startChild<{ readonly origin: string; readonly operator_token: string }>(
        fileOf("server/src/main.ts"),
        {
          LICET_PORT: "0",
          LICET_DATA_DIR: dataFolder,
          LICET_MASTER_KEY,
          LICET_LOG_LEVEL: "error",
          LICET_EXIT_WITH_PARENT: "1",
        },
        [],
        SHORT_LIVED,
      );
      const { origin, operator_token } = server.ready;
      const as = (token: string) => createCaller(origin, token);
      const clock = { nowMs: () => Date.now(), advance: () => undefined };
      const creator = await enrolCreator({ origin, operator: as(operator_token), clock, as });
      await registerWork({ origin, operator: as(operator_token), clock, as }, creator.creatorId);
      const { jti } = await giveConsent(creator);
      const file = join(folder, "licet.backup");
      const taking = { LICET_ORIGIN: origin, LICET_TOKEN: operator_token };
      const taken = await runLicet(["backup", "--out", file], taking);
      expect(taken).toMatchObject({ exitCode: 0, out: expect.stringContaining(`is a whole backup of ${origin}`) });
      expect(taken.out).toContain("without the master key it cannot be restored");
      expect(await runLicet(["backup", "--out", file], taking)).toMatchObject({
        exitCode: 2,
        err: expect.stringContaining("expected a file that is not there yet"),
      });
      expectStatus(await creator.caller.post(`/api/v1/consents/${jti}/revoke`), 200);
      await server.stop();

      const checked = await runLicet(["backup", "--verify", file, "--json"]);
      expect(JSON.parse(checked.out)).toMatchObject({ file, origin, rows: { consent: 1 } });
      const altered = join(folder, "altered.backup");
      await writeFile(
        altered,
        gzipSync(
          gunzipSync(await readFile(file))
            .toString("utf8")
            .replace(jti, `${jti}x`),
        ),
      );
      const journal = join(dataFolder, "journal");
      const environment = { LICET_PORT: "0", LICET_MASTER_KEY };
      const into = ["--data-dir", join(folder, "restored")];
      const refused = await runLicet(["restore", altered, "--journal", journal, ...into], environment);
      expect(refused).toMatchObject({ exitCode: 2, out: "", err: expect.stringMatching(/^licet: .*was altered\n$/) });
      const done = await runLicet(["restore", file, "--journal", journal, ...into], environment);
      expect(done).toMatchObject({ exitCode: 0, err: "" });
      expect(done.out).toContain("consent.revoked: 1");
      await database.drop();
    },
  );

  it("leave no half of a backup under its name when they are killed", async () => {
    const server = await hangingServer();
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const out = join(folder, "killed.backup");
    const child = startLicet(["backup", "--out", out], {
      LICET_ORIGIN: `http://127.0.0.1:${port}`,
      LICET_TOKEN: "any",
    });
    await expect
      .poll(async () => (await readdir(folder)).some((name) => name.startsWith("killed.backup.")), { timeout: 20_000 })
      .toBe(true);
    child.kill("SIGKILL");
    await once(child, "close");
    server.closeAllConnections();
    server.close();
    expect(existsSync(out)).toBe(false);
  });
});

/** Begins to answer, and never ends. */
async function hangingServer(): Promise<Server> {
  const server = createServer((_request, response) => {
    response.writeHead(200, { "content-type": "application/gzip" });
    response.write(gzipSync("half of a backup"));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}
