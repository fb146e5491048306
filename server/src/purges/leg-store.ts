import { sql } from "kysely";
import { anyOf } from "../db/any-of.ts";
import type { Db } from "../db/open-database.ts";
import type { Leg } from "../db/purge-tables.ts";

const NOT_CONFIGURED = "the configuration does not name it any more";

/** One cache or edge on an event's way into the world. */
export interface PropagationLeg {
  readonly leg: Leg;
  /** As it is configured: `varnish:http://10.0.0.5:6081`, `edge:https://edge.example`. */
  readonly target: string;
  /** `failed`: some of it was given up, or nobody is configured to be told any more. */
  readonly state: "waiting" | "done" | "failed";
  /** When all of it was confirmed for the first time, in milliseconds since the epoch; null as long as it was not. */
  readonly at_ms: number | null;
  readonly attempts: number;
  readonly last_error?: string;
}

/**
 * The legs of events, by their ids; an event that purges nothing, or nothing yet, has none. The repetition five
 * seconds later is not among them. `configured` are the targets that are told at present.
 */
export async function readLegs(
  db: Db,
  eventIds: readonly string[],
  configured: readonly string[],
): Promise<ReadonlyMap<string, readonly PropagationLeg[]>> {
  const { rows } = await sql<{
    event_id: string;
    leg: Leg;
    target: string;
    at_ms: number | null;
    attempts: number;
    is_given_up: boolean;
    last_error: string | null;
  }>`
    select event_id, leg, target, max(attempts)::int as attempts,
           bool_or(given_up_at_ms is not null) as is_given_up,
           case when bool_and(confirmed_at_ms is not null) then max(confirmed_at_ms)::float8 end as at_ms,
           max(last_error) filter (where confirmed_at_ms is null) as last_error
      from purge
     where event_id = ${anyOf(eventIds)} and round = 1
     group by event_id, leg, target
     order by event_id, leg, target`.execute(db);
  return Map.groupBy(
    rows.map(({ last_error, is_given_up, ...row }) => {
      const isGone = row.at_ms === null && !configured.includes(row.target);
      const error = isGone ? NOT_CONFIGURED : last_error;
      const open = isGone || is_given_up ? ("failed" as const) : ("waiting" as const);
      return {
        ...row,
        state: row.at_ms === null ? open : ("done" as const),
        ...(error === null ? {} : { last_error: error }),
      };
    }),
    (row) => row.event_id,
  );
}
