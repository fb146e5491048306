import type { Generated } from "kysely";

/** Where webhooks go, what is sent there, and what came of it. */
export interface WebhookTables {
  webhook_endpoint: WebhookEndpointTable;
  webhook_old_secret: {
    endpoint_id: string;
    sealed_secret: Uint8Array;
    replaced_at_ms: number;
    valid_until_ms: number;
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

interface WebhookEndpointTable {
  endpoint_id: string;
  marketplace_id: string;
  url: string;
  sealed_secret: Uint8Array;
  created_at: number;
  disabled_at: number | null;
  description: Generated<string>;
  changes: string | null;
  key_signed: Generated<boolean>;
  failing_since_ms: number | null;
  warned_at_ms: number | null;
  disabled_reason: "operator" | "marketplace" | "gone" | "failing" | "restored" | null;
  deleted_at: number | null;
}

interface WebhookDeliveryTable {
  endpoint_id: string;
  dataset_id: string;
  sequence: number;
  message_id: string;
  event_id: string | null;
  change: string;
  subject: string;
  refusing: boolean;
  body: string;
  state: "waiting" | "delivered" | "failed";
  attempts: number;
  next_attempt_at_ms: number | null;
  delivered_at_ms: number | null;
  created_at_ms: number;
  attempts_before: Generated<number>;
}
