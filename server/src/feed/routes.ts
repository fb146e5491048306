import { z } from "@hono/zod-openapi";
import type { Context } from "../context.ts";
import { type Api, defineRoute, jsonAnswer, unwrap } from "../http/api.ts";
import { instantSchema, pageOf, pageQuery } from "../http/parameters.ts";
import { LATEST, readEvents } from "./read-events.ts";
import type { WaitingReaders } from "./waiting-readers.ts";

/** A request waits no longer; proxies and clients give up after 30 seconds and more. */
const MAX_WAIT_SECONDS = 25;

const positionSchema = z.string().openapi({ example: "1042" });
const anyObjectSchema = z.record(z.string(), z.unknown());

const eventSchema = z
  .object({
    position: positionSchema,
    event_id: z.string(),
    type: z.string().openapi({ example: "consent.revoked" }),
    at: instantSchema,
    aggregate: z.string().openapi({ description: "what it happened to" }),
    body: anyObjectSchema
      .optional()
      .openapi({ description: "absent once it was erased, and where it is not for the caller" }),
  })
  .openapi("Event");

const webhookEntrySchema = z
  .object({
    position: positionSchema,
    at: instantSchema,
    webhook: anyObjectSchema.openapi({ description: "the body of the webhook that told of it, or would have" }),
  })
  .openapi("EventAsWebhook");

/** The feed of everything that happened, as far as the caller may see it. */
export function addFeedRoutes(api: Api, ctx: Context, readers: WaitingReaders): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/events",
      tags: ["events"],
      summary: "What happened, in an order that never changes; each caller sees what is theirs",
      request: {
        query: z.object({
          ...pageQuery,
          after: pageQuery.after.openapi({
            description: `a position, next or up_to that a page named; ${LATEST} for what happens from now on`,
          }),
          wait: z
            .string()
            .regex(/^\d{1,2}$/)
            .transform(Number)
            .pipe(z.int().min(0).max(MAX_WAIT_SECONDS))
            .optional()
            .openapi({ description: `seconds to wait for something when there is nothing, 0 to ${MAX_WAIT_SECONDS}` }),
        }),
      },
      responses: {
        200: jsonAnswer(
          "A page, oldest first; go on after up_to",
          z.object({
            events: z.array(z.union([eventSchema, webhookEntrySchema])),
            next: z.string().nullable(),
            up_to: positionSchema,
          }),
        ),
      },
    }),
    async (c) => {
      const { wait = 0, ...query } = c.req.valid("query");
      const asked = { ...pageOf(query), waitSeconds: wait, signal: c.req.raw.signal };
      const page = unwrap(await readEvents(ctx, readers, { principal: c.get("principal"), query: asked }));
      return c.json({ ...page, events: [...page.events] }, 200);
    },
  );
}
