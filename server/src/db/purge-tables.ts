import type { Generated } from "kysely";

/** A cache's purge, or an edge's refresh. */
export type Leg = "purge" | "edge";

/** What is thrown out of caches, and what they said to that. */
export interface PurgeTables {
  purge_order: {
    event_id: string;
    part: number;
    at_ms: number;
    tags: string[];
    urls: string[];
    paths: string[];
  };
  purge: {
    event_id: string;
    part: number;
    target: string;
    round: 1 | 2;
    leg: Leg;
    attempts: Generated<number>;
    due_at_ms: number;
    requested_at_ms: number | null;
    confirmed_at_ms: number | null;
    given_up_at_ms: number | null;
    last_error: string | null;
    is_alone: Generated<boolean>;
  };
  purge_target: {
    target: string;
    leg: Leg;
    warned_at_ms: number | null;
    last_confirmed_at_ms: number | null;
  };
  purge_meter: {
    account: string;
    calls: number;
    urls: number;
    metered_at_ms: number;
    paused_until_ms: Generated<number>;
  };
}
