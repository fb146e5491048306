import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, expect, inject, test } from "vitest";
import { SHORT_LIVED } from "../../test/fixtures/child-process.ts";
import { createTestDatabase, storageOf } from "../../test/fixtures/databases.ts";
import { serverEntry } from "./serve.ts";
import { readSettings } from "./settings.ts";
import { runLicet } from "./testing/run-licet.ts";

const database = await createTestDatabase(inject("templateFolder"));
const server = spawn(process.execPath, [...SHORT_LIVED, "--conditions=@licet/source", fileURLToPath(serverEntry())], {
  env: {
    ...readSettings().bareEnvironment,
    LICET_PORT: "0",
    ...storageOf(database),
    LICET_LOG_LEVEL: "silent",
    LICET_EXIT_WITH_PARENT: "1",
  },
  stdio: ["pipe", "pipe", "inherit"],
});
afterAll(async () => {
  const closed = once(server, "close");
  server.kill("SIGTERM");
  await closed;
  await database.drop();
});

test("licet analytics has usage and earnings counted anew, and checks them", { timeout: 90_000 }, async () => {
  const [line] = await once(createInterface({ input: server.stdout }), "line");
  const ready: { origin: string; operator_token: string } = JSON.parse(String(line));
  const environment = { LICET_ORIGIN: ready.origin, LICET_TOKEN: ready.operator_token };
  expect(await runLicet(["analytics", "rebuild"], environment)).toMatchObject({
    exitCode: 0,
    out: "Usage and earnings are counted anew.\n",
    err: "",
  });
  const rebuilt = await runLicet(["analytics", "rebuild", "--no-wait", "--json"], environment);
  expect(JSON.parse(rebuilt.out)).toMatchObject({ complete_to: { is_current: true }, rebuilt_at: expect.any(String) });
  const checked = await runLicet(["analytics", "check"], environment);
  expect(checked).toMatchObject({ exitCode: 0, err: "" });
  expect(checked.out.split("\n").slice(0, 4)).toEqual(
    ["receipts", "charges", "pools", "earnings"].map((name) => `✓ ${name}: 0 sums agree`),
  );
  expect(await runLicet(["analytics", "rebuild"], { ...environment, LICET_TOKEN: "wrong" })).toMatchObject({
    exitCode: 1,
    out: "",
    err: expect.stringMatching(/^licet: /),
  });
  expect(await runLicet(["analytics", "rebuild"], { LICET_ORIGIN: ready.origin })).toMatchObject({
    exitCode: 2,
    err: "licet: expected LICET_TOKEN (or --token) of the operator, got neither\n",
  });
});
