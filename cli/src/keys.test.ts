import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { join } from "node:path";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { afterAll, expect, inject, test } from "vitest";
import { fileURLToPath } from "node:url";
import { SHORT_LIVED } from "../../test/fixtures/child-process.ts";
import { createTestDatabase } from "../../test/fixtures/databases.ts";
import { type Environment, readSettings } from "./settings.ts";
import { serverEntry } from "./serve.ts";
import { runLicet } from "./testing/run-licet.ts";

const database = await createTestDatabase(inject("templateFolder"));
const folder = database.dataFolder;
const running: (() => Promise<void>)[] = [];
afterAll(async () => {
  for (const stop of running) await stop();
  await database.drop();
});

interface Served {
  readonly environment: Environment;
  readonly stop: () => Promise<void>;
}

async function serve(origin?: string): Promise<Served & { readonly origin: string; readonly token: string }> {
  const env = {
    ...readSettings().bareEnvironment,
    LICET_PORT: "0",
    LICET_DATA_DIR: folder,
    LICET_LOG_LEVEL: "silent",
    LICET_EXIT_WITH_PARENT: "1",
    ...(origin === undefined ? {} : { LICET_ORIGIN: origin }),
  };
  const entry = fileURLToPath(serverEntry());
  const child = spawn(process.execPath, [...SHORT_LIVED, "--conditions=@licet/source", entry], {
    env,
    stdio: ["pipe", "pipe", "inherit"],
  });
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const closed = once(child, "close");
    child.kill("SIGTERM");
    await closed;
  };
  running.push(stop);
  const [line] = await once(createInterface({ input: child.stdout }), "line");
  const ready: { origin: string; operator_token?: string } = JSON.parse(String(line));
  const token = ready.operator_token ?? "";
  return {
    origin: ready.origin,
    token,
    environment: { LICET_ORIGIN: ready.origin, LICET_TOKEN: token },
    stop,
  };
}

test("licet keys lists, rotates and revokes over HTTP, and changes the master key offline", async () => {
  const served = await serve();
  const { environment } = served;
  const listed = await runLicet(["keys", "list", "--json"], environment);
  const { keys } = JSON.parse(listed.out);
  expect(keys.map((key: { purpose: string }) => key.purpose).toSorted()).toEqual([
    "consent",
    "document",
    "license",
    "receipt",
    "webhook",
  ]);
  const table = await runLicet(["keys", "list"], environment);
  for (const { kid } of keys) expect(table.out).toContain(kid);

  const rotated = await runLicet(["keys", "rotate", "--purpose", "document", "--alg", "ES256"], environment);
  expect(rotated).toMatchObject({ exitCode: 0, err: "" });
  expect(rotated.out).toMatch(/document: [\w-]{43}\s+signs\s+from\s+\S+Z;\s+[\w-]{43}\s+stays\s+valid\s+until/);
  expect(await runLicet(["keys", "rotate", "--purpose", "all"], environment)).toMatchObject({
    exitCode: 2,
    err: expect.stringContaining("--purpose: expected consent, document, receipt, webhook, oauth, got all"),
  });

  const { kid } = keys.find((key: { purpose: string }) => key.purpose === "document");
  const revoked = await runLicet(["keys", "revoke", kid, "--compromised-since", "2026-01-01T00:00:00Z"], environment);
  expect(revoked.exitCode).toBe(0);
  expect(revoked.out).toContain(`${kid} is revoked`);
  expect(await runLicet(["keys", "revoke", kid, "--compromised-since", "yesterday"], environment)).toMatchObject({
    exitCode: 2,
  });
  expect(await runLicet(["keys", "revoke", "A".repeat(43)], environment)).toMatchObject({ exitCode: 1 });

  const path = join(folder, "master.key");
  const old = await readFile(path, "utf8");
  const refused = await runLicet(["keys", "rewrap", "--data-dir", folder]);
  expect(refused.exitCode).toBe(2);
  await served.stop();
  const rewrapped = await runLicet(["keys", "rewrap", "--data-dir", folder, "--json"]);
  expect(rewrapped).toMatchObject({ exitCode: 0 });
  expect(JSON.parse(rewrapped.out)).toMatchObject({ in_place: true, key_file: path });
  expect(await readFile(path, "utf8")).not.toBe(old);
  await serve(served.origin);
}, 120_000);

test("licet keys says what it takes", async () => {
  for (const command of [["keys"], ["keys", "rotate"], ["keys", "revoke"], ["keys", "rewrap"]])
    expect(await runLicet([...command, "--help"])).toMatchObject({
      exitCode: 0,
      out: expect.stringContaining("licet keys"),
    });
}, 60_000);
