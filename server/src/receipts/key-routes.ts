import { z } from "@hono/zod-openapi";
import { type Result, accept, formatInstant, parseInstant, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { type Api, defineRoute, jsonAnswer, jsonBody, unwrap } from "../http/api.ts";
import { writeFact } from "../events/write-fact.ts";
import { identifierSchema, instantSchema, kidSchema } from "../http/parameters.ts";
import type { Principal } from "../http/principal.ts";
import { type ReceiptKeyRow, retireReceiptKey, revokeReceiptKey } from "../marketplaces/lookup.ts";
import { readReceiptsSignedWith } from "./store.ts";

const tags = ["marketplaces"];
const keyParam = z.object({ id: identifierSchema, kid: kidSchema });
const endedKeySchema = z
  .object({
    kid: z.string(),
    alg: z.string(),
    not_before: instantSchema,
    not_after: instantSchema,
    revoked_at: instantSchema.optional(),
    compromised_since: instantSchema.optional(),
  })
  .openapi("EndedReceiptKey");

/** The ends of a marketplace's receipt keys. */
export function addReceiptKeyRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/marketplaces/{id}/receipt-keys/{kid}/retire",
      tags,
      summary: "Retire a receipt key: later receipts under it are refused, earlier ones stand",
      request: { params: keyParam },
      responses: { 200: jsonAnswer("The key", endedKeySchema) },
    }),
    async (c) => {
      const { id, kid } = c.req.valid("param");
      const principal = c.get("principal");
      unwrap(requireOwn(principal, id));
      return c.json(endedKeyView(unwrap(await retireReceiptKey(ctx, { marketplaceId: id, kid, principal }))), 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/marketplaces/{id}/receipt-keys/{kid}/revoke",
      tags,
      summary: "Revoke a receipt key, and see which receipts are in doubt",
      request: {
        params: keyParam,
        body: jsonBody(
          z.strictObject({
            compromised_since: instantSchema
              .refine((text) => parseInstant(text) !== undefined, "expected an instant such as 2026-01-18T12:05:00Z")
              .optional(),
          }),
        ),
      },
      responses: {
        200: jsonAnswer(
          "The key, and the receipts that were accepted under it since then, the newest 1 000",
          z.object({ key: endedKeySchema, doubtful_receipt_ids: z.array(z.string()) }),
        ),
      },
    }),
    async (c) => {
      const { id, kid } = c.req.valid("param");
      const principal = c.get("principal");
      unwrap(requireOwn(principal, id));
      const { compromised_since } = c.req.valid("json");
      const { key, from } = unwrap(
        await writeFact(ctx, async (fact) => {
          const since = (compromised_since === undefined ? undefined : parseInstant(compromised_since)) ?? fact.now;
          const ended = await revokeReceiptKey(fact, { marketplaceId: id, kid, principal, since });
          return ended.ok ? accept({ key: ended.value, from: ended.value.compromised_since ?? since }) : ended;
        }),
      );
      // Afterwards none is accepted under it any more, and nobody waits while they are looked up.
      const receipts = await readReceiptsSignedWith(ctx.db, { marketplaceId: id, kid, since: from });
      return c.json({ key: endedKeyView(key), doubtful_receipt_ids: [...receipts] }, 200);
    },
  );
}

function requireOwn(principal: Principal, marketplaceId: string): Result<true> {
  const isOthers = principal.kind === "marketplace" && principal.marketplaceId !== marketplaceId;
  return isOthers ? refuse("not_yours", "expected your own marketplace") : accept(true);
}

function endedKeyView(row: ReceiptKeyRow): z.infer<typeof endedKeySchema> {
  return {
    kid: row.kid,
    alg: row.alg,
    not_before: formatInstant(row.not_before),
    not_after: formatInstant(row.not_after),
    ...(row.revoked_at === null ? {} : { revoked_at: formatInstant(row.revoked_at) }),
    ...(row.compromised_since === null ? {} : { compromised_since: formatInstant(row.compromised_since) }),
  };
}
