import { z } from "@hono/zod-openapi";

/** One cell: text that somebody else may have chosen, or a number that we wrote. */
export type CsvCell = string | { readonly number: string };

/** What a spreadsheet takes for the beginning of a formula. */
const FORMULA = /^[=+\-@\t\r]/;
const QUOTED = /[",\r\n]/;

/**
 * RFC 4180, with a head. Text that a spreadsheet would carry out as a formula begins with an
 * apostrophe; numbers are as they are.
 */
export function csvOf(head: readonly string[], rows: readonly (readonly CsvCell[])[]): string {
  return csvLines([head, ...rows]);
}

/** The same without a head: more lines of it. */
export function csvLines(rows: readonly (readonly CsvCell[])[]): string {
  return rows.map((row) => `${row.map(cellOf).join(",")}\r\n`).join("");
}

function cellOf(cell: CsvCell): string {
  if (typeof cell !== "string") return cell.number;
  const text = FORMULA.test(cell) ? `'${cell}` : cell;
  return QUOTED.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

const SUFFIX = ".csv";

/** Whether CSV is asked for, by the path's ending or by what is accepted; and the path without that ending. */
export function csvWanted(
  name: string,
  acceptHeader: string | undefined,
): { readonly name: string; readonly isCsv: boolean } {
  if (name.endsWith(SUFFIX)) return { name: name.slice(0, -SUFFIX.length), isCsv: true };
  return { name, isCsv: /(^|[\s,])text\/csv\b/i.test(acceptHeader ?? "") };
}

/** An answer in CSV, to be kept as a file; part by part where it may be long. */
export function csvAnswer(text: string | AsyncIterable<string>, fileName: string): Response {
  return new Response(typeof text === "string" ? text : streamOf(text), {
    status: 200,
    headers: {
      "content-type": "text/csv; charset=utf-8",
      "content-disposition": `attachment; filename="${fileName.replaceAll(/[^A-Za-z0-9._-]/g, "_")}"`,
      "cache-control": "no-store",
    },
  });
}

/** A part is made when there is room for it; a reader that goes away ends the making. */
function streamOf(parts: AsyncIterable<string>): ReadableStream<Uint8Array> {
  const iterator = parts[Symbol.asyncIterator]();
  const encoder = new TextEncoder();
  return new ReadableStream({
    pull: async (controller) => {
      const { done, value } = await iterator.next();
      if (done === true) controller.close();
      else controller.enqueue(encoder.encode(value));
    },
    cancel: async () => {
      await iterator.return?.();
    },
  });
}

/** A 200 in a route's definition that is JSON or CSV. Typed as text, since the route types would take it for JSON alone. */
export function jsonOrCsvAnswer(description: string, schema: z.ZodType) {
  const content: Record<string, { readonly schema: z.ZodType }> = {
    "application/json": { schema },
    "text/csv": { schema: z.string() },
  };
  return { description, content };
}
