import { type CsvCell, csvOf } from "../http/csv.ts";
import { decimalOf } from "./payable-amount.ts";
import type { CurrencyStatement, MovementView, Statement } from "./read-statement.ts";

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

/** A statement as lines: opening, everything that counted, closing. Within a currency the amounts but the closing add up to it. */
export function statementCsv(statement: Statement): string {
  const { period, state, until, from, currencies } = statement;
  const rows = currencies.flatMap((account) =>
    linesOf(account, { from, until }).map((line) =>
      HEAD.map((column): CsvCell => ({ period, state, currency: account.currency, ...line })[column] ?? ""),
    ),
  );
  return csvOf(HEAD, rows);
}

function linesOf(account: CurrencyStatement, { from, until }: Pick<Statement, "from" | "until">): readonly Line[] {
  return [
    { line: "opening", at: from, amount: amountOf(account.opening_micros) },
    ...account.credited.map(({ dataset_id, version, transaction_id, amount_micros, receipts }): Line => ({
      line: "credited",
      dataset_id,
      version: { number: String(version) },
      reference: transaction_id,
      units: receipts.map(({ units }) => units ?? "").join(" "),
      unit: receipts.map(({ unit, kind }) => unit ?? kind).join(" "),
      amount: amountOf(amount_micros),
    })),
    ...[...account.compensations, ...account.corrections, ...account.payouts].map(movementLine),
    { line: "closing", at: until, amount: amountOf(account.closing_micros) },
  ];
}

function movementLine({ kind, at, reference, amount_micros }: MovementView): Line {
  return { line: kind, at, reference, amount: amountOf(amount_micros) };
}

function amountOf(micros: string): CsvCell {
  return { number: decimalOf(BigInt(micros)) };
}
