import { z } from "@hono/zod-openapi";
import { type JsonObject, type Result, accept, formatInstant, refuse } from "@licet/protocol";
import { type Context, nowSeconds } from "../context.ts";
import { findCreator } from "../creators/lookup.ts";
import { readOwnJson } from "../db/own-json.ts";
import {
  type AccountRow,
  type PeriodBounds,
  boundsOf,
  isPeriodClosed,
  readAccounts,
  readBalanceBefore,
} from "../ledger/lookup.ts";
import {
  STATEMENT_PARTS,
  type SplitIncome,
  type StatementEntry,
  type StatementPart,
  type StatementPlace,
  readSplitIncome,
  readStatementEntries,
  readStatementSums,
} from "./statement-store.ts";

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
  /** Every currency with its sums, which are of the whole month, and with what this page tells of. */
  readonly currencies: readonly CurrencyStatement[];
  /** True when this page is all of it. */
  readonly complete: boolean;
  /** Where the next page begins. */
  readonly next: string | null;
}

/** There are fewer currencies in the world. */
const MAX_CURRENCIES = 200;

/** What of a statement is asked for. */
export interface StatementQuery {
  readonly period: string;
  readonly after: string | undefined;
  readonly limit: number;
}

/**
 * What a creator's month came to: sums, and a page of what they are of. Refuses `input_invalid` and
 * `not_found`.
 */
export async function readStatement(
  ctx: Context,
  creatorId: string,
  { period, after, limit }: StatementQuery,
): Promise<Result<Statement>> {
  const begun = await beginStatement(ctx, creatorId, period);
  if (!begun.ok) return begun;
  const place = placeOf(after);
  if (!place.ok) return place;
  const { accounts, bounds, state } = begun.value;
  const currencies: CurrencyStatement[] = [];
  let left = limit;
  let next: string | null = null;
  for (const account of accounts) {
    const { currency } = account;
    const isSeen = place.value !== undefined && currency < place.value.currency;
    const within = place.value?.currency === currency ? place.value : undefined;
    const page: StatementPage =
      isSeen || next !== null
        ? { entries: [], next: null }
        : await readPage(ctx, account, { ...bounds, after: within, limit: left });
    left -= page.entries.length;
    next ??= page.next;
    currencies.push(await currencyOf(ctx, account, { bounds, entries: page.entries }));
  }
  const { from, until } = bounds;
  return accept({
    creator_id: creatorId,
    period,
    from: formatInstant(from),
    until: formatInstant(until),
    state,
    currencies,
    complete: after === undefined && next === null,
    next,
  });
}

/** A statement's month and accounts, by currency. */
export interface BegunStatement {
  readonly bounds: PeriodBounds;
  readonly state: Statement["state"];
  readonly accounts: readonly AccountRow[];
}

/** Refuses `input_invalid` and `not_found`. */
export async function beginStatement(ctx: Context, creatorId: string, period: string): Promise<Result<BegunStatement>> {
  const bounds = boundsOf(period);
  if (!bounds.ok) return bounds;
  if (bounds.value.from > nowSeconds(ctx))
    return refuse("input_invalid", `expected a month that has begun, got ${period}`);
  if ((await findCreator(ctx.db, creatorId)) === undefined)
    return refuse("not_found", `there is no creator ${creatorId}`);
  const state = (await isPeriodClosed(ctx.db, period)) ? "closed" : "provisional";
  const query = { kind: "creator", owner: creatorId, after: undefined, limit: MAX_CURRENCIES } as const;
  const accounts = (await readAccounts(ctx.db, query)).toSorted((left, right) =>
    left.currency < right.currency ? -1 : 1,
  );
  return accept({ bounds: bounds.value, state, accounts });
}

interface CursorPlace extends StatementPlace {
  readonly currency: string;
}

const CURSOR = /^([A-Z]{3})-([0-3])-(\d{1,15})$/;

/** Refuses `input_invalid`. */
function placeOf(after: string | undefined): Result<CursorPlace | undefined> {
  if (after === undefined) return accept(undefined);
  const [, currency, part, entryId] = CURSOR.exec(after) ?? [];
  return currency === undefined
    ? refuse("input_invalid", `expected a cursor that a page named as next, got ${JSON.stringify(after)}`)
    : accept({ currency, part: Number(part), entryId: Number(entryId) });
}

interface StatementPage {
  readonly entries: readonly StatementEntry[];
  readonly next: string | null;
}

async function readPage(
  ctx: Context,
  { account_id, currency }: AccountRow,
  { limit, after, ...bounds }: PeriodBounds & { readonly after: StatementPlace | undefined; readonly limit: number },
): Promise<StatementPage> {
  const found = await readStatementEntries(ctx.db, account_id, { ...bounds, after, limit: limit + 1 });
  const entries = found.slice(0, limit);
  const last = entries.at(-1) ?? { part: after?.part ?? 0, entry_id: after?.entryId ?? 0 };
  return { entries, next: found.length > limit ? `${currency}-${last.part}-${last.entry_id}` : null };
}

