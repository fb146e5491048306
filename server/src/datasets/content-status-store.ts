import { type Selectable, sql } from "kysely";
import { anyOf } from "../db/any-of.ts";
import type { Db, Trx } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";

export type StatusOrder = Selectable<Tables["content_status_order"]>;

/** Has the content statuses of a dataset's works rendered, from the first on; whoever renders for an older order has lost it. */
export async function orderStatuses(db: Db, datasetId: string, nowMs: number): Promise<void> {
  await sql`
    insert into content_status_order (dataset_id, ordered_at_ms) values (${datasetId}, ${nowMs})
        on conflict (dataset_id) do update
       set generation = content_status_order.generation + 1, after_content_id = '', lease_until_ms = 0,
           ordered_at_ms = excluded.ordered_at_ms`.execute(db);
}

/** Takes the order that waits longest for somebody to work on it, one that failed since then; undefined when there is none. */
export async function claimOrder(
  db: Db,
  { nowMs, leaseUntilMs }: { readonly nowMs: number; readonly leaseUntilMs: number },
): Promise<StatusOrder | undefined> {
  const { rows } = await sql<StatusOrder>`
    update content_status_order
       set lease_until_ms = ${leaseUntilMs}
     where dataset_id = (select dataset_id from content_status_order
                          where lease_until_ms <= ${nowMs}
                          order by greatest(ordered_at_ms, lease_until_ms) limit 1 for update skip locked)
    returning *`.execute(db);
  return rows[0];
}

/** Locks an order for one step of it; false when it was ordered anew meanwhile, or somebody else has it. */
export async function lockOrder(trx: Trx, { dataset_id, generation, lease_until_ms }: StatusOrder): Promise<boolean> {
  const row = await trx
    .selectFrom("content_status_order")
    .select("dataset_id")
    .where("dataset_id", "=", dataset_id)
    .where("generation", "=", generation)
    .where("lease_until_ms", "=", lease_until_ms)
    .forUpdate()
    .executeTakeFirst();
  return row !== undefined;
}

/** Writes how far an order is, which is held until the commit. */
export async function advanceOrder(
  trx: Trx,
  { dataset_id, after_content_id, lease_until_ms }: StatusOrder,
): Promise<void> {
  await trx
    .updateTable("content_status_order")
    .set({ after_content_id, lease_until_ms })
    .where("dataset_id", "=", dataset_id)
    .execute();
}

export async function finishOrder(trx: Trx, datasetId: string): Promise<void> {
  await trx.deleteFrom("content_status_order").where("dataset_id", "=", datasetId).execute();
}

/** Lets go of an order that is not finished: nobody takes it before `untilMs`. */
export async function releaseOrder(
  db: Db,
  { dataset_id, generation, lease_until_ms }: StatusOrder,
  untilMs = 0,
): Promise<void> {
  await db
    .updateTable("content_status_order")
    .set({ lease_until_ms: untilMs })
    .where("dataset_id", "=", dataset_id)
    .where("generation", "=", generation)
    .where("lease_until_ms", "=", lease_until_ms)
    .execute();
}

/** The next works that a published version of the dataset holds or held, in the order of their ids. */
export async function readWorksOf(
  trx: Trx,
  datasetId: string,
  { after, limit }: { readonly after: string; readonly limit: number },
): Promise<readonly string[]> {
  const rows = await trx
    .selectFrom("dataset_item")
    .innerJoin("dataset", "dataset.dataset_id", "dataset_item.dataset_id")
    .select("content_id")
    .distinct()
    .where("dataset_item.dataset_id", "=", datasetId)
    .where("content_id", ">", after)
    .whereRef("version", "<=", "current_version")
    .orderBy("content_id")
    .limit(limit)
    .execute();
  return rows.map((row) => row.content_id);
}

export type WorkAddress = Selectable<Tables["content_status"]>;

/** Writes at which address works are. */
export async function saveAddresses(trx: Trx, addresses: readonly WorkAddress[]): Promise<void> {
  if (addresses.length === 0) return;
  await trx
    .insertInto("content_status")
    .values([...addresses])
    .onConflict((conflict) =>
      conflict
        .column("content_id")
        .doUpdateSet((set) => ({ url: set.ref("excluded.url"), url_sha256: set.ref("excluded.url_sha256") })),
    )
    .execute();
}

/** Every work at these addresses. */
export async function readWorksAt(trx: Trx, urlSha256s: readonly string[]): Promise<readonly WorkAddress[]> {
  return trx
    .selectFrom("content_status")
    .selectAll()
    .where("url_sha256", "=", anyOf(urlSha256s))
    .orderBy("content_id")
    .execute();
}

export async function hasContentStatus(db: Db, contentId: string): Promise<boolean> {
  const row = await db
    .selectFrom("content_status")
    .select("content_id")
    .where("content_id", "=", contentId)
    .executeTakeFirst();
  return row !== undefined;
}

/** A dataset that holds a work: the newest of its versions that are still valid and do. */
export interface HoldingRow {
  readonly content_id: string;
  readonly dataset_id: string;
  readonly version: number;
  readonly jti: string;
  /** An object with the version's `scope`, as JSON. */
  readonly offer: string;
  readonly published_at: number;
  readonly dataset_list: number;
  readonly dataset_idx: number;
  readonly consent_list: number;
  readonly consent_idx: number;
  readonly consent_expires_at: number;
}

/** Who holds these works, the newest publication first. */
export async function readHoldings(trx: Trx, contentIds: readonly string[]): Promise<readonly HoldingRow[]> {
  const { rows } = await sql<HoldingRow>`
    select held.*
      from (select distinct on (item.content_id, item.dataset_id)
                   item.content_id, item.dataset_id, item.version, item.jti,
                   json_build_object('scope', version.manifest::json -> 'scope')::text as offer, version.published_at::float8 as published_at,
                   dataset.status_list as dataset_list, dataset.status_idx as dataset_idx,
                   consent.status_list as consent_list, consent.status_idx as consent_idx,
                   consent.expires_at::float8 as consent_expires_at
              from dataset_item item
              join dataset on dataset.dataset_id = item.dataset_id
               and item.version between dataset.min_valid_version and dataset.current_version
              join dataset_version version on version.dataset_id = item.dataset_id and version.version = item.version
              join consent on consent.jti = item.jti
             where item.content_id = ${anyOf(contentIds)}
             order by item.content_id, item.dataset_id, item.version desc) held
     order by held.published_at desc, held.dataset_id`.execute(trx);
  return rows;
}
