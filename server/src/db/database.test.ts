import { migrateOnly, startServer } from "@licet/server";
import { sql } from "kysely";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import pg from "pg";
import { pino } from "pino";
import { afterAll, describe, expect, inject, test } from "vitest";
import { uniqueId } from "../../../test/fixtures/actors.ts";
import { fileOf } from "../../../test/fixtures/child-process.ts";
import { configFor, createTestDatabase } from "../../../test/fixtures/databases.ts";
import { engine, postgresUrl } from "../../../test/fixtures/settings.ts";
import { ConfigError } from "../config.ts";
import { migrate } from "./migrate.ts";
import { openDatabase } from "./open-database.ts";

const database = await createTestDatabase(inject("templateFolder"));
const config = configFor(database);
const log = pino({ level: "silent" });
afterAll(() => database.drop());

/** Opens the test database, lets work happen, closes it. */
async function withDatabase(work: (opened: Awaited<ReturnType<typeof openDatabase>>) => Promise<void>): Promise<void> {
  const opened = await openDatabase(config, log);
  try {
    await work(opened);
  } finally {
    await opened.close();
  }
}

test("a statement is planned each time, for the tables as they are by then", async () => {
  await withDatabase(async ({ db }) => {
    const text = (time: number) => sql`select name from migration where name = ${`${time}`}`;
    for (let time = 0; time < 10; time += 1) await text(time).execute(db);
    const { rows } = await sql<{ kept: number }>`
      select coalesce(sum(generic_plans), 0)::int as kept from pg_prepared_statements`.execute(db);
    expect(rows).toEqual([{ kept: 0 }]);
  });
});

describe("migrations", () => {
  test("run once", async () => {
    await withDatabase(async (opened) => {
      expect(await migrate(opened)).toEqual([]);
      const { rows } = await sql<{ name: string }>`select name from migration order by name`.execute(opened.db);
      expect(rows.map((row) => row.name)).toEqual(rows.map((row) => row.name).toSorted());
      expect(rows[0]?.name).toBe("0001-plumbing.sql");
    });
  });

  test("that differ from the ones a database was made with stop the boot in one line", async () => {
    const rewrite = (sha256: string) =>
      withDatabase(async ({ db }) => {
        await sql`update migration set sha256 = ${sha256} where name = '0004-terms.sql'`.execute(db);
      });
    const original = createHash("sha256")
      .update(readFileSync(fileOf("server/src/db/migrations/0004-terms.sql")))
      .digest("hex");
    await rewrite("0".repeat(64));
    await expect(migrateOnly(config)).rejects.toThrow(ConfigError);
    await expect(startServer({ config })).rejects.toThrow(/0004-terms\.sql differs/);
    await rewrite(original);
    await migrateOnly(config);
  });

  test("that fail leave nothing half done", async () => {
    await withDatabase(async ({ db, runScript }) => {
      await expect(runScript("begin; create table half_done (id integer); select 1 / 0; commit;")).rejects.toThrow(
        /division by zero/,
      );
      expect(
        (await sql<{ found: string | null }>`select to_regclass('half_done')::text as found`.execute(db)).rows[0]
          ?.found,
      ).toBeNull();
    });
  });

  test.skipIf(engine === "pglite")(
    "of five servers at once on an empty database are run by one of them (a data folder has one server)",
    async () => {
      const name = uniqueId("licet_empty_");
      const client = new pg.Client({ connectionString: postgresUrl });
      await client.connect();
      try {
        for (let round = 0; round < 3; round += 1) {
          await client.query(`create database ${name}`);
          const url = new URL(postgresUrl ?? "");
          url.pathname = `/${name}`;
          await Promise.all(Array.from({ length: 5 }, () => migrateOnly({ ...config, databaseUrl: url.href })));
          await client.query(`drop database ${name} with (force)`);
        }
      } finally {
        await client.end();
      }
    },
  );
});

describe("two transactions", () => {
  test("do not see what the other has not committed", async () => {
    await withDatabase(async ({ db }) => {
      const [inserted, decided] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const find = () =>
        db.selectFrom("session_token").select("kind").where("token_sha256", "=", "uncommitted").execute();
      const first = db.transaction().execute(async (trx) => {
        await trx
          .insertInto("creator")
          .values({ creator_id: "user:uncommitted", aggregate: "user:uncommitted", created_at: 1 })
          .execute();
        inserted.resolve();
        await decided.promise;
        throw new Error("rolled back");
      });
      await inserted.promise;
      const [alone, within] = [
        find(),
        db
          .transaction()
          .execute((trx) =>
            trx.selectFrom("session_token").select("kind").where("token_sha256", "=", "uncommitted").execute(),
          ),
      ];
      setTimeout(() => decided.resolve(), 50);
      await expect(first).rejects.toThrow("rolled back");
      expect([await alone, await within]).toEqual([[], []]);
      expect(await find()).toEqual([]);
    });
  });

  test("that count up the same row lose nothing", async () => {
    await withDatabase(async ({ db }) => {
      await db
        .insertInto("session_token")
        .values({ token_sha256: "counter", kind: "operator", creator_id: null, created_at: 0, expires_at: null })
        .execute();
      await Promise.all(
        Array.from({ length: 30 }, () =>
          db.transaction().execute(async (trx) => {
            const row = await trx
              .selectFrom("session_token")
              .select("created_at")
              .where("token_sha256", "=", "counter")
              .forUpdate()
              .executeTakeFirstOrThrow();
            await trx
              .updateTable("session_token")
              .set({ created_at: row.created_at + 1 })
              .where("token_sha256", "=", "counter")
              .execute();
          }),
        ),
      );
      expect(
        await db
          .selectFrom("session_token")
          .select("created_at")
          .where("token_sha256", "=", "counter")
          .executeTakeFirst(),
      ).toEqual({ created_at: 30 });
    });
  });

  test("that fail leave the connection to the next one as if they had never been", async () => {
    await withDatabase(async ({ db }) => {
      const failing = Array.from({ length: 12 }, () =>
        db.transaction().execute((trx) => sql`select 1 / 0`.execute(trx)),
      );
      const fine = Array.from({ length: 12 }, () => sql<{ one: number }>`select 1 as one`.execute(db));
      expect((await Promise.allSettled(failing)).every((result) => result.status === "rejected")).toBe(true);
      expect((await Promise.all(fine)).map((result) => result.rows[0]?.one)).toEqual(
        Array.from({ length: 12 }, () => 1),
      );
    });
  });

  test("read whole numbers as numbers, also those beyond 32 bits", async () => {
    await withDatabase(async ({ db }) => {
      const { rows } = await sql<{
        large: number;
        count: number;
      }>`select 9007199254740991::bigint as large, count(*) as count from migration`.execute(db);
      expect(rows[0]).toEqual({ large: Number.MAX_SAFE_INTEGER, count: expect.any(Number) });
    });
  });
});
