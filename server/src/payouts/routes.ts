import { z } from "@hono/zod-openapi";
import { accept } from "@licet/protocol";
import type { Context } from "../context.ts";
import { type Api, defineRoute, jsonAnswer, jsonBody, unwrap } from "../http/api.ts";
import {
  creatorIdSchema,
  identifierSchema,
  instantSchema,
  pageOf,
  pageQuery,
  reasonSchema,
} from "../http/parameters.ts";
import { actorOf } from "../http/principal.ts";
import { PAYOUT_ADAPTERS } from "./adapters.ts";
import { type BatchPlan, MAX_PAYOUTS, createBatch, previewBatch } from "./create-batch.ts";
import { currencySchema } from "./payout-details.ts";
import { listBatches, readBatch } from "./read-payouts.ts";
import { receiveStripeEvent } from "./receive-stripe-event.ts";
import { settleBatch } from "./settle-batch.ts";

const tags = ["payouts"];

export const payoutSchema = z
  .object({
    payout_id: z.string(),
    batch_id: z.string(),
    creator_id: z.string(),
    adapter: z.enum(PAYOUT_ADAPTERS),
    currency: z.string(),
    amount_micros: z.string(),
    returned_micros: z.string(),
    state: z.enum(["created", "sent", "paid", "failed", "returned", "unknown"]),
    destination: z.string().nullable(),
    external_id: z.string().nullable(),
    reason: z.string().nullable(),
    attempts: z.int(),
    created_at: instantSchema,
    settled_at: instantSchema.nullable(),
    next_attempt_at: instantSchema.nullable(),
  })
  .openapi("Payout");
const batchSchema = z
  .object({
    batch_id: z.string(),
    adapter: z.enum(PAYOUT_ADAPTERS),
    currency: z.string(),
    created_at: instantSchema,
    created_by: z.string(),
    schedule: z.string().nullable(),
    has_more: z.boolean(),
    file: z.string().nullable(),
    amount_micros: z.string(),
    payouts_count: z.int(),
    states: z.record(z.string(), z.int()),
  })
  .openapi("PayoutBatch");
const batchWithPayoutsSchema = batchSchema.extend({ payouts: z.array(payoutSchema) }).openapi("PayoutBatchWithPayouts");
const skippedSchema = z.array(
  z.object({
    creator_id: z.string(),
    reason: z.enum(["details_missing", "other_adapter", "pending", "below_minimum"]),
    available_micros: z.string(),
  }),
);
const previewSchema = z
  .object({
    payouts: z.array(z.object({ creator_id: z.string(), amount_micros: z.string(), destination: z.string() })),
    skipped: skippedSchema,
    has_more: z.boolean(),
    amount_micros: z.string(),
  })
  .openapi("PayoutBatchPreview");
const createdBatchSchema = batchWithPayoutsSchema.extend({ skipped: skippedSchema }).openapi("CreatedPayoutBatch");

const idParam = z.object({ id: identifierSchema });

/** Payout batches, what becomes of them, and what Stripe says of it. */
export function addPayoutRoutes(api: Api, ctx: Context): void {
  addCreationRoute(api, ctx);
  addReadingRoutes(api, ctx);
  addSettlementRoute(api, ctx);
  addStripeRoute(api, ctx);
}

function addCreationRoute(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/payout-batches",
      tags,
      summary: "Pay everybody who is due, or with dry_run say who would be paid",
      request: {
        body: jsonBody(
          z
            .strictObject({
              currency: currencySchema,
              adapter: z.enum(PAYOUT_ADAPTERS),
              creator_ids: z.array(creatorIdSchema).min(1).max(MAX_PAYOUTS).optional(),
              dry_run: z.boolean().optional(),
            })
            .openapi("PayoutBatchInput"),
        ),
      },
      responses: {
        200: jsonAnswer("What a batch would be; nothing is written", previewSchema),
        201: jsonAnswer("Made; it is sent at once", createdBatchSchema),
      },
    }),
    async (c) => {
      const { currency, adapter, creator_ids, dry_run } = c.req.valid("json");
      const request = { currency, adapter, creatorIds: creator_ids, by: actorOf(c.get("principal")) };
      if (dry_run === true) return c.json(previewOf(unwrap(await previewBatch(ctx, request))), 200);
      const created = unwrap(await createBatch(ctx, request));
      const batch = unwrap(await readBatch(ctx, created.batch.batch_id));
      return c.json({ ...batch, payouts: [...batch.payouts], skipped: previewOf(created).skipped }, 201);
    },
  );
}

