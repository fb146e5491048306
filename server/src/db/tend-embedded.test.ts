import { PGlite } from "@electric-sql/pglite";
import pg from "pg";
import { afterAll, expect, test } from "vitest";
import { openEmbeddedPool } from "./embedded-pool.ts";
import { tendEmbedded } from "./tend-embedded.ts";

const pglite = await PGlite.create();
const panics: string[] = [];
const pool = openEmbeddedPool(pglite, { types: pg.types, onPanic: (message) => void panics.push(message) });
const going = new AbortController().signal;
afterAll(async () => {
  await pool.end();
  await pglite.close();
});

const ask = async (text: string, values: readonly unknown[] = []): Promise<readonly Record<string, unknown>[]> =>
  (await pool.forJobs.executeSql(text, [...values])).rows;

/** Changes something, and has it counted at once instead of within a second. */
async function change(text: string): Promise<void> {
  await ask(text);
  await ask("select pg_stat_force_next_flush()");
}

const countsOf = async (): Promise<Record<string, unknown> | undefined> =>
  (
    await ask(`
      select n_dead_tup::int as dead, n_mod_since_analyze::int as changed, vacuum_count::int as vacuums, analyze_count::int as analyses
        from pg_stat_user_tables where relname = 'A table'`)
  )[0];

test("a table is tended once it has changed enough, and not before", async () => {
  await ask(`create table "A table" (n int primary key, t text)`);
  await change(`insert into "A table" select g, repeat('x', 100) from generate_series(1, 40) g`);
  await tendEmbedded(pool, going);
  expect(await countsOf()).toMatchObject({ vacuums: 0, analyses: 0 });
  await change(`insert into "A table" select g, repeat('x', 100) from generate_series(41, 5000) g`);
  await tendEmbedded(pool, going);
  expect(await countsOf()).toMatchObject({ vacuums: 0, analyses: 1 });
  await change(`delete from "A table" where n > 2500`);
  await tendEmbedded(pool, AbortSignal.abort());
  expect(await countsOf()).toMatchObject({ dead: 2_500, vacuums: 0 });
  await tendEmbedded(pool, going);
  expect(await countsOf()).toMatchObject({ vacuums: 1, analyses: 2 });
  await tendEmbedded(pool, going);
  expect(await countsOf()).toMatchObject({ vacuums: 1, analyses: 2 });
});

test("a plan that was made while a table was small is made anew", async () => {
  await ask("create table item (id text primary key, dataset text); create index on item (dataset)");
  await ask("create table visit (id int primary key, item text); create index on visit (item)");
  const find = "select count(*)::int as n from item join visit on visit.item = item.id where item.dataset = any($1)";
  for (let time = 0; time < 10; time += 1) await ask(find, [["1", "2"]]);
  await change("insert into item select g::text, (g / 20)::text from generate_series(1, 20000) g");
  await change("insert into visit select g, g::text from generate_series(1, 20000) g");
  const [kept] = await ask("select name from pg_prepared_statements where statement = $1", [find]);
  const plan = async (): Promise<string> =>
    JSON.stringify(await ask(`explain execute ${String(kept?.["name"])} ('{"1","2"}')`));
  await ask("set plan_cache_mode = force_generic_plan");
  const before = await plan();
  await tendEmbedded(pool, going);
  expect(before).toContain("rows=");
  expect(await plan()).not.toBe(before);
  expect(await ask(find, [["1", "2"]])).toEqual([{ n: 40 }]);
  expect(panics).toEqual([]);
});
