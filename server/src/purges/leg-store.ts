import { sql } from "kysely";
import { anyOf } from "../db/any-of.ts";
import type { Db } from "../db/open-database.ts";
import type { Leg } from "../db/purge-tables.ts";

/** One cache or edge on an event's way into the world. */
export interface PropagationLeg {
  readonly leg: Leg;
  /** As it is configured: `varnish:http://10.0.0.5:6081`, `edge:https://edge.example`. */
  readonly target: string;
  /** When all of it was confirmed for the first time, in milliseconds since the epoch; null as long as it was not. */
  readonly at_ms: number | null;
  readonly attempts: number;
  readonly last_error?: string;
}

/** The legs of events, by their ids; an event that purges nothing, or nothing yet, has none. The repetition five seconds later is not among them. */
export async function readLegs(
  db: Db,
  eventIds: readonly string[],
): Promise<ReadonlyMap<string, readonly PropagationLeg[]>> {
  const { rows } = await sql<{
    event_id: string;
    leg: Leg;
    target: string;
    at_ms: number | null;
    attempts: number;
    last_error: string | null;
  }>`
    select event_id, leg, target, max(attempts)::int as attempts,
           case when bool_and(confirmed_at_ms is not null) then max(confirmed_at_ms)::float8 end as at_ms,
           max(last_error) filter (where confirmed_at_ms is null) as last_error
      from purge
     where event_id = ${anyOf(eventIds)} and round = 1
     group by event_id, leg, target
     order by event_id, leg, target`.execute(db);
  return Map.groupBy(
    rows.map(({ last_error, ...row }) => ({ ...row, ...(last_error === null ? {} : { last_error }) })),
    (row) => row.event_id,
  );
}
