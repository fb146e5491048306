import { type Result, accept, problemOf, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { readJsonBody } from "../http/api.ts";
import { type AcceptedReceipt, type Intake, acceptVerified } from "./accept-receipts.ts";
import { verifyReceipts } from "./verify-receipt.ts";

export const MAX_BATCH_LINES = 10_000;
export const MAX_BATCH_BYTES = 16_777_216;
/** Empty lines count for little, but not for nothing. */
const MAX_SPLIT = MAX_BATCH_LINES * 2;
/** Receipts that are accepted in one transaction: whoever else reports under the same licenses waits for as long. */
export const CHUNK = 500;

/**
 * Accepts receipts from NDJSON, some hundreds in one fact, and yields a result for each line once it
 * is kept: a refused line stops nobody. Refuses (`body_too_large`) more than {@link MAX_BATCH_LINES}
 * lines before it begins.
 */
export function acceptBatch(ctx: Context, marketplaceId: string, body: string): Result<AsyncGenerator<string>> {
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

async function* acceptLines(ctx: Context, marketplaceId: string, lines: readonly Line[]): AsyncGenerator<string> {
  const intake: Intake = { marketplaceId, pulled: false };
  let ahead = verifyChunk(ctx, marketplaceId, lines.slice(0, CHUNK));
  for (let at = 0; at < lines.length; at += CHUNK) {
    const chunk = lines.slice(at, at + CHUNK);
    const verified = await ahead;
    ahead = verifyChunk(ctx, marketplaceId, lines.slice(at + CHUNK, at + 2 * CHUNK));
    const results = await acceptVerified(ctx, intake, verified);
    yield chunk.map(({ number }, index) => `${lineOf(ctx, number, results[index])}\n`).join("");
  }
}

/** The next chunk is verified while the database writes this one. What goes wrong is met when its turn comes. */
function verifyChunk(ctx: Context, marketplaceId: string, lines: readonly Line[]): ReturnType<typeof verifyReceipts> {
  const verifying = verifyReceipts(
    ctx,
    marketplaceId,
    lines.map(({ text }) => readJsonBody(text)),
  );
  verifying.catch(() => undefined);
  return verifying;
}

/** As JSON: `{line, status: accepted|known|refused, receipt?, problem?}`. A receipt is written as it is kept. */
function lineOf(ctx: Context, line: number, result: Result<AcceptedReceipt> | undefined): string {
  if (result === undefined) throw new TypeError(`line ${line}: expected a result`);
  if (!result.ok) return JSON.stringify({ line, status: "refused", problem: problemOf(result.refusal, ctx.origin) });
  return `{"line":${line},"status":"${result.value.isNew ? "accepted" : "known"}","receipt":${result.value.text}}`;
}
