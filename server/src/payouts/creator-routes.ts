import { z } from "@hono/zod-openapi";
import type { Context } from "../context.ts";
import { findCreator } from "../creators/lookup.ts";
import { requireOwn } from "../creators/own.ts";
import { type Result, accept, refuse } from "@licet/protocol";
import { type Api, defineRoute, jsonAnswer, jsonBody, unwrap } from "../http/api.ts";
import { csvAnswer, csvWanted, jsonOrCsvAnswer } from "../http/csv.ts";
import { MAX_PAGE, creatorIdSchema, instantSchema, pageOf, pageQuery } from "../http/parameters.ts";
import type { Principal } from "../http/principal.ts";
import { PAYOUT_ADAPTERS } from "./adapters.ts";
import { listPayoutDetails, payoutDetailsSchema, putPayoutDetails } from "./payout-details.ts";
import { readBalances } from "./read-balance.ts";
import { listPayouts } from "./read-payouts.ts";
import { readStatement } from "./read-statement.ts";
import { payoutSchema } from "./routes.ts";
import { statementCsv } from "./statement-csv.ts";

const tags = ["payouts"];
const idParam = z.object({ id: creatorIdSchema });

const detailsSchema = z
  .object({
    currency: z.string(),
    adapter: z.enum(PAYOUT_ADAPTERS),
    hint: z.string().openapi({ example: "…6789" }),
    changed_at: instantSchema,
  })
  .openapi("PayoutDetails");
const balanceSchema = z
  .object({
    creator_id: z.string(),
    balances: z.array(
      z.object({
        currency: z.string(),
        pending_micros: z.string(),
        available_micros: z.string(),
        in_payout_micros: z.string(),
        paid_micros: z.string(),
        accruing_micros: z.string(),
      }),
    ),
  })
  .openapi("CreatorBalance");
const movementSchema = z.object({
  kind: z.string(),
  reference: z.string(),
  transaction_id: z.string(),
  at: instantSchema,
  amount_micros: z.string(),
});
const statementSchema = z
  .object({
    creator_id: z.string(),
    period: z.string(),
    from: instantSchema,
    until: instantSchema,
    state: z.enum(["provisional", "closed"]),
    complete: z.boolean().openapi({ description: "true when this page is the whole month" }),
    next: z.string().nullable(),
    currencies: z.array(
      z.object({
        currency: z.string(),
        opening_micros: z.string(),
        credited: z.array(
          z.object({
            dataset_id: z.string(),
            version: z.int(),
            amount_micros: z.string(),
            transaction_id: z.string(),
            split: z.looseObject({}),
            receipts: z.array(
              z.object({
                kind: z.string(),
                unit: z.string().nullable(),
                count: z.int(),
                units: z.string().nullable(),
                amount_micros: z.string(),
              }),
            ),
          }),
        ),
        credited_micros: z.string(),
        compensations: z.array(movementSchema),
        compensations_micros: z.string(),
        corrections: z.array(movementSchema),
        corrections_micros: z.string(),
        payouts: z.array(movementSchema),
        payouts_micros: z.string(),
        closing_micros: z.string(),
      }),
    ),
  })
  .openapi("Statement");

/** What a creator is owed, where it goes, and what each month came to. */
export function addCreatorPayoutRoutes(api: Api, ctx: Context): void {
  addBalanceRoutes(api, ctx);
  addDetailsRoutes(api, ctx);
  addStatementRoute(api, ctx);
}

/** Refuses `not_yours` and `not_found`. */
async function requireCreatorFor(ctx: Context, principal: Principal, creatorId: string): Promise<Result<true>> {
  const own = requireOwn(principal, creatorId);
  if (!own.ok) return own;
  const creator = await findCreator(ctx.db, creatorId);
  return creator === undefined ? refuse("not_found", `there is no creator ${creatorId}`) : accept(true);
}

function addBalanceRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/creators/{id}/balance",
      tags,
      summary: "What a creator is owed, by currency",
      request: { params: idParam },
      responses: { 200: jsonAnswer("The balances", balanceSchema) },
    }),
    async (c) => {
      const { id } = c.req.valid("param");
      unwrap(await requireCreatorFor(ctx, c.get("principal"), id));
      return c.json({ creator_id: id, balances: [...(await readBalances(ctx, id))] }, 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/creators/{id}/payouts",
      tags,
      summary: "A creator's payouts and what became of them",
      request: { params: idParam, query: z.object(pageQuery) },
      responses: {
        200: jsonAnswer("A page", z.object({ payouts: z.array(payoutSchema), next: z.string().nullable() })),
      },
    }),
    async (c) => {
      const { id } = c.req.valid("param");
      unwrap(await requireCreatorFor(ctx, c.get("principal"), id));
      return c.json(await listPayouts(ctx, id, pageOf(c.req.valid("query"))), 200);
    },
  );
}

function addDetailsRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/creators/{id}/payout-details",
      tags,
      summary: "Where a creator's money goes; of accounts only the end is shown",
      request: { params: idParam },
      responses: { 200: jsonAnswer("By currency", z.object({ payout_details: z.array(detailsSchema) })) },
    }),
    async (c) => {
      const { id } = c.req.valid("param");
      unwrap(await requireCreatorFor(ctx, c.get("principal"), id));
      return c.json({ payout_details: [...(await listPayoutDetails(ctx, id))] }, 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "put",
      path: "/api/v1/creators/{id}/payout-details",
      tags,
      summary: "Say where a creator's money in one currency goes",
      request: { params: idParam, body: jsonBody(payoutDetailsSchema) },
      responses: { 200: jsonAnswer("Kept, sealed", detailsSchema) },
    }),
    async (c) => {
      const { id } = c.req.valid("param");
      const principal = c.get("principal");
      unwrap(requireOwn(principal, id));
      return c.json(unwrap(await putPayoutDetails(ctx, id, { input: c.req.valid("json"), principal })), 200);
    },
  );
}

function addStatementRoute(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/creators/{id}/statements/{period}",
      tags,
      summary: "A creator's month: JSON page by page, or CSV as a whole by Accept: text/csv or the ending .csv",
      request: {
        params: idParam.extend({
          period: z
            .string()
            .regex(/^\d{4}-\d{2}(\.csv)?$/, "expected a month such as 2026-11, or 2026-11.csv")
            .openapi({ example: "2026-11" }),
        }),
        query: z.object(pageQuery),
      },
      responses: { 200: jsonOrCsvAnswer("The statement", statementSchema) },
    }),
    async (c) => {
      const { id, period } = c.req.valid("param");
      unwrap(requireOwn(c.get("principal"), id));
      const { name, isCsv } = csvWanted(period, c.req.header("accept"));
      if (isCsv) return csvAnswer(unwrap(await statementCsv(ctx, id, name)), `statement-${id}-${name}.csv`);
      const { after, limit = MAX_PAGE } = c.req.valid("query");
      const statement = unwrap(await readStatement(ctx, id, { period: name, after, limit }));
      return c.json(statementSchema.parse(statement), 200);
    },
  );
}
