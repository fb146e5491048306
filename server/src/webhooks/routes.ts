import { z } from "@hono/zod-openapi";
import { formatInstant } from "@licet/protocol";
import type { Context } from "../context.ts";
import { type Api, defineRoute, jsonAnswer } from "../http/api.ts";
import { cutPage, identifierSchema, instantSchema, pageOf, pageQuery } from "../http/parameters.ts";
import { type AttemptRow, type DeliveryKey, type DeliveryRow, readAttempts, readDeliveries } from "./store.ts";

const stateSchema = z.enum(["waiting", "delivered", "failed"]);

const deliverySchema = z
  .object({
    event_id: z.string(),
    endpoint_id: z.string(),
    dataset_id: identifierSchema,
    change: z.string(),
    sequence: z.int(),
    state: stateSchema,
    attempts: z.array(
      z.object({ at: instantSchema, duration_ms: z.int(), status: z.int().optional(), error: z.string().optional() }),
    ),
    next_attempt_at: instantSchema.optional(),
  })
  .openapi("WebhookDelivery");

/** The delivery log. */
export function addWebhookRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/webhook-deliveries",
      tags: ["webhooks"],
      summary: "What was sent to whom, what they answered, and what waits; a marketplace sees its own",
      request: {
        query: z.object({
          dataset_id: identifierSchema.optional(),
          endpoint_id: identifierSchema.optional(),
          state: stateSchema.optional(),
          ...pageQuery,
        }),
      },
      responses: {
        200: jsonAnswer("A page", z.object({ deliveries: z.array(deliverySchema), next: z.string().nullable() })),
      },
    }),
    async (c) => {
      const query = c.req.valid("query");
      const page = pageOf(query);
      const principal = c.get("principal");
      const marketplaceId = principal.kind === "marketplace" ? principal.marketplaceId : undefined;
      const found = await readDeliveries(ctx.db, {
        ...page,
        marketplaceId,
        datasetId: query.dataset_id,
        endpointId: query.endpoint_id,
        state: query.state,
      });
      const { rows, next } = cutPage(found, page.limit, (row) => row.message_id);
      const attempts = Map.groupBy(await readAttempts(ctx.db, rows), nameOf);
      return c.json({ deliveries: rows.map((row) => deliveryView(row, attempts.get(nameOf(row)) ?? [])), next }, 200);
    },
  );
}

function deliveryView(row: DeliveryRow, attempts: readonly AttemptRow[]): z.infer<typeof deliverySchema> {
  return {
    event_id: row.message_id,
    endpoint_id: row.endpoint_id,
    dataset_id: row.dataset_id,
    change: row.change,
    sequence: row.sequence,
    state: row.state,
    attempts: attempts.map(({ at_ms, duration_ms, status, error }) => ({
      at: instantOf(at_ms),
      duration_ms,
      ...(status === null ? {} : { status }),
      ...(error === null ? {} : { error }),
    })),
    ...(row.next_attempt_at_ms === null ? {} : { next_attempt_at: instantOf(row.next_attempt_at_ms) }),
  };
}

function nameOf({ endpoint_id, dataset_id, sequence }: DeliveryKey): string {
  return `${endpoint_id} ${dataset_id} ${sequence}`;
}

function instantOf(ms: number): string {
  return formatInstant(Math.floor(ms / 1_000));
}
