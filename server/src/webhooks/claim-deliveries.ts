import { type Selectable, sql } from "kysely";
import type { Db } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";
import type { AttemptRow, DeliveryRow } from "./store.ts";

type EndpointColumns = Pick<
  Selectable<Tables["webhook_endpoint"]>,
  "url" | "sealed_secret" | "key_signed" | "failing_since_ms" | "warned_at_ms"
>;

/** A delivery that is ours to attempt, with all that is needed to send it. */
export type ClaimedDelivery = DeliveryRow &
  EndpointColumns & {
    /** Attempts that ended since it was written or last replayed. A claim whose server died is none. */
    readonly attempts_made: number;
  };

export interface Claim {
  readonly nowMs: number;
  /** When somebody else may try, should this process die meanwhile. */
  readonly leaseUntilMs: number;
  readonly limit: number;
  /** At most this many of one endpoint, those in flight included. */
  readonly perEndpoint: number;
  /** How many of an endpoint are in flight here. */
  readonly inFlight: ReadonlyMap<string, number>;
  /** The same limits for endpoints that take nothing at present; whoever answers goes first. */
  readonly failing: { readonly limit: number; readonly perEndpoint: number };
}

/**
 * Takes deliveries that are due for ourselves. Of each endpoint with something waiting, however much
 * that is, a few are looked at: those that refuse first, then the longest due. What does not refuse
 * waits until the ones before it, to the same endpoint about the same dataset, are settled; test
 * messages, which are of no event, wait for nothing. Servers that claim at the same time pass over each other's rows.
 */
export async function claimDue(
  db: Db,
  { nowMs, leaseUntilMs, limit, perEndpoint, inFlight, failing }: Claim,
): Promise<readonly ClaimedDelivery[]> {
  const { rows } = await sql<ClaimedDelivery>`
    with recursive waiting_at (endpoint_id) as (
      (select endpoint_id from webhook_delivery where state = 'waiting' order by endpoint_id limit 1)
      union all
      select (select later.endpoint_id from webhook_delivery later
               where later.state = 'waiting' and later.endpoint_id > waiting_at.endpoint_id
               order by later.endpoint_id limit 1)
        from waiting_at where waiting_at.endpoint_id is not null
    ), ranked as (
      select due.*, row_number() over (partition by is_failing order by refusing desc, next_attempt_at_ms) as place
        from waiting_at
        join webhook_endpoint endpoint
          on endpoint.endpoint_id = waiting_at.endpoint_id
         and endpoint.disabled_at is null and endpoint.deleted_at is null
        left join unnest(${[...inFlight.keys()]}::text[], ${[...inFlight.values()]}::int[]) as busy (endpoint_id, sending)
          on busy.endpoint_id = endpoint.endpoint_id
       cross join lateral (
             select waiting.endpoint_id, waiting.dataset_id, waiting.sequence, waiting.refusing,
                    waiting.next_attempt_at_ms, endpoint.failing_since_ms is not null as is_failing
               from webhook_delivery waiting
              where waiting.endpoint_id = endpoint.endpoint_id
                and waiting.state = 'waiting' and waiting.next_attempt_at_ms <= ${nowMs}
                and (waiting.refusing or waiting.event_id is null or not exists (
                      select from webhook_delivery earlier
                       where earlier.endpoint_id = waiting.endpoint_id and earlier.dataset_id = waiting.dataset_id
                         and earlier.sequence < waiting.sequence and earlier.state = 'waiting'))
              order by waiting.refusing desc, waiting.next_attempt_at_ms
              limit greatest(0, coalesce(-busy.sending, 0)
                    + case when endpoint.failing_since_ms is null then ${perEndpoint}::int else ${failing.perEndpoint}::int end)) due
    ), candidate as (
      select endpoint_id, dataset_id, sequence
        from ranked
       where not is_failing or place <= ${failing.limit}
       order by is_failing, refusing desc, next_attempt_at_ms
       limit ${limit}
    ), claimed as (
      select taken.endpoint_id, taken.dataset_id, taken.sequence
        from webhook_delivery taken
        join candidate using (endpoint_id, dataset_id, sequence)
       where taken.state = 'waiting' and taken.next_attempt_at_ms <= ${nowMs}
         for update of taken skip locked
    )
    update webhook_delivery
       set attempts = webhook_delivery.attempts + 1, next_attempt_at_ms = ${leaseUntilMs}
      from claimed join webhook_endpoint endpoint using (endpoint_id)
     where webhook_delivery.endpoint_id = claimed.endpoint_id
       and webhook_delivery.dataset_id = claimed.dataset_id
       and webhook_delivery.sequence = claimed.sequence
    returning webhook_delivery.*, endpoint.url, endpoint.sealed_secret, endpoint.key_signed,
              endpoint.failing_since_ms, endpoint.warned_at_ms, (
                select count(*)::int from webhook_attempt made
                 where made.endpoint_id = webhook_delivery.endpoint_id
                   and made.dataset_id = webhook_delivery.dataset_id
                   and made.sequence = webhook_delivery.sequence
                   and made.attempt > webhook_delivery.attempts_before) as attempts_made`.execute(db);
  return rows;
}

/** An attempt, and what becomes of its delivery. */
export type EndedAttempt = AttemptRow & Pick<DeliveryRow, "state" | "next_attempt_at_ms" | "delivered_at_ms">;

/**
 * Writes attempts and what came of them, all in one statement. One that was given up for lost and
 * ends late cannot undo what another one settled, nor what another one is about to.
 */
export async function recordAttempts(db: Db, ended: readonly EndedAttempt[]): Promise<void> {
  await sql`
    with ended as (
      select * from json_to_recordset(${JSON.stringify(ended)}::json) as ended (
        endpoint_id text, dataset_id text, sequence bigint, attempt integer, at_ms bigint, duration_ms integer,
        status integer, error text, state text, next_attempt_at_ms bigint, delivered_at_ms bigint)
    ), kept as (
      insert into webhook_attempt (endpoint_id, dataset_id, sequence, attempt, at_ms, duration_ms, status, error)
      select endpoint_id, dataset_id, sequence, attempt, ended.at_ms, ended.duration_ms, ended.status, ended.error
        from ended
       where exists (select from webhook_delivery
                      where webhook_delivery.endpoint_id = ended.endpoint_id
                        and webhook_delivery.dataset_id = ended.dataset_id
                        and webhook_delivery.sequence = ended.sequence)
          on conflict do nothing
    )
    update webhook_delivery
       set state = ended.state, next_attempt_at_ms = ended.next_attempt_at_ms, delivered_at_ms = ended.delivered_at_ms
      from ended
     where webhook_delivery.endpoint_id = ended.endpoint_id
       and webhook_delivery.dataset_id = ended.dataset_id
       and webhook_delivery.sequence = ended.sequence
       and (ended.state = 'delivered'
            or (webhook_delivery.state = 'waiting' and webhook_delivery.attempts = ended.attempt))`.execute(db);
}
