import { type Problem, type Refusal, type Result, accept, problemOf, refuse } from "@licet/protocol";
import { readJsonBody } from "../http/api.ts";
import type { Context } from "../context.ts";
import { contentInputSchema } from "./content-input.ts";
import { type RegistrationStatus, registerContent } from "./register-content.ts";

const MAX_BULK_LINES = 1_000;
/** Empty lines count for little, but not for nothing. */
const MAX_BULK_SPLIT = MAX_BULK_LINES * 10;
export const MAX_BULK_BYTES = 8_388_608;

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

async function* registerLines(
  ctx: Context,
  lines: readonly { readonly text: string; readonly number: number }[],
): AsyncGenerator<BulkLine> {
  for (const { text, number } of lines) yield await registerLine(ctx, text, number);
}

async function registerLine(ctx: Context, text: string, line: number): Promise<BulkLine> {
  const refused = (refusal: Refusal): BulkLine => ({
    line,
    status: "refused",
    problem: problemOf(refusal, ctx.origin),
  });
  const parsed = readJsonBody(text);
  if (!parsed.ok) return refused(parsed.refusal);
  const input = contentInputSchema.safeParse(parsed.value);
  if (!input.success) {
    const detail = input.error.issues
      .map(({ path, message }) => `${path.map(String).join(".")}: ${message}`)
      .join("; ");
    return refused({ code: "input_invalid", detail });
  }
  const registered = await registerContent(ctx, input.data);
  if (!registered.ok) return refused(registered.refusal);
  return { line, status: registered.value.status, content_id: registered.value.item.content_id };
}
