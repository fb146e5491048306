import type { Generated } from "kysely";

/** The columns of the ledger. */
export interface LedgerTables {
  ledger_account: { account_id: Generated<number>; kind: AccountKind; owner: string; currency: string };
  ledger_transaction: LedgerTransactionTable;
  ledger_entry: {
    entry_id: Generated<number>;
    transaction_id: string;
    account_id: number;
    currency: string;
    /** numeric(38,0), which drivers hand over as text. */
    amount: string;
  };
  account_balance: { account_id: number; balance: string };
  account_month: { account_id: number; month_at: number; amount: string };
  ledger_period: { period: string; closed_at: number; closed_by: string };
}

/** What an account is for. */
export type AccountKind = "marketplace" | "pool" | "creator" | "platform_fee" | "clearing" | "cash";

/** What can happen to money. */
export type TransactionKind =
  | "usage_charge"
  | "license_fee"
  | "pool_split"
  | "payout"
  | "payout_paid"
  | "payout_returned"
  | "payment"
  | "compensation"
  | "reversal";

interface LedgerTransactionTable {
  transaction_id: string;
  sequence: Generated<number>;
  kind: TransactionKind;
  reference: string;
  currency: string;
  value_at: number;
  recorded_at: number;
  reverses: string | null;
  explanation: string;
}
