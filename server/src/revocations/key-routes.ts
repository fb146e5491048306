import { z } from "@hono/zod-openapi";
import { parseInstant } from "@licet/protocol";
import type { Context } from "../context.ts";
import { nowSeconds } from "../context.ts";
import { type Api, defineRoute, jsonAnswer, jsonBody, unwrap } from "../http/api.ts";
import { creatorIdSchema, identifierSchema, instantSchema, kidSchema } from "../http/parameters.ts";
import { actorOf } from "../http/principal.ts";
import { readSigningKeys, signingKeySchema, signingKeyView } from "../keys/lookup.ts";
import { reportCompromisedKey, revokePlatformKey } from "./revoke-keys.ts";

const sinceSchema = z.strictObject({
  compromised_since: instantSchema
    .refine((text) => parseInstant(text) !== undefined, "expected an instant such as 2026-01-18T12:05:00Z")
    .optional(),
});
const doubtful = {
  revoked_jtis: z.array(z.string()),
  datasets: z.array(z.object({ dataset_id: identifierSchema, status: z.string() })),
};
const compromisedSchema = z
  .object({ kid: z.string(), compromised_since: instantSchema, ...doubtful })
  .openapi("CompromisedKey");
const revokedKeySchema = z
  .object({
    key: signingKeySchema,
    successor: z.string().nullable(),
    documents_signed_again: z.int(),
    acceptances_signed_again: z.int(),
    receipt_ids: z.array(z.string()),
    ...doubtful,
  })
  .openapi("RevokedSigningKey");

/** Keys that somebody else may hold: the key ends, and what nobody can vouch for with it. */
export function addKeyRevocationRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/creators/{id}/keys/{kid}/compromise",
      tags: ["creators"],
      summary: "Report a key as compromised: consents accepted under it since then end",
      request: { params: z.object({ id: creatorIdSchema, kid: kidSchema }), body: jsonBody(sinceSchema) },
      responses: { 200: jsonAnswer("The key is revoked, and what ended with it", compromisedSchema) },
    }),
    async (c) => {
      const { id, kid } = c.req.valid("param");
      const { compromised_since } = c.req.valid("json");
      const since = compromised_since === undefined ? undefined : parseInstant(compromised_since);
      const ended = unwrap(
        await reportCompromisedKey(ctx, { creatorId: id, kid, since, principal: c.get("principal") }),
      );
      return c.json(compromisedSchema.parse({ kid, ...ended }), 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/keys/{kid}/revoke",
      tags: ["keys"],
      summary: "Revoke a key of the platform: another takes over, and what can be is signed again",
      request: { params: z.object({ kid: kidSchema }), body: jsonBody(sinceSchema) },
      responses: { 200: jsonAnswer("The revoked key, and what was done about what it signed", revokedKeySchema) },
    }),
    async (c) => {
      const { kid } = c.req.valid("param");
      const { compromised_since } = c.req.valid("json");
      const compromisedSince = compromised_since === undefined ? undefined : parseInstant(compromised_since);
      const by = actorOf(c.get("principal"));
      const revoked = unwrap(await revokePlatformKey(ctx, { kid, compromisedSince, by }));
      const answer = {
        key: signingKeyView(revoked.key.row, await readSigningKeys(ctx.db), nowSeconds(ctx)),
        successor: revoked.key.successor?.kid ?? null,
        documents_signed_again: revoked.key.signedAgain.length,
        acceptances_signed_again: revoked.acceptancesSignedAgain,
        receipt_ids: revoked.receiptIds,
        revoked_jtis: revoked.revoked_jtis,
        datasets: revoked.datasets,
      };
      return c.json(revokedKeySchema.parse(answer), 200);
    },
  );
}
