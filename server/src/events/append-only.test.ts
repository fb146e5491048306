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
import { registerUpstream } from "../../../test/fixtures/upstreams.ts";
import { postTransactions } from "../ledger/post-transactions.ts";
import { writeFact } from "./write-fact.ts";

const platform = await startPlatform();
const { db } = platform.server.ctx;

const APPEND_ONLY = [
  "event",
  "event_feed",
  "event_commit",
  "terms",
  "content_revision",
  "dataset_version",
  "dataset_item",
  "creator_weight",
  "dataset_consent",
  "usage_receipt",
  "revocation",
  "ledger_account",
  "ledger_transaction",
  "ledger_entry",
  "ledger_period",
  "upstream_event",
  "agreement",
  "agreement_acceptance",
  "licensed_model",
  "version_origins",
  "payout_batch",
  "invoice",
  "invoice_line",
  "remediation_ground",
  "remediation_message",
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
  await licenseIt(dataset.dataset_id, marketplace.marketplaceId);
  const upstream = await registerUpstream(platform);
  expectStatus(await upstream.send({ dataset_id: "ds_theirs", change: "revoked" }), 200);
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

/** What a marketplace accepted and licensed, what it is invoiced for, and a batch that paid nobody. */
async function licenseIt(dataset_id: string, marketplace_id: string): Promise<void> {
  const [agreement, model_fingerprint, invoice_id, currency] = ["test:1.0", "f".repeat(64), "inv_1", "USD"];
  await db
    .insertInto("agreement")
    .values({ agreement, name: "test", major: 1, minor: 0, title: "t", body: "b", sha256: "0", published_at: 1 })
    .execute();
  await db
    .insertInto("agreement_acceptance")
    .values({ marketplace_id, agreement, kid: "k", accepted_by: "b", accepted_at: 1, document: "{}" })
    .execute();
  await db
    .insertInto("licensed_model")
    .values({ model_fingerprint, marketplace_id, model_id: "m", first_licensed_at: 1 })
    .execute();
  await db
    .insertInto("version_origins")
    .values({ dataset_id, version: 1, origins: "[]" })
    .onConflict((row) => row.doNothing())
    .execute();
  await db
    .insertInto("payout_batch")
    .values({
      batch_id: "pb_1",
      adapter: "csv",
      currency,
      created_at: 1,
      created_by: "t",
      schedule: null,
      left_count: 0,
    })
    .execute();
  await db
    .insertInto("invoice")
    .values({
      invoice_id,
      number: "2025-12-0001",
      marketplace_id,
      currency,
      period: "2025-12",
      total: "5",
      issued_at: 1,
      due_at: 2,
    })
    .execute();
  await sql`insert into invoice_line (invoice_id, position, kind, is_reversal, entries, amount)
            values (${invoice_id}, 1, 'license_fee', false, 1, 5)`.execute(db);
  await sql`insert into remediation (case_id, creator_id, marketplace_id, dataset_id, license_id, model_id, model_fingerprint,
                                     currency, receipts, last_use_at, state, opened_at, due_at)
            values ('rem_1', 'user:1', ${marketplace_id}, ${dataset_id}, '', 'm', ${model_fingerprint}, ${currency}, 1, 1,
                    'closed', 1, 2)`.execute(db);
  await sql`insert into remediation_ground (case_id, kind, id, at) values ('rem_1', 'work', 'w', 1)`.execute(db);
  await sql`insert into remediation_message (message_id, case_id, side, author, text, at)
            values ('rms_1', 'rem_1', 'platform', 'operator', 't', 1)`.execute(db);
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

test("every table that the database calls append-only is looked at here", async () => {
  const { rows } = await sql<{ name: string }>`
    select distinct tgrelid::regclass::text as name from pg_trigger where tgname = 'append_only'`.execute(db);
  expect(rows.map(({ name }) => name).sort()).toEqual([...APPEND_ONLY].sort());
});

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
