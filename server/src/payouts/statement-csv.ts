import { type Result, accept, formatInstant } from "@licet/protocol";
import type { Context } from "../context.ts";
import { type CsvCell, csvLines, csvOf } from "../http/csv.ts";
import { readBalanceBefore } from "../ledger/lookup.ts";
import { decimalOf } from "./payable-amount.ts";
import {
  type BegunStatement,
  type CreditedView,
  type MovementView,
  beginStatement,
  readAllPages,
} from "./read-statement.ts";

const HEAD = [
  "period",
  "state",
  "currency",
  "line",
  "at",
  "dataset_id",
  "version",
  "reference",
  "units",
  "unit",
  "amount",
];

type Line = Readonly<Partial<Record<(typeof HEAD)[number], CsvCell>>>;

/**
 * A creator's month as lines, a part at a time: opening, everything that counted, closing. Within a
 * currency the amounts but the closing add up to it. Refuses `input_invalid` and `not_found`.
 */
export async function statementCsv(
  ctx: Context,
  creatorId: string,
  period: string,
): Promise<Result<AsyncIterable<string>>> {
  const begun = await beginStatement(ctx, creatorId, period);
  return begun.ok ? accept(partsOf(ctx, { ...begun.value, period })) : begun;
}

interface Told extends BegunStatement {
  readonly period: string;
}

async function* partsOf(ctx: Context, { accounts, bounds, state, period }: Told): AsyncGenerator<string> {
  yield csvOf(HEAD, []);
  for (const account of accounts) {
    const { currency } = account;
    const told = (lines: readonly Line[]): string =>
      csvLines(lines.map((line) => HEAD.map((column) => ({ period, state, currency, ...line })[column] ?? "")));
    // Added up from the lines, so that what counts while they are written changes none of them.
    let balanceMicros = -(await readBalanceBefore(ctx.db, account.account_id, bounds.from));
    yield told([{ line: "opening", at: formatInstant(bounds.from), amount: amountOf(balanceMicros) }]);
    for await (const { credited, movements } of readAllPages(ctx, account, bounds)) {
      for (const { amount_micros } of [...credited, ...movements]) balanceMicros += BigInt(amount_micros);
      yield told([...credited.map(creditedLine), ...movements.map(movementLine)]);
    }
    yield told([{ line: "closing", at: formatInstant(bounds.until), amount: amountOf(balanceMicros) }]);
  }
}

function creditedLine({ dataset_id, version, transaction_id, amount_micros, receipts }: CreditedView): Line {
  return {
    line: "credited",
    dataset_id,
    version: { number: String(version) },
    reference: transaction_id,
    units: receipts.map(({ units }) => units ?? "").join(" "),
    unit: receipts.map(({ unit, kind }) => unit ?? kind).join(" "),
    amount: amountOf(BigInt(amount_micros)),
  };
}

function movementLine({ kind, at, reference, amount_micros }: MovementView): Line {
  return { line: kind, at, reference, amount: amountOf(BigInt(amount_micros)) };
}

function amountOf(micros: bigint): CsvCell {
  return { number: decimalOf(micros) };
}
