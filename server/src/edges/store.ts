import { type Selectable, sql } from "kysely";
import type { Db, Trx } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";

export type EdgeBatchRow = Selectable<Tables["edge_batch"]>;
export type EdgeEventRow = Selectable<Tables["edge_event"]>;

/** Keeps a batch's name; false when it is there already. Waits for whoever is about to write the same. */
export async function insertBatch(trx: Trx, row: EdgeBatchRow): Promise<boolean> {
  const inserted = await trx
    .insertInto("edge_batch")
    .values(row)
    .onConflict((conflict) => conflict.doNothing())
    .returning("batch_key")
    .execute();
  return inserted.length > 0;
}

export async function findBatch(db: Db | Trx, clientId: string, batchKey: string): Promise<EdgeBatchRow | undefined> {
  return db
    .selectFrom("edge_batch")
    .selectAll()
    .where("client_id", "=", clientId)
    .where("batch_key", "=", batchKey)
    .executeTakeFirst();
}

export async function insertEvents(trx: Trx, events: readonly EdgeEventRow[]): Promise<void> {
  if (events.length === 0) return;
  await sql`
    insert into edge_event (received_at_ms, client_id, batch_key, line, at_ms, url_sha256, content_id, dataset_id,
                            license_id, marketplace_id, agent_kind, agent_name, decision, code, mode)
    select received_at_ms, client_id, batch_key, line, at_ms, url_sha256, content_id, dataset_id,
           license_id, marketplace_id, agent_kind, agent_name, decision, code, mode
      from json_to_recordset(${JSON.stringify(events)}::json) as added (
        received_at_ms bigint, client_id text, batch_key text, line integer, at_ms bigint, url_sha256 text,
        content_id text, dataset_id text, license_id text, marketplace_id text, agent_kind text, agent_name text,
        decision text, code text, mode text)`.execute(trx);
}

export async function deleteBatches(db: Db, beforeMs: number): Promise<void> {
  await db.deleteFrom("edge_batch").where("received_at_ms", "<", beforeMs).execute();
}
