/** What is derived from receipts, licenses, interactions and ledger, and what was found when they were compared. */
export interface ReportingTables {
  usage_rollup: UsageRollupTable;
  earning_rollup: {
    day: string;
    creator_id: string;
    dataset_id: string;
    currency: string;
    amount_micros: string;
  };
  rollup_progress: {
    id: number;
    receipt_sequence: number;
    ledger_sequence: number;
    counted_at: number;
    rebuilt_at: number | null;
  };
  reconciliation: ReconciliationTable;
  finding: FindingTable;
}

/** `day` is read as text; units and amounts are `numeric(38,0)`, which drivers answer as text. */
interface UsageRollupTable {
  day: string;
  dataset_id: string;
  dataset_version: number;
  model_fingerprint: string;
  model_id: string;
  marketplace_id: string;
  unit: string;
  currency: string;
  receipts: number;
  units: string;
  charged_micros: string;
}

interface ReconciliationTable {
  reconciliation_id: string;
  state: "waiting" | "running" | "done" | "failed";
  requested_by: string;
  requested_at: number;
  started_at: number | null;
  ended_at: number | null;
  lease_until_ms: number | null;
  outcome: string | null;
  error: string | null;
}

/** What a reconciliation looks for. */
export type FindingKind =
  | "license_never_reported"
  | "receipt_without_license"
  | "fetches_without_receipt"
  | "edge_fetches_without_receipt"
  | "money_without_receipt"
  | "pools_not_split"
  | "rollup_differs"
  | "kept_sums_differ";

interface FindingTable {
  finding_id: string;
  kind: FindingKind;
  subject: string;
  state: "open" | "resolved" | "closed";
  detail: string;
  first_opened_at: number;
  opened_at: number;
  last_seen_at: number;
  seen_in: string;
  times_opened: number;
  closed_at: number | null;
  resolved_at: number | null;
  resolved_by: string | null;
  note: string | null;
}
