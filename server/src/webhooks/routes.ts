import { z } from "@hono/zod-openapi";
import { formatInstant, parseInstant } from "@licet/protocol";
import type { Context } from "../context.ts";
import { type Api, defineRoute, jsonAnswer, jsonBody, unwrap } from "../http/api.ts";
import { cutPage, identifierSchema, instantSchema, pageOf, pageQuery } from "../http/parameters.ts";
import type { Principal } from "../http/principal.ts";
import { findOwnDelivery, replayDelivery, replayRange, sendTest } from "./replay-deliveries.ts";
import {
  type AttemptRow,
  DELIVERY_STATES,
  type DeliveryKey,
  type ReadDelivery,
  readAttempts,
  readDeliveries,
} from "./store.ts";

const tags = ["webhooks"];
const idParam = z.object({ id: identifierSchema });
const stateSchema = z.enum(DELIVERY_STATES).openapi({
  description: "held: its endpoint is disabled; cancelled: its endpoint was deleted; failed: given up until replayed",
});
/** An instant as the milliseconds it is, for comparing. */
const boundSchema = z
  .string()
  .refine((text) => parseInstant(text) !== undefined, "expected an instant such as 2026-01-18T12:05:00Z")
  .transform((text) => (parseInstant(text) ?? 0) * 1_000)
  .openapi({ type: "string", format: "date-time", example: "2026-01-18T12:05:00Z" });

const deliverySchema = z
  .object({
    event_id: z.string(),
    endpoint_id: z.string(),
    dataset_id: identifierSchema,
    change: z.string(),
    sequence: z.int(),
    state: stateSchema,
    created_at: instantSchema,
    attempts: z.array(
      z.object({ at: instantSchema, duration_ms: z.int(), status: z.int().optional(), error: z.string().optional() }),
    ),
    next_attempt_at: instantSchema.optional(),
  })
  .openapi("WebhookDelivery");

/** The delivery log, test messages and replays. */
export function addWebhookRoutes(api: Api, ctx: Context): void {
  addLogRoute(api, ctx);
  addDeliveryRoutes(api, ctx);
  addEndpointRoutes(api, ctx);
}

function addLogRoute(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/webhook-deliveries",
      tags,
      summary: "What was sent to whom, what they answered, and what waits; a marketplace sees its own",
      request: {
        query: z.object({
          dataset_id: identifierSchema.optional(),
          endpoint_id: identifierSchema.optional(),
          state: stateSchema.optional(),
          since: boundSchema.optional(),
          until: boundSchema.optional(),
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
      const filter = {
        marketplaceId: ownerOf(c.get("principal")),
        datasetId: query.dataset_id,
        endpointId: query.endpoint_id,
        states: query.state === undefined ? undefined : [query.state],
        sinceMs: query.since,
        untilMs: query.until,
      };
      const found = await readDeliveries(ctx.db, filter, { after: page.after, limit: page.limit + 1 });
      const { rows, next } = cutPage(found, page.limit, (row) => row.message_id);
      const attempts = Map.groupBy(await readAttempts(ctx.db, rows), nameOf);
      return c.json({ deliveries: rows.map((row) => deliveryView(row, attempts.get(nameOf(row)) ?? [])), next }, 200);
    },
  );
}

function addDeliveryRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/webhook-deliveries/{id}",
      tags,
      summary: "One delivery by its event_id, with its attempts and the body as it is sent",
      request: { params: idParam },
      responses: {
        200: jsonAnswer(
          "The delivery; payload is exactly what is sent and signed",
          deliverySchema.extend({ payload: z.string() }).openapi("WebhookDeliveryWithPayload"),
        ),
      },
    }),
    async (c) => {
      const row = unwrap(await findOwnDelivery(ctx, c.req.valid("param").id, ownerOf(c.get("principal"))));
      return c.json({ ...deliveryView(row, await readAttempts(ctx.db, [row])), payload: row.body }, 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/webhook-deliveries/{id}/replays",
      tags,
      summary: "Send one delivery again, under the same event_id and sequence",
      request: { params: idParam },
      responses: { 202: jsonAnswer("It waits for its next attempt", deliverySchema) },
    }),
    async (c) => {
      const row = unwrap(await replayDelivery(ctx, c.req.valid("param").id, ownerOf(c.get("principal"))));
      return c.json(deliveryView(row, await readAttempts(ctx.db, [row])), 202);
    },
  );
}

function addEndpointRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/webhook-endpoints/{id}/test",
      tags,
      summary: "Send a test message",
      request: { params: idParam },
      responses: {
        202: jsonAnswer("On its way; the delivery log tells what came of it", z.object({ event_id: z.string() })),
      },
    }),
    async (c) => {
      const name = { endpointId: c.req.valid("param").id, marketplaceId: ownerOf(c.get("principal")) };
      return c.json({ event_id: unwrap(await sendTest(ctx, name)) }, 202);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/webhook-endpoints/{id}/replays",
      tags,
      summary: "Send deliveries again: by default all that failed, or those of a time, under the same ids",
      request: {
        params: idParam,
        body: jsonBody(
          z.strictObject({
            dataset_id: identifierSchema.optional(),
            since: boundSchema.optional(),
            until: boundSchema.optional(),
            states: z
              .array(z.enum(["failed", "delivered", "waiting"]))
              .min(1)
              .default(["failed"]),
          }),
        ),
      },
      responses: {
        202: jsonAnswer(
          "How many wait for their next attempt; next_since is there when more are left",
          z.object({ replayed: z.int(), next_since: instantSchema.optional() }),
        ),
      },
    }),
    async (c) => {
      const { dataset_id, since, until, states } = c.req.valid("json");
      const name = { endpointId: c.req.valid("param").id, marketplaceId: ownerOf(c.get("principal")) };
      const range = { datasetId: dataset_id, sinceMs: since, untilMs: until, states };
      const { count, nextSinceMs } = unwrap(await replayRange(ctx, name, range));
      const next = nextSinceMs === undefined ? {} : { next_since: instantOf(nextSinceMs) };
      return c.json({ replayed: count, ...next }, 202);
    },
  );
}

function ownerOf(principal: Principal): string | undefined {
  return principal.kind === "marketplace" ? principal.marketplaceId : undefined;
}

function deliveryView(row: ReadDelivery, attempts: readonly AttemptRow[]): z.infer<typeof deliverySchema> {
  return {
    event_id: row.message_id,
    endpoint_id: row.endpoint_id,
    dataset_id: row.dataset_id,
    change: row.change,
    sequence: row.sequence,
    state: row.standing,
    created_at: instantOf(row.created_at_ms),
    attempts: attempts.map(({ at_ms, duration_ms, status, error }) => ({
      at: instantOf(at_ms),
      duration_ms,
      ...(status === null ? {} : { status }),
      ...(error === null ? {} : { error }),
    })),
    ...(row.next_attempt_at_ms === null || row.standing !== "waiting"
      ? {}
      : { next_attempt_at: instantOf(row.next_attempt_at_ms) }),
  };
}

function nameOf({ endpoint_id, dataset_id, sequence }: DeliveryKey): string {
  return `${endpoint_id} ${dataset_id} ${sequence}`;
}

function instantOf(ms: number): string {
  return formatInstant(Math.floor(ms / 1_000));
}
