import { type JsonObject, type Result, accept, refuse } from "@licet/protocol";

/**
 * Reads lines whose `position` must rise, and at most `limit` of them, so that a source without an
 * end is left at once. The first refusal is the last thing it yields.
 */
export async function* orderedLines<T extends { readonly position: number }>(
  lines: AsyncIterable<Result<JsonObject>>,
  read: (line: JsonObject) => Result<T>,
  limit: number,
): AsyncGenerator<Result<T>> {
  let lineCount = 0;
  let last = -1;
  for await (const line of lines) {
    const value = line.ok ? read(line.value) : line;
    if (!value.ok) {
      yield value;
      return;
    }
    const { position } = value.value;
    lineCount += 1;
    if (lineCount > limit || position <= last) {
      yield refuse(
        "document_invalid",
        lineCount > limit
          ? `expected at most ${limit} lines, got more`
          : `expected a position above ${last}, got ${position}`,
      );
      return;
    }
    last = position;
    yield accept(value.value);
  }
}
