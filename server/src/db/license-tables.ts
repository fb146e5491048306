import type { Generated } from "kysely";

/** The columns of the tables of agreements and licenses. */
export interface LicenseTables {
  agreement: AgreementTable;
  agreement_acceptance: {
    marketplace_id: string;
    agreement: string;
    kid: string;
    accepted_by: string;
    accepted_at: number;
    document: string;
  };
  license_policy: LicensePolicyTable;
  license_request: LicenseRequestTable;
  license: LicenseTable;
  licensed_model: {
    model_fingerprint: string;
    marketplace_id: string;
    model_id: string;
    first_licensed_at: number;
  };
  version_origins: { dataset_id: string; version: number; origins: string };
}

interface AgreementTable {
  agreement: string;
  name: string;
  major: number;
  minor: number;
  title: string;
  body: string;
  sha256: string;
  published_at: number;
}

/** Amounts and units are `numeric(38,0)`, which drivers answer as text. */
interface LicensePolicyTable {
  dataset_id: string;
  mode: "automatic" | "rule" | "manual";
  rule: string | null;
  agreement: string;
  max_term_days: number;
  spend_cap_micros: string | null;
  is_renewable: boolean;
  updated_at: number;
  updated_by: string;
}

interface LicenseRequestTable {
  request_id: string;
  dataset_id: string;
  marketplace_id: string;
  model_id: string;
  model_fingerprint: string;
  base_fingerprint: string | null;
  scope: string;
  term_days: number | null;
  spend_cap_micros: string | null;
  jkt: string | null;
  note: string | null;
  state: "pending" | "approved" | "denied";
  requested_at: number;
  decided_at: number | null;
  decided_by: string | null;
  reason: string | null;
  license_id: string | null;
}

interface LicenseTable {
  license_id: string;
  dataset_id: string;
  dataset_version: number;
  marketplace_id: string;
  model_id: string;
  model_fingerprint: string;
  base_fingerprint: string | null;
  scope: string;
  price: string;
  currency: string;
  terms: string;
  agreement: string;
  jkt: string | null;
  status_list: number;
  status_idx: number;
  state: "active" | "revoked" | "expired";
  issued_at: number;
  issued_by: string;
  expires_at: number;
  renewed_at: number | null;
  is_renewable: boolean;
  ended_at: number | null;
  ended_by: string | null;
  reason: string | null;
  request_id: string | null;
  spend_cap_micros: string | null;
  units_reported: Generated<string>;
  charged_micros: Generated<string>;
  over_cap_at: number | null;
}
