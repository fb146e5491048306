import { z } from "@hono/zod-openapi";
import { CHANGES, MAX_WEBHOOK_BYTES, NOTICES, formatInstant } from "@licet/protocol";
import type { Context } from "../context.ts";
import { type Api, defineRoute, jsonAnswer, noteDataset, unwrap } from "../http/api.ts";
import { countOf, cutPage, identifierSchema, instantSchema, pageOf, pageQuery } from "../http/parameters.ts";
import { acceptUpstreamEvent } from "./accept-event.ts";
import { type UpstreamEventRow, readEvents } from "./event-store.ts";
import { requireUpstream } from "./register-upstream.ts";
import type { EventAnswer } from "./save-event.ts";
import { verifyUpstreamEvent } from "./verify-event.ts";

const tags = ["upstreams"];

const answerSchema = z
  .object({
    event_id: identifierSchema,
    effect: z.enum(["applied", "not_mapped", "outdated", "noted"]),
    revoked_jtis: z.array(z.string()),
    withdrawn_content_ids: z.array(z.string()),
    suspended_ids: z.array(z.string()),
    resumed_ids: z.array(z.string()),
    changed_count: z.int().openapi({ description: "of all; at most 1 000 of each kind are named" }),
    datasets: z.array(z.object({ dataset_id: identifierSchema, status: z.string() })),
  })
  .openapi("UpstreamEventAnswer");

const takenSchema = answerSchema
  .extend({
    dataset_id: identifierSchema.openapi({ description: "as the upstream names it, like content_id and jti" }),
    content_id: identifierSchema.optional(),
    jti: z.string().optional(),
    change: z.string(),
    sequence: z.int().optional(),
    received_at: instantSchema,
  })
  .openapi("UpstreamEvent");

/** A schema that describes and does not parse: nothing reads the body before its signature is checked. */
const messageSchema = {
  type: "object" as const,
  required: ["dataset_id", "change", "endpoint_id"],
  properties: {
    dataset_id: { type: "string" as const },
    change: { type: "string" as const, enum: [...CHANGES, ...NOTICES] },
    endpoint_id: { type: "string" as const },
    event_id: { type: "string" as const },
    jti: { type: "string" as const },
    content_id: { type: "string" as const },
    sequence: { type: "integer" as const },
    sent_at: { type: "string" as const, format: "date-time" },
  },
};

/** Where upstreams tell us, and what they told. */
export function addEventRoutes(api: Api, ctx: Context): void {
  addWebhookRoute(api, ctx);
  addReadingRoute(api, ctx);
}

/** The signature is over the bytes as they came, so nothing but {@link verifyUpstreamEvent} reads them. */
function addWebhookRoute(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(
      ctx,
      {
        method: "post",
        path: "/webhooks/consent-updated",
        tags,
        summary: "An upstream's webhook: what it takes back falls here",
        description: "Authenticated by the signature of its body alone (Standard Webhooks v1, v1a where registered).",
        request: {
          body: { required: true, content: { "application/json": { schema: messageSchema } } },
        },
        responses: { 200: jsonAnswer("Taken, now or before: every document says so already", answerSchema) },
      },
      { maxBodyBytes: MAX_WEBHOOK_BYTES, body: "raw" },
    ),
    async (c) => {
      const body = new TextDecoder("utf-8", { ignoreBOM: true }).decode(await c.req.arrayBuffer());
      const verified = unwrap(await verifyUpstreamEvent(ctx, (name) => c.req.header(name), body));
      c.set("principal", { kind: "upstream", upstreamId: verified.upstream.upstream_id });
      const answer = unwrap(await acceptUpstreamEvent(ctx, verified));
      const [only, ...others] = answer.datasets;
      if (others.length === 0) noteDataset(c, only?.dataset_id, undefined);
      return c.json(viewOf(answer), 200);
    },
  );
}

function addReadingRoute(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/upstreams/{id}/events",
      tags,
      summary: "List what an upstream sent, and what came of it",
      request: { params: z.object({ id: identifierSchema }), query: z.object(pageQuery) },
      responses: {
        200: jsonAnswer("A page", z.object({ events: z.array(takenSchema), next: z.string().nullable() })),
      },
    }),
    async (c) => {
      const { upstream_id } = unwrap(await requireUpstream(ctx, c.req.valid("param").id));
      const { after, limit } = pageOf(c.req.valid("query"));
      const found = await readEvents(ctx.db, upstream_id, { after: unwrap(countOf(after)), limit });
      const { rows, next } = cutPage(found, limit, (row) => String(row.serial));
      return c.json({ events: rows.map(takenOf), next }, 200);
    },
  );
}

function viewOf(answer: EventAnswer): z.infer<typeof answerSchema> {
  return {
    ...answer,
    revoked_jtis: [...answer.revoked_jtis],
    withdrawn_content_ids: [...answer.withdrawn_content_ids],
    suspended_ids: [...answer.suspended_ids],
    resumed_ids: [...answer.resumed_ids],
    datasets: [...answer.datasets],
  };
}

function takenOf(row: UpstreamEventRow): z.infer<typeof takenSchema> {
  const { dataset_id, content_id, jti, change, sequence, received_at } = row;
  const answer: EventAnswer = JSON.parse(row.answer);
  return {
    ...viewOf(answer),
    dataset_id,
    ...(content_id === null ? {} : { content_id }),
    ...(jti === null ? {} : { jti }),
    change,
    ...(sequence === null ? {} : { sequence }),
    received_at: formatInstant(received_at),
  };
}
