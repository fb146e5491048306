import { PGlite } from "@electric-sql/pglite";
import pg from "pg";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { type EmbeddedPool, openEmbeddedPool } from "./embedded-pool.ts";

const pglite = await PGlite.create();
setFlagsFromString("--expose-gc");
const collectGarbage: () => void = runInNewContext("gc");
const panics: string[] = [];
const pool = openEmbeddedPool(pglite, { types: pg.types, onPanic: (message) => void panics.push(message) });
afterAll(async () => {
  await pool.end();
  await pglite.close();
});

async function ask(text: string, values: readonly unknown[] = []): Promise<readonly unknown[]> {
  const client = await pool.forKysely.connect();
  try {
    return (await client.query(text, values)).rows;
  } finally {
    client.release();
  }
}

async function countPrepared(): Promise<number> {
  return (await ask("select name from pg_prepared_statements")).length;
}

describe("a statement", () => {
  test("takes and answers what it does on any PostgreSQL", async () => {
    const bytes = Buffer.from([0, 1, 255]);
    const at = new Date(1_764_000_000_000);
    const values = [7, "Ünïcode 🎈", bytes, ["a", null], { nested: [1] }, at, null];
    const text =
      "select $1::int as n, $2::text as t, $3::bytea as b, $4::text[] as a, $5::json as j, $6::timestamptz as d, $7::text as nothing";
    const row = { n: 7, t: "Ünïcode 🎈", b: bytes, a: ["a", null], j: { nested: [1] }, d: at, nothing: null };
    // The second time it is prepared, the third time it is known.
    for (let time = 0; time < 3; time += 1) expect(await ask(text, values)).toEqual([row]);
  });

  test("may be as large as three megabytes, and its answer too", async () => {
    const [row] = await ask("select $1::text as t", ["x".repeat(3_000_000)]);
    expect(row).toEqual({ t: "x".repeat(3_000_000) });
  });

  test("of many rows is not kept prepared", async () => {
    const long = `select ${Array.from({ length: 1_000 }, () => "$1::int").join(" + ")} as n`;
    const before = await countPrepared();
    for (let time = 0; time < 2; time += 1) expect(await ask(long, [1])).toEqual([{ n: 1_000 }]);
    expect(await countPrepared()).toBe(before);
  });

  test("is kept prepared from the second time on", async () => {
    const before = await countPrepared();
    for (const kept of [0, 1, 1]) {
      expect(await ask("select $1::int as once", [1])).toEqual([{ once: 1 }]);
      expect(await countPrepared()).toBe(before + kept);
    }
  });

  test("that a value could not be sent to, or whose table was changed, is only then not answered", async () => {
    const circular: unknown[] = [];
    circular.push({ circular });
    const echo = "select $1::json as value";
    for (let time = 0; time < 3; time += 1) await expect(ask(echo, [{ value: circular }])).rejects.toThrow(/circular/);
    for (let time = 0; time < 3; time += 1) expect(await ask(echo, ["[1]"])).toEqual([{ value: [1] }]);
    await pool.runScript("create table changed (a int); insert into changed values (1)");
    const all = "select * from changed where a = $1";
    for (let time = 0; time < 3; time += 1) expect(await ask(all, [1])).toEqual([{ a: 1 }]);
    await pool.runScript("alter table changed add column b int");
    await expect(ask(all, [1])).rejects.toMatchObject({ code: "0A000" });
    for (let time = 0; time < 3; time += 1) expect(await ask(all, [1])).toEqual([{ a: 1, b: null }]);
  });

  test("that follows others leaves requests and timers their turn", async () => {
    let ticks = 0;
    const timer = setInterval(() => (ticks += 1), 1);
    onTestFinished(() => clearInterval(timer));
    const client = await pool.forKysely.connect();
    onTestFinished(() => client.release());
    for (const until = performance.now() + 500; performance.now() < until;) await client.query("select 1", []);
    expect(ticks).toBeGreaterThan(10);
  });

  test("that takes longer than the event loop may wait is followed by its turn, each time", async () => {
    const slow = await PGlite.create();
    onTestFinished(() => slow.close());
    const spin = (ms: number): void => {
      for (const until = performance.now() + ms; performance.now() < until;);
    };
    const execProtocolRawStream: PGlite["execProtocolRawStream"] = (message, options) => {
      spin(15);
      return slow.execProtocolRawStream(message, options);
    };
    const slowPool = openEmbeddedPool({ execProtocolRawStream }, { types: pg.types, onPanic: () => undefined });
    onTestFinished(() => slowPool.end());
    const client = await slowPool.forKysely.connect();
    let turns = 0;
    let isCounting = true;
    const count = (): void => {
      turns += 1;
      if (isCounting) setImmediate(count);
    };
    setImmediate(count);
    for (let asked = 0; asked < 10; asked += 1) await client.query("select 1", []);
    isCounting = false;
    client.release();
    expect(turns).toBeGreaterThanOrEqual(9);
  });

  test("leaves nothing of its answer behind", async () => {
    // Whatever is kept of 500 such answers is 75 MB at least; what else runs in this process may hold some more or less.
    const read = () => ask("select repeat('x', 3000) as t from generate_series(1, $1)", [50]);
    const heldBytes = (): number => {
      collectGarbage();
      const { heapUsed, arrayBuffers } = process.memoryUsage();
      return heapUsed + arrayBuffers;
    };
    await read();
    const before = heldBytes();
    for (let time = 0; time < 500; time += 1) expect(await read()).toHaveLength(50);
    expect(heldBytes() - before).toBeLessThan(30_000_000);
  });

  test("that came after the most that are kept prepared is answered like the others, each time", async () => {
    for (let index = 0; index < 600; index += 1)
      for (let time = 0; time < 2; time += 1)
        expect(await ask(`select $1::int + ${index} as n`, [1])).toEqual([{ n: index + 1 }]);
    expect(await ask("select $1::int + 599 as n", [1])).toEqual([{ n: 600 }]);
    // And the one whose table was changed, which nobody asks any more.
    expect(await countPrepared()).toBe(501);
  });

  test.each([
    ["selec $1::int", [1], "42601"],
    ["select $1::int", ["x"], "22P02"],
    ["select 1 / $1::int", [0], "22012"],
    ["select 1 / 0", [], "22012"],
  ])("that fails (%s) says why, and is no obstacle to the next", async (text, values, code) => {
    for (let time = 0; time < 3; time += 1) await expect(ask(text, values)).rejects.toMatchObject({ code });
    expect(await ask("select $1::int as n", [1])).toEqual([{ n: 1 }]);
  });
});