function previewOf({ payouts, skipped, hasMore }: BatchPlan): z.infer<typeof previewSchema> {
  return {
    payouts: payouts.map(({ creator_id, amountMicros, hint }) => ({
      creator_id,
      amount_micros: String(amountMicros),
      destination: hint,
    })),
    skipped: skipped.map(({ creator_id, reason, availableMicros }) => ({
      creator_id,
      reason,
      available_micros: String(availableMicros),
    })),
    has_more: hasMore,
    amount_micros: String(payouts.reduce((sum, { amountMicros }) => sum + amountMicros, 0n)),
  };
}

function addReadingRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/payout-batches",
      tags,
      summary: "List the payout batches",
      request: { query: z.object(pageQuery) },
      responses: {
        200: jsonAnswer("A page", z.object({ payout_batches: z.array(batchSchema), next: z.string().nullable() })),
      },
    }),
    async (c) => c.json(await listBatches(ctx, pageOf(c.req.valid("query"))), 200),
  );

  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/payout-batches/{id}",
      tags,
      summary: "A payout batch with its payouts",
      request: { params: idParam },
      responses: { 200: jsonAnswer("The batch", batchWithPayoutsSchema) },
    }),
    async (c) => {
      const batch = unwrap(await readBatch(ctx, c.req.valid("param").id));
      return c.json({ ...batch, payouts: [...batch.payouts] }, 200);
    },
  );
}

function addSettlementRoute(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/payout-batches/{id}/settlements",
      tags,
      summary: "Say which payouts of a batch arrived, failed or came back",
      request: {
        params: idParam,
        body: jsonBody(
          z
            .strictObject({
              payouts: z
                .array(
                  z.strictObject({
                    payout_id: identifierSchema,
                    outcome: z.enum(["paid", "failed", "returned"]),
                    reason: reasonSchema.optional(),
                  }),
                )
                .min(1)
                .max(MAX_PAYOUTS),
            })
            .openapi("PayoutSettlements"),
        ),
      },
      responses: { 200: jsonAnswer("Settled", batchWithPayoutsSchema) },
    }),
    async (c) => {
      const { id } = c.req.valid("param");
      const { payouts } = c.req.valid("json");
      unwrap(await settleBatch(ctx, id, { answers: payouts, by: actorOf(c.get("principal")) }));
      const batch = unwrap(await readBatch(ctx, id));
      return c.json({ ...batch, payouts: [...batch.payouts] }, 200);
    },
  );
}

/** Stripe's own events are a few kilobytes. */
const MAX_EVENT_BYTES = 262_144;

function addStripeRoute(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(
      ctx,
      {
        method: "post",
        path: "/webhooks/stripe",
        tags,
        summary: "What Stripe says of transfers, signed by it",
        request: { body: { required: true, content: { "application/json": { schema: z.looseObject({}) } } } },
        responses: { 200: jsonAnswer("Taken", z.object({ received: z.boolean(), is_new: z.boolean() })) },
      },
      { body: "raw", maxBodyBytes: MAX_EVENT_BYTES },
    ),
    async (c) => {
      const event = { body: await c.req.text(), signature: c.req.header("stripe-signature") };
      const { isNew } = unwrap(await receiveStripeEvent(ctx, event));
      return c.json(unwrap(accept({ received: true, is_new: isNew })), 200);
    },
  );
}
