import type { Generated } from "kysely";
import type { QueueName } from "../jobs/jobs.ts";
import type { EdgeTables } from "./edge-tables.ts";
import type { LedgerTables } from "./ledger-tables.ts";
import type { LicenseTables } from "./license-tables.ts";
import type { ModelTables } from "./model-tables.ts";
import type { PaymentTables } from "./payment-tables.ts";
import type { PropagationTables } from "./propagation-tables.ts";
import type { PurgeTables } from "./purge-tables.ts";
import type { ReportingTables } from "./reporting-tables.ts";
import type { SignalTables } from "./signal-tables.ts";
import type { WebhookTables } from "./webhook-tables.ts";

/** Who reads an event in the feed; `from-…` marks where an audience may begin to read. */
export type FeedAudience = "platform" | "creator" | "dataset" | "offer" | "marketplace" | "from-version" | "from-offer";

/** The columns of every table. Which slice owns which is told in docs/storage.md. */
export interface Tables
  extends
    EdgeTables,
    LedgerTables,
    LicenseTables,
    ModelTables,
    PaymentTables,
    PropagationTables,
    PurgeTables,
    ReportingTables,
    SignalTables,
    WebhookTables {
  event: { id: string; type: string; at_ms: number; aggregate: string; commitment: Uint8Array };
  event_body: { event_id: string; salt: Uint8Array; body: string };
  unlogged_event: { event_id: string };
  unsequenced_event: { serial: Generated<number>; event_id: string };
  event_feed: {
    position: number;
    event_id: string;
    audience: FeedAudience;
    audience_id: string;
    message_id: string | null;
  };
  unhandled_event: { event_id: string; queue: QueueName; at_ms: number };
  document: DocumentTable;
  oauth_client: OauthClientTable;
  oauth_record: { model: string; id: string; payload: string; expires_at: number | null };
  oauth_key: { kid: string; sealed_jwk: Uint8Array; created_at: number; retire_at: number | null };
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
  terms: TermsTable;
  creator: { creator_id: string; aggregate: string; created_at: number };
  creator_key: KeyColumns & {
    creator_id: string;
    compromised_since: number | null;
    name: string | null;
    did: string | null;
  };
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
  receipt_key: KeyColumns & { marketplace_id: string; compromised_since: number | null };
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
  creator_weight: { dataset_id: string; version: number; creator_id: string };
  content_status: { content_id: string; url: string; url_sha256: string };
  content_status_order: {
    dataset_id: string;
    generation: Generated<number>;
    after_content_id: Generated<string>;
    ordered_at_ms: number;
    lease_until_ms: Generated<number>;
  };
  dataset_build: { dataset_id: string; build_id: string; version: number; lease_until_ms: number };
  dataset_offer: DatasetOfferTable;
  usage_receipt: UsageReceiptTable;
  receipt_pull: ReceiptPullTable;
  journal_entry: { serial: Generated<number>; at_ms: number; entry: string };
  journal_replayed: { serial: number };
  restore: { first_seq: number; backup_id: string; taken_at: number; restored_at: number };
  lost_version: { dataset_id: string; version: number };
  suspension: {
    kind: "consent" | "content" | "dataset";
    id: string;
    holder: "platform" | "creator" | `upstream:${string}`;
    reason: string;
    suspended_at: number;
  };
  revocation: { sequence: number; jti: string; revoked_at: number; listed_until: number };
  rate_limit: { key: string; points: number; expire: number | null };
  upstream: UpstreamTable;
  upstream_work: {
    upstream_id: string;
    content_id: string;
    upstream_dataset_id: string;
    upstream_content_id: string;
    upstream_jti: string;
    mapped_at: number;
  };
  upstream_consent: { upstream_id: string; jti: string; upstream_jti: string; mapped_at: number };
  upstream_event: UpstreamEventTable;
  idempotency_key: IdempotencyKeyTable;
  interaction: InteractionTable;
}

interface TermsTable {
  license: string;
  language: string;
  body: string;
  sha256: string;
  is_default: boolean;
  published_at: number;
  /** Names between spaces. */
  promises: Generated<string>;
}

interface OauthClientTable {
  client_id: string;
  kind: "platform" | "marketplace";
  name: string;
  marketplace_id: string | null;
  scope: string;
  sealed_secret: Uint8Array | null;
  created_at: number;
  auth_method: "client_secret_basic" | "private_key_jwt" | "tls_client_auth" | "self_signed_tls_client_auth";
  metadata: string;
  state: Generated<"active" | "suspended" | "ended">;
  state_since: number | null;
  old_sealed_secret: Uint8Array | null;
  old_secret_until: number | null;
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
  signs_from: number;
  retire_at: number | null;
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
  suspended_at: number | null;
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
  suspended_at: number | null;
  ended_at: number | null;
  min_valid_version: Generated<number>;
  compact_at: number | null;
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
  /** Null for receipts from before there were licenses. */
  license_id: string | null;
  /** Names between spaces. */
  flags: Generated<string>;
  /** numeric(38,0), which drivers hand over as text. */
  charged_micros: Generated<string>;
  currency: string | null;
  pulled: Generated<boolean>;
  /** Seconds since the epoch. */
  period_from: number;
  period_to: number;
}

interface ReceiptPullTable {
  marketplace_id: string;
  dataset_id: string;
  cursor: string | null;
  last_at: number | null;
  last_error: string | null;
  failures: Generated<number>;
  next_at_ms: number;
  refusals: Generated<string>;
  lease_until_ms: Generated<number>;
}

interface UpstreamTable {
  upstream_id: string;
  name: string;
  origin: string;
  endpoint_id: string;
  sealed_secret: Uint8Array;
  old_sealed_secret: Uint8Array | null;
  old_secret_until: number | null;
  key_signed: boolean;
  key_set: string | null;
  key_set_seq: Generated<number>;
  key_set_read_at: number | null;
  created_at: number;
  ended_at: number | null;
}

interface UpstreamEventTable {
  upstream_id: string;
  event_id: string;
  dataset_id: string;
  content_id: string | null;
  jti: string | null;
  change: string;
  sequence: number | null;
  received_at: number;
  answer: string;
  serial: Generated<number>;
}

interface IdempotencyKeyTable {
  caller: string;
  route: string;
  key: string;
  request_sha256: string;
  created_at_ms: number;
  holder: string;
  held_until_ms: number;
  status: number | null;
  sealed_answer: Uint8Array | null;
  carried_out_at_ms: number | null;
}

interface InteractionTable {
  at_ms: number;
  request_id: string;
  caller_kind: "operator" | "platform" | "marketplace" | "creator" | "upstream";
  client_id: string | null;
  marketplace_id: string | null;
  creator_id: string | null;
  upstream_id: string | null;
  method: string;
  route: string;
  dataset_id: string | null;
  dataset_version: number | null;
  status: number;
  code: string | null;
  duration_ms: number;
}
