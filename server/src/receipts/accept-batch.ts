import { type JsonObject, type Problem, type Result, accept, problemOf, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { readJsonBody } from "../http/api.ts";
import { type AcceptedReceipt, type Intake, acceptReceipts } from "./accept-receipts.ts";

export const MAX_BATCH_LINES = 10_000;
export const MAX_BATCH_BYTES = 16_777_216;
/** Empty lines count for little, but not for nothing. */
const MAX_SPLIT = MAX_BATCH_LINES * 2;
/** Receipts that are accepted in one transaction: whoever else reports under the same licenses waits for as long. */
export const CHUNK = 500;

/** What became of one line. */
export interface ReceiptLine {
  readonly line: number;
  readonly status: "accepted" | "known" | "refused";
  readonly receipt?: JsonObject;
  readonly problem?: Problem;
}

/**
 * Accepts receipts from NDJSON, some hundreds in one fact, and yields a result for each line once it
 * is kept: a refused line stops nobody. Refuses (`body_too_large`) more than {@link MAX_BATCH_LINES}
 * lines before it begins.
 */
export function acceptBatch(
  ctx: Context,
  marketplaceId: string,
  body: string,
): Result<AsyncGenerator<readonly ReceiptLine[]>> {
  const lines = body.split("\n", MAX_SPLIT);
  const filled = lines.flatMap((text, index) =>
    text.trim() === "" ? [] : [{ text: text.replace(/\r$/, ""), number: index + 1 }],
  );
  if (lines.length === MAX_SPLIT || filled.length > MAX_BATCH_LINES)
    return refuse(
      "body_too_large",
      `expected at most ${MAX_BATCH_LINES} lines, got ${lines.length === MAX_SPLIT ? "more, empty ones included" : filled.length}`,
    );
  return accept(acceptLines(ctx, marketplaceId, filled));
}

interface Line {
  readonly text: string;
  readonly number: number;
}

async function* acceptLines(
  ctx: Context,
  marketplaceId: string,
  lines: readonly Line[],
): AsyncGenerator<readonly ReceiptLine[]> {
  for (let at = 0; at < lines.length; at += CHUNK) {
    const chunk = lines.slice(at, at + CHUNK);
    const intake: Intake = { marketplaceId, pulled: false };
    const results = await acceptReceipts(
      ctx,
      intake,
      chunk.map(({ text }) => readJsonBody(text)),
    );
    yield chunk.map(({ number }, index) => lineOf(ctx, number, results[index]));
  }
}

function lineOf(ctx: Context, line: number, result: Result<AcceptedReceipt> | undefined): ReceiptLine {
  if (result === undefined) throw new TypeError(`line ${line}: expected a result`);
  return result.ok
    ? { line, status: result.value.isNew ? "accepted" : "known", receipt: result.value.receipt }
    : { line, status: "refused", problem: problemOf(result.refusal, ctx.origin) };
}
