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
  expect(panics).toEqual([]);
});