describe("a script", () => {
  test("that fails leaves nothing, and no open transaction", async () => {
    const script = "begin; create table half (a int); select 1 / 0; commit;";
    await expect(pool.runScript(script)).rejects.toMatchObject({ code: "22012" });
    expect(await ask("select to_regclass('half') as name, now() = statement_timestamp() as is_alone")).toEqual([
      { name: null, is_alone: true },
    ]);
  });

  test("of the job queue answers the rows of all its statements", async () => {
    expect(await pool.forJobs.executeSql("begin; select 1 as a; select 2 as a; commit")).toEqual({
      rows: [{ a: 1 }, { a: 2 }],
    });
  });
});

test("a connection is held by one at a time, in the order of asking", async () => {
  const client = await pool.forKysely.connect();
  const order: string[] = [];
  const others = ["first", "second"].map(async (name) => {
    await ask("select $1::text as name", [name]);
    order.push(name);
  });
  await client.query("select pg_sleep(0.05)", []);
  order.push("holder");
  client.release();
  await Promise.all(others);
  expect(order).toEqual(["holder", "first", "second"]);
});

test("ends once everybody who waits has been answered, and refuses whoever comes later", async () => {
  const other = openEmbeddedPool(pglite, { types: pg.types, onPanic: (message) => void panics.push(message) });
  const say = async (word: string): Promise<unknown> =>
    (await other.forJobs.executeSql(`select '${word}' as said`)).rows;
  const client = await other.forKysely.connect();
  const answers = [say("waits"), say("too")];
  const ended = [other.end(), other.end()];
  await expect(say("late")).rejects.toThrow("closed");
  client.release();
  await Promise.all(ended);
  expect(await Promise.all(answers)).toEqual([[{ said: "waits" }], [{ said: "too" }]]);
  await expect(other.forKysely.connect()).rejects.toThrow("closed");
  await other.end();
});

test("a notice is heard once it is committed, on its channel, until nobody listens", async () => {
  const heard: string[] = [];
  const stop = await pool.listen("A channel", (payload) => void heard.push(payload));
  await pool.runScript(`begin; notify "A channel", 'never'; rollback`);
  await ask("select pg_notify($1, $2)", ["Another channel", "not ours"]);
  await ask("select pg_notify($1, $2)", ["A channel", "ours"]);
  expect(heard).toEqual(["ours"]);
  await stop();
  await ask("select pg_notify($1, $2)", ["A channel", "too late"]);
  expect(heard).toEqual(["ours"]);
});

describe("a database that cannot be asked any more", () => {
  const opened = async (): Promise<{
    readonly lost: EmbeddedPool;
    readonly reasons: string[];
  }> => {
    const broken = await PGlite.create();
    const reasons: string[] = [];
    return {
      reasons,
      lost: openEmbeddedPool(broken, { types: pg.types, onPanic: (why) => void reasons.push(why) }),
    };
  };

  test("because it broke off in the middle of an answer is told of, and nobody waits", async () => {
    const { lost, reasons } = await opened();
    // Deeper than its stack: PGlite swallows the trap, and answers no more.
    await lost.runScript(
      "create function endless(n int) returns int language plpgsql as 'begin return endless(n + 1); end'",
    );
    await expect(lost.runScript("select endless(1)")).rejects.toThrow("broke off");
    expect(reasons).toContainEqual(expect.stringContaining("broke off"));
  });

  test("because it ended is told of, with the reason", async () => {
    const { lost, reasons } = await opened();
    await lost.runScript("create table copied (a int)");
    await expect(lost.runScript("copy copied from stdin")).rejects.toThrow("exit(1)");
    expect(reasons[0]).toContain("exit(1)");
  });
});

test("what the environment says of other servers does not concern it", async () => {
  vi.stubEnv("PGSSLMODE", "require");
  vi.stubEnv("PGSSLNEGOTIATION", "direct");
  onTestFinished(() => void vi.unstubAllEnvs());
  const other = openEmbeddedPool(pglite, { types: pg.types, onPanic: (message) => void panics.push(message) });
  await other.runScript("select 1");
  await other.end();
});

test("whatever failed before, the database has not panicked", () => {
  expect(panics).toEqual([]);
});
