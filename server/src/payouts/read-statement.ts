import { type JsonObject, type Result, accept, formatInstant, refuse } from "@licet/protocol";
import { type Context, nowSeconds } from "../context.ts";
import { findCreator } from "../creators/lookup.ts";
import { readOwnJson } from "../db/own-json.ts";
import type { TransactionKind } from "../db/ledger-tables.ts";
import {
  type AccountRow,
  type PeriodBounds,
  boundsOf,
  isPeriodClosed,
  poolOf,
  readAccounts,
  readBalanceBefore,
} from "../ledger/lookup.ts";
import { type PoolIncome, type StatementEntry, readPoolIncome, readStatementEntries } from "./statement-store.ts";

/** What one dataset version earned a creator in a month, and the receipts behind it. */
export interface CreditedView {
  readonly dataset_id: string;
  readonly version: number;
  readonly amount_micros: string;
  readonly transaction_id: string;
  /** The pool that was split, and how. */
  readonly split: JsonObject;
  readonly receipts: readonly {
    readonly kind: string;
    readonly unit: string | null;
    readonly count: number;
    readonly units: string | null;
    readonly amount_micros: string;
  }[];
}

/** Anything else that counted for the balance. */
export interface MovementView {
  readonly kind: string;
  readonly reference: string;
  readonly transaction_id: string;
  readonly at: string;
  readonly amount_micros: string;
}

export interface CurrencyStatement {
  readonly currency: string;
  readonly opening_micros: string;
  readonly credited: readonly CreditedView[];
  readonly credited_micros: string;
  readonly compensations: readonly MovementView[];
  readonly compensations_micros: string;
  readonly corrections: readonly MovementView[];
  readonly corrections_micros: string;
  readonly payouts: readonly MovementView[];
  readonly payouts_micros: string;
  readonly closing_micros: string;
}

export interface Statement {
  readonly creator_id: string;
  readonly period: string;
  readonly from: string;
  readonly until: string;
  /** `provisional` until the month is closed; then it never changes. */
  readonly state: "provisional" | "closed";
  readonly currencies: readonly CurrencyStatement[];
}

/** Entries of one account in one month. */
const MAX_ENTRIES = 100_000;
/** There are fewer currencies in the world. */
const MAX_CURRENCIES = 200;

/** What a creator's month came to. Refuses `input_invalid` and `not_found`. */
export async function readStatement(ctx: Context, creatorId: string, period: string): Promise<Result<Statement>> {
  const bounds = boundsOf(period);
  if (!bounds.ok) return bounds;
  const { from, until } = bounds.value;
  if (from > nowSeconds(ctx)) return refuse("input_invalid", `expected a month that has begun, got ${period}`);
  if ((await findCreator(ctx.db, creatorId)) === undefined)
    return refuse("not_found", `there is no creator ${creatorId}`);
  const isClosed = await isPeriodClosed(ctx.db, period);
  const accounts = await readAccounts(ctx.db, {
    kind: "creator",
    owner: creatorId,
    after: undefined,
    limit: MAX_CURRENCIES,
  });
  const currencies: CurrencyStatement[] = [];
  for (const account of accounts.toSorted((left, right) => (left.currency < right.currency ? -1 : 1)))
    currencies.push(await readCurrency(ctx, account, bounds.value));
  return accept({
    creator_id: creatorId,
    period,
    from: formatInstant(from),
    until: formatInstant(until),
    state: isClosed ? "closed" : "provisional",
    currencies,
  });
}

const PAYOUT_KINDS: readonly TransactionKind[] = ["payout", "payout_returned", "payout_paid"];

async function readCurrency(ctx: Context, account: AccountRow, bounds: PeriodBounds): Promise<CurrencyStatement> {
  const { from, until } = bounds;
  const { account_id, currency } = account;
  const entries = await readStatementEntries(ctx.db, account_id, { from, until, limit: MAX_ENTRIES });
  const splits = entries.filter(({ kind }) => kind === "pool_split");
  const compensations = entries.filter(({ kind }) => kind === "compensation");
  const payouts = entries.filter(({ kind }) => PAYOUT_KINDS.includes(kind));
  const known = new Set([...splits, ...compensations, ...payouts]);
  const corrections = entries.filter((entry) => !known.has(entry));
  const told = splits.map((entry) => ({ entry, split: readOwnJson(entry.explanation, entry.transaction_id) }));
  const owners = told.map(({ split }) => poolOwnerOf(split));
  const income = Map.groupBy(await readPoolIncome(ctx.db, { owners, currency, from, until }), ({ owner }) => owner);
  return {
    currency,
    opening_micros: String(-(await readBalanceBefore(ctx.db, account_id, from))),
    credited: told.map(({ entry, split }) => creditedOf(entry, split, income.get(poolOwnerOf(split)) ?? [])),
    credited_micros: sumOf(splits),
    compensations: compensations.map(movementOf),
    compensations_micros: sumOf(compensations),
    corrections: corrections.map(movementOf),
    corrections_micros: sumOf(corrections),
    payouts: payouts.map(movementOf),
    payouts_micros: sumOf(payouts),
    closing_micros: String(-(await readBalanceBefore(ctx.db, account_id, until))),
  };
}

function datasetOf({ dataset_id }: JsonObject): string {
  return typeof dataset_id === "string" ? dataset_id : "";
}

function poolOwnerOf(split: JsonObject): string {
  return poolOf(datasetOf(split), Number(split["version"])).owner;
}

/** What is shown of a split: what the creator's share came out of. */
const SPLIT_MEMBERS = ["pool_micros", "platform_fee_bps", "fee_micros", "shared_micros", "by", "creators"] as const;

function creditedOf(entry: StatementEntry, split: JsonObject, income: readonly PoolIncome[]): CreditedView {
  return {
    dataset_id: datasetOf(split),
    version: Number(split["version"]),
    amount_micros: String(-entry.amountMicros),
    transaction_id: entry.transaction_id,
    split: Object.fromEntries(SPLIT_MEMBERS.map((member) => [member, split[member] ?? null])),
    receipts: income.map(({ kind, unit, count, units, amountMicros }) => ({
      kind,
      unit,
      count,
      units,
      amount_micros: String(amountMicros),
    })),
  };
}

/** Credits are positive for their creator. */
function movementOf({ kind, reference, transaction_id, value_at, amountMicros }: StatementEntry): MovementView {
  return { kind, reference, transaction_id, at: formatInstant(value_at), amount_micros: String(-amountMicros) };
}

function sumOf(entries: readonly StatementEntry[]): string {
  return String(entries.reduce((sum, entry) => sum - entry.amountMicros, 0n));
}
