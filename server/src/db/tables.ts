import type { Generated } from "kysely";
import type { QueueName } from "../jobs/jobs.ts";

/** The columns of every table. Which slice owns which is told in docs/storage.md. */
export interface Tables {
  event: { id: string; type: string; at_ms: number; aggregate: string; commitment: Uint8Array };
  event_body: { event_id: string; salt: Uint8Array; body: string };
  unlogged_event: { event_id: string };
  unhandled_event: { event_id: string; queue: QueueName; at_ms: number };
  document: DocumentTable;
  oauth_client: {
    client_id: string;
    kind: "platform" | "marketplace";
    name: string;
    marketplace_id: string | null;
    scope: string;
    sealed_secret: Uint8Array;
    created_at: number;
  };
  oauth_record: { model: string; id: string; payload: string; expires_at: number | null };
  oauth_key: { kid: string; sealed_jwk: Uint8Array; created_at: number };
  session_token: {
    token_sha256: string;
    kind: "operator" | "creator";
    creator_id: string | null;
    created_at: number;
    expires_at: number | null;
  };
  signing_key: SigningKeyTable;
  status_list: { list: number; revision: Generated<number> };
  status_index: { list: number; idx: number; status: Generated<number>; revision: Generated<number> };
  terms: { license: string; language: string; body: string; sha256: string; is_default: boolean; published_at: number };
  creator: { creator_id: string; aggregate: string; created_at: number };
  creator_key: KeyColumns & { creator_id: string; compromised_since: number | null };
  key_challenge: { challenge: string; creator_id: string; expires_at: number };
  content_item: ContentItemTable;
  content_revision: { content_id: string; revision: number; sha256: string; record: string; registered_at: number };
  consent_draft: ConsentDraftTable;
  consent: ConsentTable;
  marketplace: {
    marketplace_id: string;
    name: string;
    base_url: string;
    sealed_platform_token: Uint8Array | null;
    created_at: number;
  };
  receipt_key: KeyColumns & { marketplace_id: string };
  dataset: DatasetTable;
  dataset_version: DatasetVersionTable;
  dataset_item: {
    dataset_id: string;
    version: number;
    position: number;
    content_id: string;
    creator_id: string;
    jti: string;
    item: string;
    leaf_hash: string;
  };
  dataset_consent: { dataset_id: string; version: number; position: number; jti: string };
  dataset_offer: DatasetOfferTable;
  usage_receipt: UsageReceiptTable;
  revocation: { sequence: number; jti: string; revoked_at: number; listed_until: number };
  webhook_endpoint: {
    endpoint_id: string;
    marketplace_id: string;
    url: string;
    sealed_secret: Uint8Array;
    created_at: number;
    disabled_at: number | null;
  };
  webhook_sequence: { endpoint_id: string; dataset_id: string; sequence: number };
  webhook_delivery: WebhookDeliveryTable;
  webhook_attempt: {
    endpoint_id: string;
    dataset_id: string;
    sequence: number;
    attempt: number;
    at_ms: number;
    duration_ms: number;
    status: number | null;
    error: string | null;
  };
}

interface DocumentTable {
  path: string;
  seq: number;
  kind: string;
  content: string;
  bytes: Uint8Array | null;
  etag: string;
  content_type: string;
  cache_control: string;
  cache_tag: string;
  checked_at: number | null;
  expires_at: number | null;
}

interface KeyColumns {
  kid: string;
  alg: "EdDSA" | "ES256";
  public_jwk: string;
  not_before: number;
  not_after: number;
  revoked_at: number | null;
}

interface SigningKeyTable extends KeyColumns {
  purpose: "consent" | "document" | "webhook" | "license" | "receipt";
  sealed_jwk: Uint8Array;
  status: "active" | "retired" | "revoked";
  compromised_since: number | null;
}

interface ContentItemTable {
  content_id: string;
  creator_id: string;
  canonical_url: string;
  sha256: string;
  mime_type: string;
  registered_at: number;
  revision: number;
  status_list: number;
  status_idx: number;
  withdrawn_at: number | null;
  record: string;
}

interface ConsentDraftTable {
  jti: string;
  creator_id: string;
  signer: "creator" | "platform";
  signing_input: string;
  words: string;
  status_list: number;
  status_idx: number;
  evidence: string | null;
  created_at: number;
  expires_at: number;
  state: "open" | "accepted" | "closed";
}

interface ConsentTable {
  jti: string;
  creator_id: string;
  subject: string;
  license: string;
  kid: string;
  signed_by: "creator" | "platform";
  token: string;
  claims: string;
  acceptance: string;
  status_list: number;
  status_idx: number;
  issued_at: number;
  expires_at: number;
  accepted_at: number;
  state: "active" | "revoked" | "suspended" | "expired";
  ended_at: number | null;
  reason: string | null;
}

interface DatasetTable {
  dataset_id: string;
  name: string;
  state: "draft" | "active" | "partially_revoked" | "suspended" | "revoked" | "expired";
  current_version: number;
  status_list: number;
  status_idx: number;
  draft: string | null;
  created_at: number;
}

interface DatasetVersionTable {
  dataset_id: string;
  version: number;
  manifest: string;
  manifest_sha256: string;
  content_sha256: string;
  items_count: number;
  items_root: string;
  consents_count: number;
  published_at: number;
}

interface DatasetOfferTable {
  dataset_id: string;
  marketplace_id: string;
  offered_at: number;
  state: "pending" | "registered" | "refused";
  registered_at: number | null;
  attempts: number;
  next_attempt_at_ms: number | null;
  last_error: string | null;
}

interface UsageReceiptTable {
  receipt_id: string;
  marketplace_id: string;
  dataset_id: string;
  dataset_version: number;
  nonce: string;
  sha256: string;
  model_id: string;
  model_fingerprint: string;
  unit: string;
  units: number;
  receipt: string;
  accepted_at: number;
  sequence: Generated<number>;
}

interface WebhookDeliveryTable {
  endpoint_id: string;
  dataset_id: string;
  sequence: number;
  message_id: string;
  event_id: string;
  change: string;
  subject: string;
  refusing: boolean;
  body: string;
  state: "waiting" | "delivered" | "failed";
  attempts: number;
  next_attempt_at_ms: number | null;
  delivered_at_ms: number | null;
}
