import { z } from "@hono/zod-openapi";
import { KEY_PURPOSES, formatInstant } from "@licet/protocol";
import { instantSchema } from "../http/parameters.ts";
import { type SigningKeyRow, platformKeyOf, signingKeyAt } from "./store.ts";

export const signingKeySchema = z
  .object({
    kid: z.string(),
    alg: z.enum(["EdDSA", "ES256"]),
    purpose: z.enum(KEY_PURPOSES),
    status: z.enum(["active", "retired", "revoked"]),
    /** True for the one key that signs for its purpose now. */
    signs: z.boolean(),
    signs_from: instantSchema.optional(),
    retires_at: instantSchema.optional(),
    not_before: instantSchema,
    not_after: instantSchema,
    revoked_at: instantSchema.optional(),
    compromised_since: instantSchema.optional(),
  })
  .openapi("SigningKey");

/** A key as the operator sees it; `all` are the keys it is one of. */
export function signingKeyView(
  row: SigningKeyRow,
  all: readonly SigningKeyRow[],
  now: number,
): z.infer<typeof signingKeySchema> {
  const { jwk: _jwk, ...key } = platformKeyOf(row);
  return {
    ...key,
    signs: signingKeyAt(all, row.purpose, now)?.kid === row.kid,
    ...(row.signs_from > now ? { signs_from: formatInstant(row.signs_from) } : {}),
    ...(row.retire_at === null || row.status !== "active" ? {} : { retires_at: formatInstant(row.retire_at) }),
  };
}
