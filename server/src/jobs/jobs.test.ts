import { pino } from "pino";
import { afterAll, describe, expect, inject, test } from "vitest";
import { configFor, createTestDatabase } from "../../../test/fixtures/databases.ts";
import { openDatabase } from "../db/open-database.ts";
import { attemptError } from "./attempt-error.ts";
import { startJobs } from "./jobs.ts";

const log = pino({ level: "silent" });
const testDatabase = await createTestDatabase(inject("templateFolder"));
const database = await openDatabase(configFor(testDatabase), log);
const jobs = await startJobs(database, log);
afterAll(async () => {
  await jobs.stop();
  await database.close();
  await testDatabase.drop();
});

const worked: string[] = [];
const failures = new Map<string, number>();
await jobs.work("fan-out", async ({ event_id }) => {
  worked.push(event_id);
  const left = failures.get(event_id) ?? 0;
  failures.set(event_id, left - 1);
  if (left > 0) throw new Error("not this time");
});

/** Sends jobs in one transaction. */
async function send(...eventIds: readonly string[]): Promise<void> {
  await database.db.transaction().execute((trx) =>
    jobs.send(
      trx,
      "fan-out",
      eventIds.map((event_id) => ({ event_id })),
    ),
  );
}

describe("a job", () => {
  test("runs once its transaction is committed, and soon", async () => {
    const startedMs = Date.now();
    await send("committed");
    await expect.poll(() => worked, { interval: 5 }).toContain("committed");
    expect(Date.now() - startedMs).toBeLessThan(1_000);
  });

  test("of a transaction that was rolled back never runs", async () => {
    const rolledBack = database.db.transaction().execute(async (trx) => {
      await jobs.send(trx, "fan-out", [{ event_id: "rolled back" }]);
      throw new Error("no");
    });
    await expect(rolledBack).rejects.toThrow("no");
    await send("the next one");
    await expect.poll(() => worked, { interval: 5 }).toContain("the next one");
    expect(worked).not.toContain("rolled back");
  });

  test("is one of many that come at once, and all of them run", async () => {
    const ids = Array.from({ length: 250 }, (_, index) => `burst-${index}`);
    const startedMs = Date.now();
    await Promise.all([send(...ids.slice(0, 240)), ...ids.slice(240).map((id) => send(id))]);
    await expect
      .poll(() => worked.filter((id) => id.startsWith("burst-")).length, { timeout: 40_000, interval: 10 })
      .toBe(250);
    expect(Date.now() - startedMs).toBeLessThan(4_000);
    expect(new Set(worked.filter((id) => id.startsWith("burst-")))).toEqual(new Set(ids));
  });

  test("whose worker throws comes again, and takes no other with it", async () => {
    failures.set("stubborn", 1);
    await send("before", "stubborn", "after");
    await expect
      .poll(() => worked, { timeout: 5_000 })
      .toEqual(expect.arrayContaining(["before", "stubborn", "after"]));
    await expect.poll(() => worked.filter((id) => id === "stubborn").length, { timeout: 15_000 }).toBe(2);
    for (const other of ["before", "after"]) expect(worked.filter((id) => id === other)).toHaveLength(1);
  });
});

describe("a sweep", () => {
  test("runs one at a time, and goes on after a failure", async () => {
    let [running, most, runs] = [0, 0, 0];
    jobs.every(0.02, "overlapping", async () => {
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setTimeout(resolve, 60));
      running -= 1;
      runs += 1;
      if (runs === 1) throw new Error("the first one fails");
    });
    await expect.poll(() => runs, { timeout: 5_000 }).toBeGreaterThan(3);
    expect(most).toBe(1);
  });
});

describe("an attempt's error", () => {
  test("is short, and text that every database keeps", () => {
    expect(attemptError("x".repeat(1_000))).toHaveLength(300);
    expect(attemptError("a\0b\0")).toBe("a\uFFFDb\uFFFD");
  });
});
