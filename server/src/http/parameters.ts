import { z } from "@hono/zod-openapi";
import { type Result, accept, isIdentifier, isJti, isQualifiedIdentifier, isWebUrl, refuse } from "@licet/protocol";

/** What requests are made of, each parsed once, here at the boundary. */
export const identifierSchema = z
  .string()
  .refine(isIdentifier, "expected at most 128 letters, digits and . _ ~ -")
  .openapi({ example: "dataset_20260118_01" });
export const creatorIdSchema = z
  .string()
  .refine(isQualifiedIdentifier, "expected at most 128 letters, digits and : . _ ~ -")
  .openapi({ example: "user:12345" });
export const jtiSchema = z
  .string()
  .refine(isJti, "expected ctok_ and 22 characters of base64url")
  .openapi({ example: "ctok_AAAAAAAAAAAAAAAAAAAAAA" });
/** An RFC 7638 thumbprint. */
export const kidSchema = z
  .string()
  .regex(/^[A-Za-z0-9_-]{43}$/, "expected a key's thumbprint: 43 characters of base64url")
  .openapi({ example: "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" });
export const webUrlSchema = z
  .string()
  .refine(isWebUrl, "expected an absolute http(s) URL without user name or fragment");
export const instantSchema = z.string().openapi({ example: "2026-01-18T12:05:00Z", format: "date-time" });
export const reasonSchema = z.string().max(500).openapi({ example: "creator_requested_revocation" });

export const MAX_PAGE = 1_000;
const DEFAULT_PAGE = 100;

export const pageQuery = {
  after: z
    .string()
    .max(256)
    .regex(/^[\x21-\x7e]+$/, "expected a cursor that a page named as next")
    .optional()
    .openapi({ description: "the cursor that the page before named as next" }),
  limit: z
    .string()
    .regex(/^\d{1,4}$/)
    .transform(Number)
    .pipe(z.int().min(1).max(MAX_PAGE))
    .optional()
    .openapi({ description: `entries on a page: 1 to ${MAX_PAGE}, by default ${DEFAULT_PAGE}` }),
};

export interface Page {
  readonly after: string | undefined;
  readonly limit: number;
}

export function pageOf(query: { readonly after?: string | undefined; readonly limit?: number | undefined }): Page {
  return { after: query.after, limit: query.limit ?? DEFAULT_PAGE };
}

/** Cuts a page from rows of which one more than the limit was asked for. */
export function cutPage<T>(
  rows: readonly T[],
  limit: number,
  cursorOf: (row: T) => string,
): { readonly rows: readonly T[]; readonly next: string | null } {
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  return { rows: page, next: rows.length > limit && last !== undefined ? cursorOf(last) : null };
}

/** A cursor that counts: the position or sequence of the last entry seen. */
export function countOf(cursor: string | undefined): Result<number | undefined> {
  if (cursor === undefined) return accept(undefined);
  return /^\d{1,15}$/.test(cursor)
    ? accept(Number(cursor))
    : refuse(
        "input_invalid",
        `query.after: expected a cursor that a page named as next, got ${JSON.stringify(cursor)}`,
      );
}
