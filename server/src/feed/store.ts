import { type RawBuilder, sql } from "kysely";
import type { Db } from "../db/open-database.ts";

/** After which position, and how many. */
export interface Range {
  readonly after: number;
  readonly limit: number;
}

/** An event as one audience reads it. */
export interface FeedRow {
  readonly position: number;
  readonly event_id: string;
  readonly audience: "platform" | "creator" | "dataset" | "offer" | "marketplace";
  readonly audience_id: string;
  readonly message_id: string | null;
  readonly type: string;
  readonly at_ms: number;
  readonly aggregate: string;
  /** The text that was committed to; null once it was erased. */
  readonly body: string | null;
}

const COLUMNS = sql`found.position, found.event_id, found.audience, found.audience_id, found.message_id,
                    event.type, event.at_ms, event.aggregate, event_body.body`;
const WITH_EVENTS = sql`join event on event.id = found.event_id
                        left join event_body on event_body.event_id = found.event_id`;

/** Every event. */
export async function readAllEvents(db: Db, { after, limit }: Range): Promise<readonly FeedRow[]> {
  const { rows } = await sql<FeedRow>`
    select ${COLUMNS}
      from (select * from event_feed
             where audience = 'platform' and audience_id = '' and position > ${after}
             order by position limit ${limit}) found
      ${WITH_EVENTS}
     order by found.position`.execute(db);
  return rows;
}

/**
 * What happened to a marketplace itself, and in the datasets that were offered to it, in each from its offer on. Of
 * each dataset no more is looked at than fits on the page, however many events there are.
 */
export async function readMarketplacesEvents(db: Db, marketplaceId: string, range: Range): Promise<readonly FeedRow[]> {
  const { rows } = await sql<FeedRow>`
    with begun as (
      select offer.dataset_id,
             (select min(position) from event_feed
               where audience = 'from-offer' and audience_id = offer.dataset_id || '/' || offer.marketplace_id) as first
        from dataset_offer offer
       where offer.marketplace_id = ${marketplaceId}
    ), found as (
      ${ownAndBegun({ own: "marketplace", id: marketplaceId, shared: "offer" }, range)}
    )
    select ${COLUMNS} from found ${WITH_EVENTS} order by found.position limit ${range.limit}`.execute(db);
  return rows;
}

/**
 * What happened to a creator's own consents, works and keys, and to the datasets that hold their
 * works, in each from the first version on that does.
 */
export async function readCreatorsEvents(db: Db, creatorId: string, range: Range): Promise<readonly FeedRow[]> {
  const { rows } = await sql<FeedRow>`
    with held as (
      select dataset_id, min(version) as version
        from dataset_item
        join dataset_version using (dataset_id, version)
       where creator_id = ${creatorId}
       group by dataset_id
    ), begun as (
      select held.dataset_id,
             (select min(position) from event_feed
               where audience = 'from-version' and audience_id = held.dataset_id || '/' || held.version) as first
        from held
    ), found as (
      ${ownAndBegun({ own: "creator", id: creatorId, shared: "dataset" }, range)}
    )
    select ${COLUMNS} from found ${WITH_EVENTS} order by found.position limit ${range.limit}`.execute(db);
  return rows;
}

/**
 * A reader's own entries, and those of the datasets in the relation `begun` (`dataset_id`, `first`),
 * which are shared with others, in each above the position where it begins for this reader.
 */
function ownAndBegun(
  { own, id, shared }: { readonly own: string; readonly id: string; readonly shared: string },
  { after, limit }: Range,
): RawBuilder<FeedRow> {
  return sql`
      (select * from event_feed
        where audience = ${own} and audience_id = ${id} and position > ${after}
        order by position limit ${limit})
       union all
      (select entry.*
         from begun
        cross join lateral (
              select * from event_feed
               where audience = ${shared} and audience_id = begun.dataset_id
                 and position > greatest(begun.first, ${after}::bigint) and begun.first is not null
               order by position limit ${limit}) entry
        order by entry.position limit ${limit})`;
}
