import type { Generated } from "kysely";

/** The columns of the tables of models and remediations. */
export interface ModelTables {
  model_use: ModelUseTable;
  model_list: {
    marketplace_id: string;
    next_at: number;
    read_at: number | null;
    checked_at: number | null;
    models_count: Generated<number>;
    last_error: string | null;
  };
  listed_model: {
    marketplace_id: string;
    fingerprint: string;
    model_id: string;
    base_fingerprint: string | null;
    published_at: number;
    first_seen_at: number;
    last_seen_at: number;
  };
  model_finding: {
    marketplace_id: string;
    fingerprint: string;
    kind: "unlicensed" | "unlisted";
    model_id: string;
    found_at: number;
    resolved_at: number | null;
  };
  remediation: RemediationTable;
  remediation_ground: { case_id: string; kind: "consent" | "work"; id: string; at: number };
  remediation_message: {
    message_id: string;
    case_id: string;
    side: "creator" | "platform" | "marketplace";
    author: string;
    text: string;
    at: number;
  };
  remediation_offer: RemediationOfferTable;
}

/** What was reported of a model, kept by the database as receipts come. Counts and amounts are `numeric(38,0)`, which drivers answer as text. */
interface ModelUseTable {
  marketplace_id: string;
  model_fingerprint: string;
  dataset_id: string;
  dataset_version: number;
  /** Empty for receipts from before there were licenses. */
  license_id: string;
  unit: string;
  model_id: string;
  currency: string | null;
  receipts: string;
  units: string;
  charged_micros: string;
  first_from: number;
  last_to: number;
}

interface RemediationTable {
  case_id: string;
  creator_id: string;
  marketplace_id: string;
  dataset_id: string;
  /** Empty for receipts from before there were licenses. */
  license_id: string;
  model_id: string;
  model_fingerprint: string;
  currency: string;
  receipts: string;
  last_use_at: number;
  state: "open" | "offered" | "accepted" | "closed" | "withdrawn";
  opened_at: number;
  due_at: number;
  overdue_at: number | null;
  ended_at: number | null;
  ended_by: string | null;
  reason: string | null;
  transaction_id: string | null;
}

interface RemediationOfferTable {
  offer_id: string;
  case_id: string;
  amount_micros: string;
  currency: string;
  text: string;
  state: "standing" | "accepted" | "declined" | "withdrawn" | "expired";
  offered_at: number;
  offered_by: string;
  expires_at: number;
  decided_at: number | null;
  decided_by: string | null;
}
