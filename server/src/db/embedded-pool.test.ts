import { PGlite } from "@electric-sql/pglite";
import pg from "pg";
import { afterAll, describe, expect, test } from "vitest";
import { openEmbeddedPool } from "./embedded-pool.ts";

const pglite = await PGlite.create();
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
    expect(await ask(text, values)).toEqual([row]);
    // The second time it is prepared already.
    expect(await ask(text, values)).toEqual([row]);
  });

  test("may be as large as three megabytes, and its answer too", async () => {
    const [row] = await ask("select $1::text as t", ["x".repeat(3_000_000)]);
    expect(row).toEqual({ t: "x".repeat(3_000_000) });
  });

  test("of many rows is not kept prepared", async () => {
    const long = `select ${Array.from({ length: 1_000 }, () => "$1::int").join(" + ")} as n`;
    const before = await countPrepared();
    expect(await ask(long, [1])).toEqual([{ n: 1_000 }]);
    expect(await countPrepared()).toBe(before);
  });

  test("that came after the most that are kept prepared is answered like the others, each time", async () => {
    for (let index = 0; index < 600; index += 1)
      expect(await ask(`select $1::int + ${index} as n`, [1])).toEqual([{ n: index + 1 }]);
    expect(await ask("select $1::int + 599 as n", [1])).toEqual([{ n: 600 }]);
    expect(await countPrepared()).toBe(500);
  });

  test.each([
    ["selec $1::int", [1], "42601"],
    ["select $1::int", ["x"], "22P02"],
    ["select 1 / $1::int", [0], "22012"],
    ["select 1 / 0", [], "22012"],
  ])("that fails (%s) says why, and is no obstacle to the next", async (text, values, code) => {
    for (let time = 0; time < 2; time += 1) await expect(ask(text, values)).rejects.toMatchObject({ code });
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

test("a database that cannot be asked any more is told of", async () => {
  let isGone = false;
  const execProtocolRaw: PGlite["execProtocolRaw"] = (message) =>
    isGone ? Promise.reject(new Error("unreachable code was reached")) : pglite.execProtocolRaw(message);
  const reasons: string[] = [];
  const lost = openEmbeddedPool({ execProtocolRaw }, { types: pg.types, onPanic: (why) => void reasons.push(why) });
  await lost.runScript("select 1");
  isGone = true;
  await expect(lost.runScript("select 1")).rejects.toThrow("unreachable code was reached");
  expect(reasons[0]).toBe("unreachable code was reached");
});

test("whatever failed before, the database has not panicked", () => {
  expect(panics).toEqual([]);
});
