import { z } from "@hono/zod-openapi";
import type { Context } from "../context.ts";
import { type Api, defineRoute, jsonAnswer, jsonBody, noteDataset, unwrap } from "../http/api.ts";
import { creatorIdSchema, identifierSchema, pageOf, pageQuery, reasonSchema } from "../http/parameters.ts";
import {
  CASE_STATES,
  caseSchema,
  caseView,
  messageSchema,
  messageView,
  offerInputSchema,
  offerSchema,
  offerView,
  textSchema,
  wholeCaseSchema,
  wholeCaseView,
} from "./case-view.ts";
import { listCases, listMessages, readCase } from "./read-cases.ts";
import { acceptOffer, closeCase, declineOffer, makeOffer, sendMessage, withdrawOffer } from "./take-step.ts";

const tags = ["remediations"];
const idParam = z.object({ id: identifierSchema });
const offerParams = z.object({ id: identifierSchema, offer_id: identifierSchema });

/** Remediations: what becomes of works that a model has learned from already. */
export function addRemediationRoutes(api: Api, ctx: Context): void {
  addReadingRoutes(api, ctx);
  addMessageRoutes(api, ctx);
  addOfferRoutes(api, ctx);
  addDecisionRoutes(api, ctx);
}

function addReadingRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/remediations",
      tags,
      summary: "List remediations",
      request: {
        query: z.object({
          state: z.enum(CASE_STATES).optional(),
          creator_id: creatorIdSchema.optional(),
          marketplace_id: identifierSchema.optional(),
          dataset_id: identifierSchema.optional(),
          overdue: z.literal("true").optional(),
          ...pageQuery,
        }),
      },
      responses: {
        200: jsonAnswer("A page", z.object({ remediations: z.array(caseSchema), next: z.string().nullable() })),
      },
    }),
    async (c) => {
      const query = c.req.valid("query");
      noteDataset(c, query.dataset_id, undefined);
      const { rows, next } = unwrap(
        await listCases(ctx, c.get("principal"), {
          state: query.state,
          creatorId: query.creator_id,
          marketplaceId: query.marketplace_id,
          datasetId: query.dataset_id,
          isOverdue: query.overdue === "true",
          ...pageOf(query),
        }),
      );
      return c.json({ remediations: rows.map((row) => caseView(ctx, row, c.get("principal"))), next }, 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/remediations/{id}",
      tags,
      summary: "One remediation, with its offers and every step",
      request: { params: idParam },
      responses: { 200: jsonAnswer("The case", wholeCaseSchema) },
    }),
    async (c) => {
      const whole = unwrap(await readCase(ctx, c.get("principal"), c.req.valid("param").id));
      noteDataset(c, whole.row.dataset_id, undefined);
      return c.json(wholeCaseView(ctx, whole, c.get("principal")), 200);
    },
  );
}

function addMessageRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/remediations/{id}/messages",
      tags,
      summary: "What both sides wrote in a remediation",
      request: { params: idParam, query: z.object(pageQuery) },
      responses: {
        200: jsonAnswer(
          "A page, the oldest first",
          z.object({ messages: z.array(messageSchema), next: z.string().nullable() }),
        ),
      },
    }),
    async (c) => {
      const asked = { caseId: c.req.valid("param").id, ...pageOf(c.req.valid("query")) };
      const { rows, next } = unwrap(await listMessages(ctx, c.get("principal"), asked));
      return c.json({ messages: rows.map((row) => messageView(row, c.get("principal"))), next }, 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/remediations/{id}/messages",
      tags,
      summary: "Write to the other side of a remediation",
      request: { params: idParam, body: jsonBody(z.strictObject({ text: textSchema }).openapi("RemediationText")) },
      responses: { 201: jsonAnswer("Written; every side reads it", messageSchema) },
    }),
    async (c) => {
      const stepping = { principal: c.get("principal"), caseId: c.req.valid("param").id };
      const message = unwrap(await sendMessage(ctx, { ...stepping, text: c.req.valid("json").text }));
      return c.json(messageView(message, stepping.principal), 201);
    },
  );
}

function addOfferRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/remediations/{id}/offers",
      tags,
      summary: "Offer a compensation; it takes the place of an offer that stands",
      request: { params: idParam, body: jsonBody(offerInputSchema) },
      responses: { 201: jsonAnswer("Offered", offerSchema) },
    }),
    async (c) => {
      const { amount_micros, currency, text, valid_days } = c.req.valid("json");
      const offer = unwrap(
        await makeOffer(ctx, {
          principal: c.get("principal"),
          caseId: c.req.valid("param").id,
          amountMicros: BigInt(amount_micros),
          currency,
          text,
          validDays: valid_days,
        }),
      );
      return c.json(offerView(offer, c.get("principal")), 201);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/remediations/{id}/offers/{offer_id}/withdraw",
      tags,
      summary: "Take an offer back",
      request: { params: offerParams },
      responses: { 200: jsonAnswer("The case, open again", caseSchema) },
    }),
    async (c) => {
      const { id, offer_id } = c.req.valid("param");
      const deciding = { principal: c.get("principal"), caseId: id, offerId: offer_id };
      return c.json(caseView(ctx, unwrap(await withdrawOffer(ctx, deciding)), deciding.principal), 200);
    },
  );
}

function addDecisionRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/remediations/{id}/offers/{offer_id}/accept",
      tags,
      summary: "Accept an offer: the marketplace owes it, the creator's balance has it",
      request: { params: offerParams },
      responses: { 200: jsonAnswer("The case, with the ledger's transaction", caseSchema) },
    }),
    async (c) => {
      const { id, offer_id } = c.req.valid("param");
      const deciding = { principal: c.get("principal"), caseId: id, offerId: offer_id };
      return c.json(caseView(ctx, unwrap(await acceptOffer(ctx, deciding)), deciding.principal), 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/remediations/{id}/offers/{offer_id}/decline",
      tags,
      summary: "Decline an offer",
      request: { params: offerParams },
      responses: { 200: jsonAnswer("The case, open again", caseSchema) },
    }),
    async (c) => {
      const { id, offer_id } = c.req.valid("param");
      const deciding = { principal: c.get("principal"), caseId: id, offerId: offer_id };
      return c.json(caseView(ctx, unwrap(await declineOffer(ctx, deciding)), deciding.principal), 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/remediations/{id}/close",
      tags,
      summary: "End a remediation, and say why",
      request: { params: idParam, body: jsonBody(z.strictObject({ reason: reasonSchema.trim().min(1) })) },
      responses: { 200: jsonAnswer("The case, closed, or withdrawn by its creator", caseSchema) },
    }),
    async (c) => {
      const stepping = { principal: c.get("principal"), caseId: c.req.valid("param").id };
      const closed = await closeCase(ctx, { ...stepping, reason: c.req.valid("json").reason });
      return c.json(caseView(ctx, unwrap(closed), stepping.principal), 200);
    },
  );
}
