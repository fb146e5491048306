import type { Generated } from "kysely";
import type { TransactionKind } from "./ledger-tables.ts";

/** The columns of what creators are paid and what marketplaces are invoiced. */
export interface PaymentTables {
  invoice: InvoiceTable;
  invoice_line: InvoiceLineTable;
  payout_details: {
    creator_id: string;
    currency: string;
    adapter: PayoutAdapterName;
    sealed_details: Uint8Array;
    hint: string;
    changed_at: number;
  };
  payout_batch: {
    batch_id: string;
    adapter: PayoutAdapterName;
    currency: string;
    created_at: number;
    created_by: string;
    schedule: string | null;
    left_count: number;
  };
  payout: PayoutTable;
  stripe_event: { event_id: string; received_at: number };
}

/** A way to pay creators. */
export type PayoutAdapterName = "csv" | "stripe";

/** `unknown`: it may have been paid, and nothing is sent until that is found out. */
export type PayoutState = "created" | "sent" | "paid" | "failed" | "returned" | "unknown";

interface PayoutTable {
  payout_id: string;
  batch_id: string;
  creator_id: string;
  adapter: PayoutAdapterName;
  currency: string;
  amount: string;
  returned: Generated<string>;
  sealed_destination: Uint8Array | null;
  hint: string | null;
  state: PayoutState;
  external_id: string | null;
  reason: string | null;
  attempts: Generated<number>;
  next_attempt_at_ms: number | null;
  created_at: number;
  settled_at: number | null;
}

interface InvoiceTable {
  invoice_id: string;
  number: string;
  marketplace_id: string;
  currency: string;
  period: string;
  total: string;
  issued_at: number;
  due_at: number;
}

interface InvoiceLineTable {
  invoice_id: string;
  position: number;
  kind: TransactionKind;
  is_reversal: boolean;
  dataset_id: string | null;
  dataset_version: number | null;
  license_id: string | null;
  price: string | null;
  unit: string | null;
  units: string | null;
  entries: number;
  amount: string;
}
