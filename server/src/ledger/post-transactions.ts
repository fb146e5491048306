import { type JsonObject, canonicalize } from "@licet/protocol";
import { monotonicFactory } from "ulid";
import type { TransactionKind } from "../db/ledger-tables.ts";
import type { Fact } from "../events/write-fact.ts";
import {
  type AccountName,
  type EntryToWrite,
  type TransactionRow,
  insertEntries,
  insertTransactions,
  lockLedger,
  openAccounts,
} from "./store.ts";

/** What an account gets (positive, a debit) or gives (negative, a credit). */
export interface NewEntry {
  readonly account: AccountName;
  readonly amountMicros: bigint;
}

/** One thing that happens to money. The same kind of thing happens to one `reference` once, for good. */
export interface NewTransaction {
  readonly kind: TransactionKind;
  readonly reference: string;
  readonly currency: string;
  /** Seconds since the epoch: the instant it counts for. By default now. */
  readonly valueAt?: number;
  readonly entries: readonly NewEntry[];
  /** Everything the amounts were computed from: what an explanation is told by. */
  readonly explanation: JsonObject;
  /** The transaction that this one takes back. */
  readonly reverses?: string;
}

const nextUlid = monotonicFactory();

/** What a fact posts, until all of its other rows are written. */
const postings = new WeakMap<Fact, NamedTransaction[]>();

interface NamedTransaction extends NewTransaction {
  readonly transactionId: string;
}

/**
 * Posts transactions to the ledger as a part of this fact, and answers their ids. They are written
 * last, under a lock that numbers them, so that the ledger is read in the order in which it was
 * written. Entries of nothing are left out.
 *
 * Throws a RangeError on a transaction that does not add up to zero, or has no entry that moves
 * anything: the caller computed wrongly.
 */
export function postTransactions(fact: Fact, transactions: readonly NewTransaction[]): readonly string[] {
  const named = transactions.map((transaction) => nameTransaction(fact, transaction));
  const held = postings.get(fact) ?? [];
  if (held.length === 0) fact.beforeDocuments(() => writePostings(fact));
  postings.set(fact, [...held, ...named]);
  return named.map((transaction) => transaction.transactionId);
}

function nameTransaction(fact: Fact, transaction: NewTransaction): NamedTransaction {
  const entries = mergeEntries(transaction.entries);
  const total = entries.reduce((sum, entry) => sum + entry.amountMicros, 0n);
  if (total !== 0n || entries.length === 0)
    throw new RangeError(
      `${transaction.kind} ${transaction.reference}: expected entries that add up to 0, got ${entries.length} with a sum of ${total}`,
    );
  return { ...transaction, entries, transactionId: `ltx_${nextUlid(fact.now * 1_000)}` };
}

/** One entry for each account, and none that moves nothing. */
function mergeEntries(entries: readonly NewEntry[]): readonly NewEntry[] {
  const merged = new Map<string, NewEntry>();
  for (const { account, amountMicros } of entries) {
    const name = `${account.kind} ${account.owner}`;
    merged.set(name, { account, amountMicros: (merged.get(name)?.amountMicros ?? 0n) + amountMicros });
  }
  return [...merged.values()].filter((entry) => entry.amountMicros !== 0n);
}

async function writePostings(fact: Fact): Promise<void> {
  const { trx, now } = fact;
  const transactions = postings.get(fact) ?? [];
  const rows = transactions.map(
    ({
      transactionId,
      kind,
      reference,
      currency,
      valueAt,
      reverses,
      explanation,
    }): Omit<TransactionRow, "sequence"> => ({
      transaction_id: transactionId,
      kind,
      reference,
      currency,
      value_at: valueAt ?? now,
      recorded_at: now,
      reverses: reverses ?? null,
      explanation: canonicalize(explanation),
    }),
  );
  const entries = transactions.flatMap(({ transactionId, currency, entries: list }): readonly EntryToWrite[] =>
    list.map(({ account, amountMicros }) => ({ transaction_id: transactionId, currency, ...account, amountMicros })),
  );
  await lockLedger(trx);
  await insertTransactions(trx, rows);
  await openAccounts(trx, entries);
  await insertEntries(trx, entries);
}
