/** The stages in which a refusal reaches everybody. */
export type Leg = "committed" | "purge" | "edge" | "webhook" | "acknowledgement";

/** How long a refusal takes until everybody has it. Instants are milliseconds since the epoch. */
export interface PropagationTables {
  event_commit: { event_id: string; committed_at_ms: number };
  propagation: {
    event_id: string;
    type: string;
    at_ms: number;
    last_sequence: number;
    is_done: boolean;
    next_look_at_ms: number | null;
    is_forgotten: boolean;
  };
  propagation_leg: PropagationLegTable;
  propagation_total: {
    event_id: string;
    leg: Leg;
    targets: number;
    done: number;
    failed: number;
    first_at_ms: number | null;
    last_at_ms: number | null;
  };
  /** `day` is read as text. */
  propagation_day: { day: string; leg: Leg; up_to_ms: number; legs: number; worst_ms: number };
}

interface PropagationLegTable {
  event_id: string;
  leg: Leg;
  target: string;
  number: number;
  marketplace_id: string | null;
  dataset_id: string | null;
  state: "waiting" | "done" | "failed";
  sequence: number | null;
  at_ms: number | null;
  attempts: number;
  last_error: string | null;
}
