import { z } from "@hono/zod-openapi";
import type { Context } from "../context.ts";
import { type Api, type ApiContext, RefusedRequest, defineRoute, jsonAnswer, unwrap } from "../http/api.ts";
import { identifierSchema, instantSchema, pageOf, pageQuery } from "../http/parameters.ts";
import { BREAKS_OFF, webStreamOf } from "../http/web-stream.ts";
import { refuse } from "@licet/protocol";
import { acknowledge } from "./acknowledge.ts";
import { readTimeline } from "./read-timeline.ts";
import { streamTimeline } from "./stream-timeline.ts";
import type { TimelineStreams } from "./timeline-streams.ts";

const tags = ["revocations"];
const EVENT_STREAM = "text/event-stream";
const idParam = z.object({
  id: identifierSchema.openapi({
    description: "a revocation_id, the jti of a consent that was taken back, or the event_id of a webhook",
    example: "evt_01KGC4T0F8Q4C2M9S7W5V3X1ZA",
  }),
});
const legSchema = z.enum(["committed", "purge", "edge", "webhook", "acknowledgement"]);
const millisecondsSchema = z.int().openapi({ description: "milliseconds since the refusal", example: 41 });

const timelineSchema = z
  .object({
    revocation_id: z.string(),
    type: z.string().openapi({ example: "consent.revoked" }),
    aggregate: z.string().openapi({ description: "what it is about: a jti, a work, a dataset, a license" }),
    at: instantSchema,
    at_ms: z.int(),
    done: z.boolean().openapi({ description: "nothing waits any more" }),
    timeline_url: z.string(),
    legs: z.array(
      z.object({
        leg: legSchema,
        targets: z.int(),
        done: z.int(),
        waiting: z.int(),
        failed: z.int(),
        first_ms: millisecondsSchema.optional(),
        last_ms: millisecondsSchema.optional(),
      }),
    ),
    entries: z.array(
      z.object({
        leg: legSchema,
        target: z.string(),
        marketplace_id: z.string().optional(),
        dataset_id: z.string().optional(),
        state: z.enum(["waiting", "done", "failed"]),
        at_ms: z.int().optional(),
        took_ms: millisecondsSchema.optional(),
        attempts: z.int(),
        last_error: z.string().optional(),
      }),
    ),
    next: z.string().nullable(),
  })
  .openapi("RevocationTimeline");

const acknowledgementSchema = z
  .object({
    revocation_id: z.string(),
    marketplace_id: z.string(),
    dataset_ids: z.array(z.string()),
    acknowledged_at: instantSchema,
    took_ms: millisecondsSchema,
  })
  .openapi("RevocationAcknowledgement");

/** How far a refusal has come, and a marketplace's word that it has stopped. */
export function addPropagationRoutes(api: Api, ctx: Context, streams: TimelineStreams): void {
  addTimelineRoute(api, ctx, streams);
  addAcknowledgementRoute(api, ctx);
}

function addTimelineRoute(api: Api, ctx: Context, streams: TimelineStreams): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/revocations/{id}",
      tags,
      summary: "How far a revocation, suspension or expiry has come, and when each leg was done",
      description: `With \`Accept: ${EVENT_STREAM}\` the legs come as they happen; \`Last-Event-ID\` goes on after one.`,
      request: { params: idParam, query: z.object(pageQuery) },
      responses: {
        200: {
          description: "The timeline",
          content: {
            "application/json": { schema: timelineSchema },
            [EVENT_STREAM]: { schema: z.string().openapi({ description: "events revocation, leg, end" }) },
          },
        },
        204: { description: "A stream that has nothing more to say after Last-Event-ID" },
      },
    }),
    async (c) => {
      const { id } = c.req.valid("param");
      if (acceptsStream(c)) return sendStream(c, ctx, streams, id);
      const asked = { principal: c.get("principal"), page: pageOf(c.req.valid("query")) };
      const timeline = unwrap(await readTimeline(ctx, id, asked));
      c.header("vary", "Accept");
      return c.json({ ...timeline, legs: [...timeline.legs], entries: [...timeline.entries] }, 200);
    },
  );
}

function acceptsStream(c: ApiContext): boolean {
  return /(^|,)\s*text\/event-stream\s*(;|,|$)/i.test(c.req.header("accept") ?? "");
}

async function sendStream(c: ApiContext, ctx: Context, streams: TimelineStreams, id: string): Promise<Response> {
  const events = unwrap(
    await streamTimeline(ctx, streams, id, {
      principal: c.get("principal"),
      lastEventId: c.req.header("last-event-id"),
      signal: c.req.raw.signal,
    }),
  );
  if (events === undefined) return new Response(null, { status: 204, headers: { vary: "Accept" } });
  return new Response(webStreamOf(events), {
    status: 200,
    headers: {
      "content-type": `${EVENT_STREAM}; charset=utf-8`,
      "cache-control": "no-store",
      // nginx would hold events back until its buffer is full.
      "x-accel-buffering": "no",
      vary: "Accept",
      ...BREAKS_OFF,
    },
  });
}

function addAcknowledgementRoute(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/revocations/{id}/acknowledgements",
      tags,
      summary: "A marketplace says that it uses no more what was refused",
      request: { params: idParam },
      responses: { 200: jsonAnswer("Acknowledged; the first one counts", acknowledgementSchema) },
    }),
    async (c) => {
      const principal = c.get("principal");
      if (principal.kind !== "marketplace")
        throw new RefusedRequest(refuse("forbidden", "this is for marketplaces").refusal);
      const done = unwrap(await acknowledge(ctx, c.req.valid("param").id, principal));
      return c.json({ ...done, dataset_ids: [...done.dataset_ids] }, 200);
    },
  );
}
