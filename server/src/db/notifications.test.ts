import { pino } from "pino";
import { afterAll, describe, expect, inject, test } from "vitest";
import { configFor, createTestDatabase } from "../../../test/fixtures/databases.ts";
import { startNotices } from "./notifications.ts";
import { openDatabase } from "./open-database.ts";

const log = pino({ level: "silent" });
const testDatabase = await createTestDatabase(inject("templateFolder"));
const database = await openDatabase(configFor(testDatabase), log);
const notices = await startNotices(database, log);
afterAll(async () => {
  await notices.stop();
  await database.close();
  await testDatabase.drop();
});

const heard: string[] = [];
const keysHeard: string[] = [];
notices.on("documents", (entries) => void heard.push(...(entries === "all" ? ["all"] : entries)));
notices.on("signing-keys", async (entries) => {
  keysHeard.push(...(entries === "all" ? ["all"] : entries));
  throw new Error("a handler that fails");
});

function announce(...entries: readonly string[]): Promise<void> {
  return database.db.transaction().execute((trx) => notices.announce(trx, "documents", entries));
}

describe("a notice", () => {
  test("is heard by the server that sent it, too, once the transaction is committed", async () => {
    const [sent, decided] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const committing = database.db.transaction().execute(async (trx) => {
      await notices.announce(trx, "documents", ["1 /committed"]);
      sent.resolve();
      await decided.promise;
    });
    await sent.promise;
    expect(heard).not.toContain("1 /committed");
    decided.resolve();
    await committing;
    await expect.poll(() => heard, { interval: 5 }).toContain("1 /committed");
  });

  test("of a transaction that is rolled back is never heard", async () => {
    const rolledBack = database.db.transaction().execute(async (trx) => {
      await notices.announce(trx, "documents", ["1 /rolled-back"]);
      throw new Error("no");
    });
    await expect(rolledBack).rejects.toThrow("no");
    await announce("1 /the-next-one");
    await expect.poll(() => heard, { interval: 5 }).toContain("1 /the-next-one");
    expect(heard).not.toContain("1 /rolled-back");
  });

  test("may name more than one payload holds", async () => {
    const entries = Array.from({ length: 2_000 }, (_, index) => `${index} /datasets/${"x".repeat(100)}/${index}`);
    await announce(...entries);
    await expect.poll(() => heard.length, { timeout: 10_000, interval: 5 }).toBeGreaterThanOrEqual(2_000);
    expect(new Set(heard)).toEqual(new Set([...heard.slice(0, 2), ...entries]));
  });

  test("with an entry that no payload can hold is refused, and with none is not sent", async () => {
    await expect(announce("x".repeat(8_000))).rejects.toThrow(/expected an entry below 7900 bytes/);
    const before = heard.length;
    await announce();
    await announce("2 /last");
    await expect.poll(() => heard.length, { interval: 5 }).toBe(before + 1);
  });

  test("reaches only the handlers of its topic, and a handler that fails takes nothing with it", async () => {
    for (const kid of ["one", "two"])
      await database.db.transaction().execute((trx) => notices.announce(trx, "signing-keys", [kid]));
    await expect.poll(() => keysHeard, { interval: 5 }).toEqual(["one", "two"]);
    expect(heard).not.toContain("one");
  });
});

test("a server that hears its notices is current", async () => {
  await expect.poll(() => notices.isCurrent(), { interval: 5 }).toBe(true);
});
