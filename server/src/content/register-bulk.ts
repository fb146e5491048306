import { type Problem, type Result, accept, problemOf, refuse } from "@licet/protocol";
import { readJsonBody } from "../http/api.ts";
import type { Context } from "../context.ts";
import { type DescribedContent, contentInputSchema } from "./content-input.ts";
import { describeContent } from "./describe-content.ts";
import { type RegistrationStatus, registerContent } from "./register-content.ts";

const MAX_BULK_LINES = 1_000;
/** Empty lines count for little, but not for nothing. */
const MAX_BULK_SPLIT = MAX_BULK_LINES * 10;
export const MAX_BULK_BYTES = 8_388_608;
/** URLs of one bulk that are read at once. */
const READ_AHEAD_LINES = 4;

/** What became of one line. */
export interface BulkLine {
  readonly line: number;
  readonly status: RegistrationStatus | "refused";
  readonly content_id?: string;
  readonly problem?: Problem;
}

/**
 * Registers works from NDJSON, one fact for each line, and yields a result for each: a refused line
 * stops nobody. Refuses (`body_too_large`) more than {@link MAX_BULK_LINES} lines before it begins.
 */
export function registerBulk(ctx: Context, body: string): Result<AsyncGenerator<BulkLine>> {
  const lines = body.split("\n", MAX_BULK_SPLIT);
  const filled = lines.flatMap((text, index) =>
    text.trim() === "" ? [] : [{ text: text.replace(/\r$/, ""), number: index + 1 }],
  );
  if (lines.length === MAX_BULK_SPLIT || filled.length > MAX_BULK_LINES)
    return refuse(
      "body_too_large",
      `expected at most ${MAX_BULK_LINES} lines, got ${lines.length === MAX_BULK_SPLIT ? "more, empty ones included" : filled.length}`,
    );
  return accept(registerLines(ctx, filled));
}

/**
 * Lines are registered in their order, since a later one may be about the same work; URLs that have
 * to be read are read ahead, a few at a time.
 */
async function* registerLines(
  ctx: Context,
  lines: readonly { readonly text: string; readonly number: number }[],
): AsyncGenerator<BulkLine> {
  const described: Promise<Result<DescribedContent>>[] = [];
  for (const [index, { number }] of lines.entries()) {
    for (const { text } of lines.slice(described.length, index + READ_AHEAD_LINES)) {
      const ahead = describeLine(ctx, text);
      // What goes wrong is met when the line's turn comes; nobody waits for it before.
      ahead.catch(() => undefined);
      described.push(ahead);
    }
    const content = await described[index];
    if (content !== undefined) yield await registerLine(ctx, content, number);
  }
}

async function describeLine(ctx: Context, text: string): Promise<Result<DescribedContent>> {
  const parsed = readJsonBody(text);
  if (!parsed.ok) return parsed;
  const input = contentInputSchema.safeParse(parsed.value);
  if (input.success) return describeContent(ctx, input.data);
  const details = input.error.issues.map(({ path, message }) => `${path.map(String).join(".")}: ${message}`);
  return refuse("input_invalid", details.join("; "));
}

async function registerLine(ctx: Context, content: Result<DescribedContent>, line: number): Promise<BulkLine> {
  const registered = content.ok ? await registerContent(ctx, content.value) : content;
  return registered.ok
    ? { line, status: registered.value.status, content_id: registered.value.item.content_id }
    : { line, status: "refused", problem: problemOf(registered.refusal, ctx.origin) };
}
