import { z } from "@hono/zod-openapi";
import { MAX_JWS_LENGTH, type Result, accept, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { narrowToOwn, requireOwn } from "../creators/own.ts";
import { type Api, defineRoute, jsonAnswer, jsonBody, unwrap } from "../http/api.ts";
import { creatorIdSchema, cutPage, jtiSchema, pageOf, pageQuery } from "../http/parameters.ts";
import { type Principal, actorOf } from "../http/principal.ts";
import { acceptConsent } from "./accept-consent.ts";
import { draftConsent } from "./draft-consent.ts";
import { type DraftInput, draftInputSchema, draftSchema } from "./draft-input.ts";
import {
  CONSENT_STATES,
  consentSchema,
  consentView,
  historySchema,
  readHistory,
  requireConsent,
} from "./read-consents.ts";
import { signForCreator } from "./sign-for-creator.ts";
import { readConsents } from "./store.ts";

const tags = ["consents"];
const jtiParam = z.object({ jti: jtiSchema });
const consentAnswer = (description: string) => ({
  description,
  content: { "application/json": { schema: consentSchema } },
});

/** Consents: drafted, signed, accepted; read with their history. */
export function addConsentRoutes(api: Api, ctx: Context): void {
  addSigningRoutes(api, ctx);
  addReadingRoutes(api, ctx);
}

function addSigningRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/consents/drafts",
      tags,
      summary: "Draft a consent: the words to show and the bytes to sign",
      request: { body: jsonBody(draftInputSchema) },
      responses: {
        201: jsonAnswer("The draft, open for 15 minutes", draftSchema),
      },
    }),
    async (c) => {
      const input = c.req.valid("json");
      const principal = c.get("principal");
      const creatorId = unwrap(creatorOf(principal, input));
      return c.json(unwrap(await draftConsent(ctx, { input, creatorId, by: actorOf(principal) })), 201);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/consents/drafts/{jti}/platform-signature",
      tags,
      summary: "Sign a draft with the platform's key, on behalf of a creator",
      request: { params: jtiParam },
      responses: { 201: consentAnswer("The accepted consent") },
    }),
    async (c) => {
      const row = unwrap(await signForCreator(ctx, c.req.valid("param").jti, c.get("principal")));
      return c.json(consentView(row), 201);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/consents",
      tags,
      summary: "Hand in a signed consent",
      request: {
        body: jsonBody(z.strictObject({ token: z.string().max(MAX_JWS_LENGTH) })),
      },
      responses: { 201: consentAnswer("The accepted consent") },
    }),
    async (c) => {
      const row = unwrap(await acceptConsent(ctx, c.req.valid("json").token, c.get("principal")));
      return c.json(consentView(row), 201);
    },
  );
}

function addReadingRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/consents",
      tags,
      summary: "List consents",
      request: {
        query: z.object({
          creator_id: creatorIdSchema.optional(),
          state: z.enum(CONSENT_STATES).optional(),
          ...pageQuery,
        }),
      },
      responses: {
        200: jsonAnswer("A page", z.object({ consents: z.array(consentSchema), next: z.string().nullable() })),
      },
    }),
    async (c) => {
      const query = c.req.valid("query");
      const creatorId = unwrap(narrowToOwn(c.get("principal"), query.creator_id));
      const page = pageOf(query);
      const { rows, next } = cutPage(
        await readConsents(ctx.db, { ...page, creatorId, state: query.state }),
        page.limit,
        (row) => row.jti,
      );
      return c.json({ consents: rows.map(consentView), next }, 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/consents/{jti}",
      tags,
      summary: "One consent",
      request: { params: jtiParam },
      responses: { 200: consentAnswer("The consent") },
    }),
    async (c) =>
      c.json(consentView(unwrap(await requireConsent(ctx, c.get("principal"), c.req.valid("param").jti))), 200),
  );

  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/consents/{jti}/history",
      tags,
      summary: "What became of a consent, and the words that were shown",
      request: { params: jtiParam },
      responses: { 200: jsonAnswer("The history", historySchema) },
    }),
    async (c) =>
      c.json(
        await readHistory(ctx, unwrap(await requireConsent(ctx, c.get("principal"), c.req.valid("param").jti))),
        200,
      ),
  );
}

/** Whose consent is drafted: the creator's who asks, or the one the platform names. Only the platform can sign for somebody. */
function creatorOf(principal: Principal, input: DraftInput): Result<string> {
  const creatorId = input.creator_id ?? (principal.kind === "creator" ? principal.creatorId : undefined);
  if (creatorId === undefined)
    return refuse("input_invalid", "body.creator_id: expected the creator whose consent it is");
  const own = requireOwn(principal, creatorId);
  if (!own.ok) return own;
  if (principal.kind === "creator" && input.signer === "platform")
    return refuse("forbidden", "expected signer creator in a creator's own session");
  return accept(creatorId);
}
