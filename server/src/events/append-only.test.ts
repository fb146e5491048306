import { accept } from "@licet/protocol";
import { sql } from "kysely";
import { createHash } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  giveConsent,
  offerDataset,
  publishDataset,
  registerMarketplace,
  registerWork,
} from "../../../test/fixtures/actors.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { postReceipt } from "../../../test/fixtures/receipts.ts";
import { postTransactions } from "../ledger/post-transactions.ts";
import { writeFact } from "./write-fact.ts";

const platform = await startPlatform();
const { db } = platform.server.ctx;

const APPEND_ONLY = [
  "event",
  "terms",
  "content_revision",
  "dataset_version",
  "dataset_item",
  "dataset_consent",
  "usage_receipt",
  "revocation",
  "ledger_account",
  "ledger_transaction",
  "ledger_entry",
  "ledger_period",
];

beforeAll(async () => {
  const creator = await enrolCreator(platform);
  const work = await registerWork(platform, creator.creatorId);
  const { jti } = await giveConsent(creator);
  const dataset = await publishDataset(platform, [work]);
  const marketplace = await registerMarketplace(platform);
  await offerDataset(platform, dataset.dataset_id, marketplace);
  expectStatus(await postReceipt(platform, marketplace, dataset), 201);
  expectStatus(await creator.caller.post(`/api/v1/consents/${jti}/revoke`), 200);
  await payForIt(dataset.dataset_id, marketplace.marketplaceId);
});

/** Money that moved, and a month that is closed. */
async function payForIt(datasetId: string, marketplaceId: string): Promise<void> {
  await writeFact(platform.server.ctx, async (fact) => {
    const entries = [
      { account: { kind: "marketplace" as const, owner: marketplaceId }, amountMicros: 5n },
      { account: { kind: "pool" as const, owner: `${datasetId}/1` }, amountMicros: -5n },
    ];
    postTransactions(fact, [{ kind: "license_fee", reference: "lic_1", currency: "USD", entries, explanation: {} }]);
    return accept(true);
  });
  await db.insertInto("ledger_period").values({ period: "2025-12", closed_at: 1, closed_by: "test" }).execute();
}

async function rowsOf(table: string): Promise<readonly unknown[]> {
  return (await sql`select * from ${sql.table(table)}`.execute(db)).rows;
}

/** Why the database refused. The server works on meanwhile, and may win against a lock of the whole table. */
async function refusalOf(attempt: () => Promise<unknown>): Promise<string> {
  for (;;) {
    const error: unknown = await attempt().then(
      () => new Error("it was done"),
      (reason: unknown) => reason,
    );
    const message = error instanceof Error ? error.message : String(error);
    if (!/deadlock detected|lock timeout/.test(message)) return message;
  }
}

describe.each(APPEND_ONLY)("the table %s", (table) => {
  test.each(["update", "delete", "truncate"])("refuses %s in the database itself", async (verb) => {
    const before = await rowsOf(table);
    expect(before.length).toBeGreaterThan(0);
    const { rows } = await sql<{
      name: string;
    }>`select attname as name from pg_attribute where attrelid = ${table}::regclass and attnum > 0 and attidentity = '' limit 1`.execute(
      db,
    );
    const column = rows[0]?.name ?? "";
    const statements = {
      update: sql`update ${sql.table(table)} set ${sql.ref(column)} = ${sql.ref(column)}`,
      delete: sql`delete from ${sql.table(table)}`,
      truncate: sql`truncate ${sql.table(table)} cascade`,
    };
    const statement = statements[verb === "update" ? "update" : verb === "delete" ? "delete" : "truncate"];
    expect(await refusalOf(() => statement.execute(db))).toMatch(/append-only/);
    expect(await rowsOf(table)).toEqual(expect.arrayContaining([...before]));
  });
});

describe("every event", () => {
  test("is committed to by SHA-256 of prefix, salt and body, and waits for the log", async () => {
    const rows = await db
      .selectFrom("event")
      .leftJoin("event_body", "event_body.event_id", "event.id")
      .leftJoin("unlogged_event", "unlogged_event.event_id", "event.id")
      .selectAll("event")
      .select(["salt", "body", "unlogged_event.event_id as unlogged"])
      .execute();
    expect(rows.length).toBeGreaterThan(8);
    for (const { id, type, at_ms, aggregate, commitment, salt, body, unlogged } of rows) {
      expect(unlogged).toBe(id);
      expect(salt).toHaveLength(32);
      const recomputed = createHash("sha256")
        .update("licet/leaf/v1")
        .update(salt ?? "")
        .update(body ?? "")
        .digest("hex");
      expect(Buffer.from(commitment).toString("hex")).toBe(recomputed);
      expect(JSON.parse(body ?? "")).toMatchObject({ id, type, at_ms, aggregate });
    }
    expect(new Set(rows.map((row) => Buffer.from(row.salt ?? []).toString("hex"))).size).toBe(rows.length);
  });

  test("names nobody in its public row", async () => {
    const creators = await db.selectFrom("creator").select("creator_id").execute();
    const rows = await db
      .selectFrom("event")
      .select(["type", "aggregate"])
      .where("type", "not in", ["creator.registered", "creator-key.enrolled"])
      .execute();
    for (const { creator_id } of creators) expect(JSON.stringify(rows)).not.toContain(creator_id);
  });
});
