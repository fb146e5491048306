import { readFile, readdir } from "node:fs/promises";
import { gunzipSync } from "node:zlib";
import { type JsonObject, isJsonObject } from "@licet/protocol";
import { sql } from "kysely";
import { describe, expect, test } from "vitest";
import { type Consent, enrolCreator, expectStatus, giveConsent, registerWork } from "../../../test/fixtures/actors.ts";
import { createSites } from "../../../test/fixtures/backups.ts";
import { parseObject } from "../../../test/fixtures/datasets.ts";

const sites = createSites();
/** What counts for a minute, what the files beside a backup hold, and what a migration writes. */
const MADE_ANEW = ["edge_refresh_seq", "journal_entry", "migration", "purge_meter", "rate_limit"];

/** The rows of a backup by their tables. */
function rowsOf(text: string): ReadonlyMap<string, readonly JsonObject[]> {
  const tables = new Map<string, JsonObject[]>();
  let rows: JsonObject[] = [];
  for (const line of text.trimEnd().split("\n").slice(1, -1)) {
    const { table, row } = parseObject(line);
    if (typeof table === "string") tables.set(table, (rows = []));
    if (isJsonObject(row)) rows.push(row);
  }
  return tables;
}

describe("a backup", () => {
  test("taken while consents are revoked shows one instant, and holds no secret", async () => {
    const site = await sites.open(await sites.createDatabase());
    const creator = await enrolCreator(site.platform);
    const consents: Consent[] = [];
    for (let index = 0; index < 12; index += 1) {
      const work = await registerWork(site.platform, creator.creatorId);
      consents.push(await giveConsent(creator, { subject: `content:${work}` }));
    }
    const revocations = consents.map(({ jti }) => creator.caller.post(`/api/v1/consents/${jti}/revoke`));
    const paths = [await site.backUp(), await site.backUp()];
    for (const answer of await Promise.all(revocations)) expectStatus(answer, 200);
    for (const path of paths) {
      const text = gunzipSync(await readFile(path)).toString("utf8");
      const tables = rowsOf(text);
      const revoked = (tables.get("consent") ?? []).filter((row) => row["state"] === "revoked");
      const jtis = revoked.map((row) => String(row["jti"])).sort();
      expect((tables.get("revocation") ?? []).map((row) => String(row["jti"])).sort()).toEqual(jtis);
      const told = (tables.get("event") ?? []).filter((row) => row["type"] === "consent.revoked");
      expect(told.map((row) => String(row["aggregate"])).sort()).toEqual(jtis);
      expect(tables.get("event")?.length).toBe(tables.get("event_body")?.length);
      expect(text).not.toContain(Buffer.from(site.masterKey).toString("base64url"));
      expect(text).not.toContain(site.platform.operatorToken);
    }
    const left = (await readdir(site.database.dataFolder)).filter((name) => name.endsWith(".tmp"));
    expect(left).toEqual([]);
  });

  test("carries every table but those that another start makes anew", async () => {
    const site = await sites.open(await sites.createDatabase());
    const carried = rowsOf(gunzipSync(await readFile(await site.backUp())).toString("utf8"));
    const { rows } = await sql<{ name: string }>`
      select relname as name from pg_class
       where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition`.execute(
      site.platform.server.ctx.db,
    );
    const missing = rows.map(({ name }) => name).filter((name) => !carried.has(name));
    expect(missing.sort()).toEqual(MADE_ANEW);
  });

  test("is taken once at a time, and by nobody but the operator", async () => {
    const site = await sites.open(await sites.createDatabase());
    const get = () =>
      fetch(`${site.platform.origin}/api/v1/backup`, {
        headers: { authorization: `Bearer ${site.platform.operatorToken}` },
      });
    const both = await Promise.all([get(), get()]);
    expect(both.map((response) => response.status).sort()).toEqual([200, 409]);
    for (const response of both) await response.arrayBuffer();
    await expect.poll(async () => (await get()).status, { timeout: 20_000 }).toBe(200);
    expect((await site.platform.anonymous.get("/api/v1/backup")).status).toBe(401);
  });
});
