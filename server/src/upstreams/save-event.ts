import type { Insertable } from "kysely";
import type { Tables } from "../db/tables.ts";
import type { Fact } from "../events/write-fact.ts";
import { insertEvent } from "./event-store.ts";

/** What became of an event; the same event again is answered with the same. */
export interface EventAnswer {
  readonly event_id: string;
  /**
   * `applied`: it is about something of ours; `not_mapped`: about nothing of ours; `outdated`: something
   * newer was taken before; `noted`: it changes nothing here.
   */
  readonly effect: "applied" | "not_mapped" | "outdated" | "noted";
  /** What changed by it. The first {@link MAX_NAMED} of each are named; the counts are of all. */
  readonly revoked_jtis: readonly string[];
  readonly withdrawn_content_ids: readonly string[];
  readonly suspended_ids: readonly string[];
  readonly resumed_ids: readonly string[];
  readonly changed_count: number;
  readonly datasets: readonly { readonly dataset_id: string; readonly status: string }[];
}

/** Keeps an event with its answer, for good: what it refused cannot be mapped afterwards. */
export async function saveEvent(
  fact: Fact,
  row: Omit<Insertable<Tables["upstream_event"]>, "received_at" | "answer">,
  answer: EventAnswer,
): Promise<void> {
  await insertEvent(fact.trx, { ...row, received_at: fact.now, answer: JSON.stringify(answer) });
  const { upstream_id, event_id, dataset_id, content_id = null, jti = null, change, sequence = null } = row;
  const { effect, changed_count } = answer;
  fact.record({
    type: "upstream.event-accepted",
    aggregate: upstream_id,
    body: {
      upstream_id,
      event_id,
      dataset_id,
      content_id,
      jti,
      change,
      sequence,
      effect,
      changed_count,
      at: fact.now,
    },
  });
}