async function currencyOf(
  ctx: Context,
  { account_id, currency }: AccountRow,
  { bounds, entries }: { readonly bounds: PeriodBounds; readonly entries: readonly StatementEntry[] },
): Promise<CurrencyStatement> {
  const { from, until } = bounds;
  const of = (part: StatementPart) => entries.filter((entry) => STATEMENT_PARTS[entry.part] === part);
  const sums = await readStatementSums(ctx.db, account_id, { from, until });
  return {
    currency,
    opening_micros: String(-(await readBalanceBefore(ctx.db, account_id, from))),
    credited: await creditedOf(ctx, of("credited")),
    credited_micros: String(sums.credited),
    compensations: of("compensations").map(movementOf),
    compensations_micros: String(sums.compensations),
    corrections: of("corrections").map(movementOf),
    corrections_micros: String(sums.corrections),
    payouts: of("payouts").map(movementOf),
    payouts_micros: String(sums.payouts),
    closing_micros: String(-(await readBalanceBefore(ctx.db, account_id, until))),
  };
}

/** Entries that are read at once while a whole statement is written. */
const STREAM_PAGE = 1_000;

/** An account's month, page by page to its end. */
export async function* readAllPages(
  ctx: Context,
  account: AccountRow,
  bounds: PeriodBounds,
): AsyncGenerator<{ readonly credited: readonly CreditedView[]; readonly movements: readonly MovementView[] }> {
  let after: StatementPlace | undefined;
  do {
    const { entries, next } = await readPage(ctx, account, { ...bounds, after, limit: STREAM_PAGE });
    const isSplit = ({ part }: StatementEntry): boolean => STATEMENT_PARTS[part] === "credited";
    yield {
      credited: await creditedOf(ctx, entries.filter(isSplit)),
      movements: entries.filter((entry) => !isSplit(entry)).map(movementOf),
    };
    const last = entries.at(-1);
    after = next === null || last === undefined ? undefined : { part: last.part, entryId: last.entry_id };
  } while (after !== undefined);
}

function datasetOf({ dataset_id }: JsonObject): string {
  return typeof dataset_id === "string" ? dataset_id : "";
}

/** What is shown of a split: what the creator's share came out of. */
const SPLIT_MEMBERS = ["pool_micros", "platform_fee_bps", "fee_micros", "shared_micros", "by", "creators"] as const;

/** Splits with what each of them shared out: every receipt is in one of them. */
async function creditedOf(ctx: Context, splits: readonly StatementEntry[]): Promise<readonly CreditedView[]> {
  const read = splits.map((entry) => ({ entry, split: readOwnJson(entry.explanation, entry.transaction_id) }));
  // Splits of before it was written down with them.
  const older = read.filter(({ split }) => !Array.isArray(split["income"]));
  const ids = older.map(({ entry }) => entry.transaction_id);
  const income = Map.groupBy(await readSplitIncome(ctx.db, ids), (row) => row.transaction_id);
  return read.map(({ entry, split }) =>
    creditedView(entry, split, keptIncome(split) ?? (income.get(entry.transaction_id) ?? []).map(incomeView)),
  );
}

type IncomeView = CreditedView["receipts"][number];

function incomeView({ kind, unit, count, units, amountMicros }: SplitIncome): IncomeView {
  return { kind, unit, count, units, amount_micros: String(amountMicros) };
}

const incomeSchema = z.array(
  z.object({
    kind: z.string(),
    unit: z.string().nullable(),
    count: z.int(),
    units: z.string().nullable(),
    amount_micros: z.string(),
  }),
);

/** What a split wrote down that it shared out; undefined of one that did not. */
function keptIncome(split: JsonObject): readonly IncomeView[] | undefined {
  const { income } = split;
  return Array.isArray(income) ? incomeSchema.parse(income) : undefined;
}

function creditedView(entry: StatementEntry, split: JsonObject, receipts: readonly IncomeView[]): CreditedView {
  return {
    dataset_id: datasetOf(split),
    version: Number(split["version"]),
    amount_micros: String(-entry.amountMicros),
    transaction_id: entry.transaction_id,
    split: Object.fromEntries(SPLIT_MEMBERS.map((member) => [member, split[member] ?? null])),
    receipts,
  };
}

/** Credits are positive for their creator. */
function movementOf({ kind, reference, transaction_id, value_at, amountMicros }: StatementEntry): MovementView {
  return { kind, reference, transaction_id, at: formatInstant(value_at), amount_micros: String(-amountMicros) };
}
