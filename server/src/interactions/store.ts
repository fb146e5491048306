import { type Selectable, sql } from "kysely";
import { anyOf } from "../db/any-of.ts";
import type { Db } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";

export type InteractionRow = Selectable<Tables["interaction"]>;

/** A call that was written, although the answer to writing it was lost, is there once. */
export async function insertInteractions(db: Db, rows: readonly InteractionRow[]): Promise<void> {
  await db
    .insertInto("interaction")
    .values(rows)
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

export interface InteractionCursor {
  readonly atMs: number;
  readonly requestId: string;
}

export interface InteractionFilter {
  readonly clientId?: string | undefined;
  readonly marketplaceId?: string | undefined;
  /** Undefined means all, and calls about none. */
  readonly datasetIds?: readonly string[] | undefined;
  /** Leaves out the calls of other creators, and those about versions that are not among these. */
  readonly seenBy?:
    | {
        readonly creatorId: string;
        readonly versions: readonly { readonly dataset_id: string; readonly version: number }[];
      }
    | undefined;
  readonly fromMs?: number | undefined;
  readonly untilMs?: number | undefined;
  readonly before?: InteractionCursor | undefined;
  readonly limit: number;
}

/** Newest first, one more than the limit. */
export async function readInteractions(db: Db, filter: InteractionFilter): Promise<readonly InteractionRow[]> {
  const { clientId, marketplaceId, datasetIds, seenBy, fromMs, untilMs, before, limit } = filter;
  if (datasetIds?.length === 0) return [];
  return db
    .selectFrom("interaction")
    .selectAll()
    .$if(clientId !== undefined, (query) => query.where("client_id", "=", clientId ?? ""))
    .$if(marketplaceId !== undefined, (query) => query.where("marketplace_id", "=", marketplaceId ?? ""))
    .$if(datasetIds !== undefined, (query) => query.where("dataset_id", "=", anyOf(datasetIds ?? [])))
    .$if(seenBy !== undefined, (query) =>
      query
        .where((is) => is.or([is("caller_kind", "!=", "creator"), is("creator_id", "=", seenBy?.creatorId ?? "")]))
        .where(
          sql<boolean>`(dataset_version is null or (dataset_id, dataset_version) in (
            select seen.dataset_id, seen.version
              from json_to_recordset(${JSON.stringify(seenBy?.versions)}::json) as seen (dataset_id text, version integer)))`,
        ),
    )
    .$if(fromMs !== undefined, (query) => query.where("at_ms", ">=", fromMs ?? 0))
    .$if(untilMs !== undefined, (query) => query.where("at_ms", "<", untilMs ?? 0))
    .$if(before !== undefined, (query) =>
      query.where((is) =>
        is(is.refTuple("at_ms", "request_id"), "<", is.tuple(before?.atMs ?? 0, before?.requestId ?? "")),
      ),
    )
    .orderBy("at_ms", "desc")
    .orderBy("request_id", "desc")
    .limit(limit + 1)
    .execute();
}
