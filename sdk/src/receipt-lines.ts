import {
  type JsonObject,
  type Result,
  accept,
  anyObject,
  canonicalize,
  count,
  objectOf,
  oneOf,
  parseJsonObject,
  readShape,
} from "@licet/protocol";
import { type KeptReceipt, readKeptReceipt } from "./api-answers.ts";
import { type Answer, type LicetProblem, localProblem, parseProblem, readProblem } from "./problem.ts";
import type { ApiAnswer, ApiRequest } from "./send.ts";

/** Receipts that one request may bring. */
export const MAX_RECEIPTS_PER_CALL = 10_000;

/** What became of one receipt of many. @example { line: 1, status: "accepted", kept: { receipt, document } } */
export interface ReceiptResult {
  /** Counts from 1, in the order of what was sent. */
  readonly line: number;
  readonly status: "accepted" | "known" | "refused";
  readonly kept?: KeptReceipt;
  readonly problem?: LicetProblem;
}

const LINE = objectOf(
  { line: count, status: oneOf("accepted", "known", "refused") },
  { receipt: anyObject, problem: anyObject },
);

/**
 * `POST /api/v1/usage-receipts` as NDJSON. The same bytes twice are answered alike, so it may be
 * retried. Throws a RangeError on more than {@link MAX_RECEIPTS_PER_CALL}.
 *
 * @example receiptLinesRequest("https://platform.example", [receipt])
 */
export function receiptLinesRequest(origin: string, receipts: readonly JsonObject[]): ApiRequest {
  if (receipts.length > MAX_RECEIPTS_PER_CALL)
    throw new RangeError(`expected at most ${MAX_RECEIPTS_PER_CALL} receipts in one call, got ${receipts.length}`);
  return {
    method: "POST",
    url: new URL("/api/v1/usage-receipts", origin).href,
    headers: { accept: "application/x-ndjson, application/problem+json", "content-type": "application/x-ndjson" },
    body: receipts.map((receipt) => canonicalize(receipt)).join("\n"),
    repeatable: true,
  };
}

/** Reads the lines that answer many receipts. @example parseReceiptLines(answer) */
export function parseReceiptLines(answer: ApiAnswer): Answer<readonly ReceiptResult[]> {
  if (answer.status !== 200) return { ok: false, refusal: parseProblem(answer) };
  const results: ReceiptResult[] = [];
  for (const text of new TextDecoder().decode(answer.body).split("\n")) {
    if (text === "") continue;
    const result = readLine(text);
    if (!result.ok) return { ok: false, refusal: localProblem(result.refusal) };
    results.push(result.value);
  }
  return { ok: true, value: results };
}

function readLine(text: string): Result<ReceiptResult> {
  const parsed = parseJsonObject(text);
  const read = parsed.ok ? readShape(LINE, parsed.value, "line", "document_invalid") : parsed;
  if (!read.ok) return read;
  const { line, status, receipt, problem } = read.value;
  const kept = receipt === undefined ? undefined : readKeptReceipt(receipt);
  if (kept?.ok === false) return kept;
  return accept({
    line,
    status,
    ...(kept === undefined ? {} : { kept: kept.value }),
    ...(problem === undefined ? {} : { problem: readProblem(problem, statusOf(problem)) }),
  });
}

function statusOf({ status }: JsonObject): number {
  return typeof status === "number" ? status : 0;
}
