import { REFUSING_CHANGES } from "@licet/protocol";
import type { Insertable, Selectable } from "kysely";
import { anyOf } from "../db/any-of.ts";
import type { Db, Trx } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";

export type UpstreamEventRow = Selectable<Tables["upstream_event"]>;

export async function insertEvent(trx: Trx, row: Insertable<Tables["upstream_event"]>): Promise<void> {
  await trx.insertInto("upstream_event").values(row).execute();
}

export async function findEvent(
  db: Db | Trx,
  upstreamId: string,
  eventId: string,
): Promise<UpstreamEventRow | undefined> {
  return db
    .selectFrom("upstream_event")
    .selectAll()
    .where("upstream_id", "=", upstreamId)
    .where("event_id", "=", eventId)
    .executeTakeFirst();
}

/** What one message is about: a work, a consent, or the whole dataset. */
export type Subject = Pick<UpstreamEventRow, "dataset_id" | "content_id" | "jti">;

/** True when something newer that refuses the very same was taken already; what else was said of it does not count. */
export async function isOutdated(
  trx: Trx,
  upstreamId: string,
  { dataset_id, content_id, jti }: Subject,
  sequence: number,
): Promise<boolean> {
  const newer = await trx
    .selectFrom("upstream_event")
    .select("event_id")
    .where("upstream_id", "=", upstreamId)
    .where("dataset_id", "=", dataset_id)
    .where("content_id", "is not distinct from", content_id)
    .where("jti", "is not distinct from", jti)
    .where("change", "=", anyOf(REFUSING_CHANGES))
    .where("sequence", ">", sequence)
    .limit(1)
    .execute();
  return newer.length > 0;
}

/** Everything that was said about these works and consents, and about these datasets as a whole, in the order in which it was taken. */
export async function readEventsAbout(
  trx: Trx,
  upstreamId: string,
  names: {
    readonly datasetIds: readonly string[];
    readonly contentIds: readonly string[];
    readonly jtis: readonly string[];
  },
): Promise<readonly UpstreamEventRow[]> {
  return trx
    .selectFrom("upstream_event")
    .selectAll()
    .where("upstream_id", "=", upstreamId)
    .where((is) =>
      is.or([
        is("content_id", "=", anyOf(names.contentIds)),
        is("jti", "=", anyOf(names.jtis)),
        is.and([is("content_id", "is", null), is("jti", "is", null), is("dataset_id", "=", anyOf(names.datasetIds))]),
      ]),
    )
    .orderBy("serial")
    .execute();
}

/** What was taken, in that order. */
export async function readEvents(
  db: Db,
  upstreamId: string,
  { after, limit }: { readonly after: number | undefined; readonly limit: number },
): Promise<readonly UpstreamEventRow[]> {
  return db
    .selectFrom("upstream_event")
    .selectAll()
    .where("upstream_id", "=", upstreamId)
    .$if(after !== undefined, (query) => query.where("serial", ">", after ?? 0))
    .orderBy("serial")
    .limit(limit + 1)
    .execute();
}
