import { z } from "@hono/zod-openapi";
import { WEBHOOK_SECRET_BYTES, formatInstant, isOrigin, isWebhookSecret } from "@licet/protocol";
import type { Context } from "../context.ts";
import { type Api, defineRoute, jsonAnswer, jsonBody, unwrap } from "../http/api.ts";
import { cutPage, identifierSchema, instantSchema, pageOf, pageQuery } from "../http/parameters.ts";
import { actorOf } from "../http/principal.ts";
import { addEventRoutes } from "./event-routes.ts";
import { endUpstream, registerUpstream, requireUpstream, rotateUpstreamSecret } from "./register-upstream.ts";
import { type UpstreamRow, readUpstreams } from "./store.ts";
import { addWorkRoutes } from "./work-routes.ts";
import { countMapped } from "./work-store.ts";

const tags = ["upstreams"];
const idParam = z.object({ id: identifierSchema });
/** How long the secret before the new one is taken, unless it is said otherwise. */
const OVERLAP_SECONDS = 86_400;

const secretSchema = z
  .string()
  .refine(
    isWebhookSecret,
    `expected whsec_ and ${WEBHOOK_SECRET_BYTES.least} to ${WEBHOOK_SECRET_BYTES.most} bytes in base64`,
  )
  .openapi({ description: "the secret, when the upstream made it; left out, one is made here and shown once" });

const upstreamSchema = z
  .object({
    upstream_id: identifierSchema,
    name: z.string(),
    origin: z.string(),
    endpoint_id: identifierSchema,
    webhook_url: z.string(),
    key_signed: z.boolean(),
    state: z.enum(["active", "ended"]),
    ended_at: instantSchema.optional(),
    older_secret_until: instantSchema.optional(),
    created_at: instantSchema,
  })
  .openapi("Upstream");

const upstreamInputSchema = z
  .strictObject({
    name: z.string().trim().min(1).max(200),
    origin: z.string().refine(isOrigin, "expected scheme, host and port such as https://licet.example.org"),
    endpoint_id: identifierSchema.optional().openapi({
      description: "what its messages name as endpoint_id, when the upstream chose it; left out, it is made here",
      example: "whe_01KB4D7PCSSZ3Z6X9PMSX3QYJH",
    }),
    secret: secretSchema.optional(),
    key_signed: z.boolean().default(false).openapi({
      description: "its messages must also carry v1a by a webhook key of its key set, /.well-known/keys.json",
    }),
  })
  .openapi("UpstreamInput");

/** Platforms whose works we carry: who they are, what we carry for them, and what they take back. */
export function addUpstreamRoutes(api: Api, ctx: Context): void {
  addRegistrationRoute(api, ctx);
  addReadingRoutes(api, ctx);
  addRotationRoute(api, ctx);
  addEndRoute(api, ctx);
  addWorkRoutes(api, ctx);
  addEventRoutes(api, ctx);
}

function addRegistrationRoute(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/upstreams",
      tags,
      summary: "Register a platform whose works we carry",
      request: { body: jsonBody(upstreamInputSchema) },
      responses: {
        201: jsonAnswer(
          "The upstream; a secret that was made here is shown once",
          upstreamSchema.extend({ secret: z.string().optional() }),
        ),
      },
    }),
    async (c) => {
      const { name, origin, endpoint_id, secret: given, key_signed } = c.req.valid("json");
      const input = { name, origin, endpointId: endpoint_id, secret: given, keySigned: key_signed };
      const { upstream, secret } = unwrap(await registerUpstream(ctx, input));
      const answer = { ...viewOf(ctx, upstream), ...(secret === undefined ? {} : { secret }) };
      return c.json(answer, 201, { "cache-control": "no-store" });
    },
  );
}

function addReadingRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/upstreams",
      tags,
      summary: "List the upstreams",
      request: { query: z.object(pageQuery) },
      responses: {
        200: jsonAnswer("A page", z.object({ upstreams: z.array(upstreamSchema), next: z.string().nullable() })),
      },
    }),
    async (c) => {
      const page = pageOf(c.req.valid("query"));
      const { rows, next } = cutPage(await readUpstreams(ctx.db, page), page.limit, (row) => row.upstream_id);
      return c.json({ upstreams: rows.map((row) => viewOf(ctx, row)), next }, 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/upstreams/{id}",
      tags,
      summary: "One upstream, and how much is mapped to it",
      request: { params: idParam },
      responses: { 200: jsonAnswer("The upstream", upstreamSchema.extend({ mapped_count: z.int() })) },
    }),
    async (c) => {
      const upstream = unwrap(await requireUpstream(ctx, c.req.valid("param").id));
      const mapped_count = await countMapped(ctx.db, upstream.upstream_id);
      return c.json({ ...viewOf(ctx, upstream), mapped_count }, 200);
    },
  );
}

function addRotationRoute(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/upstreams/{id}/secret-rotations",
      tags,
      summary: "Replace an upstream's secret; for a day the one before is taken too",
      request: {
        params: idParam,
        body: jsonBody(
          z.strictObject({
            secret: secretSchema.optional(),
            overlap_seconds: z.int().min(0).max(OVERLAP_SECONDS).default(OVERLAP_SECONDS).openapi({
              description: "how long the secret before is taken too; 0 ends it at once, as after a leak",
            }),
          }),
        ),
      },
      responses: {
        201: jsonAnswer(
          "A new secret that was made here is shown once",
          z
            .object({ upstream_id: identifierSchema, secret: z.string().optional(), overlap_until: instantSchema })
            .openapi("RotatedUpstreamSecret"),
        ),
      },
    }),
    async (c) => {
      const { id } = c.req.valid("param");
      const { secret: given, overlap_seconds: overlapSeconds } = c.req.valid("json");
      const rotation = { overlapSeconds, secret: given };
      const { secret, oldSecretUntil } = unwrap(await rotateUpstreamSecret(ctx, id, rotation));
      const shown = secret === undefined ? {} : { secret };
      const answer = { upstream_id: id, ...shown, overlap_until: formatInstant(oldSecretUntil) };
      return c.json(answer, 201, { "cache-control": "no-store" });
    },
  );
}

function addEndRoute(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/upstreams/{id}/end",
      tags,
      summary: "Take nothing more from an upstream",
      request: {
        params: idParam,
        body: {
          required: false,
          content: {
            "application/json": {
              schema: z.strictObject({
                resume: z.boolean().default(false).openapi({
                  description: "lift what it holds suspended, 10 000 things at a time; otherwise that stays",
                }),
              }),
            },
          },
        },
      },
      responses: {
        200: jsonAnswer(
          "It has ended; resumed_complete is false while there is more to lift: ask again",
          upstreamSchema.extend({ resumed_count: z.int().optional(), resumed_complete: z.boolean().optional() }),
        ),
      },
    }),
    async (c) => {
      const request = { letsGo: c.req.valid("json").resume ?? false, by: actorOf(c.get("principal")) };
      const { upstream, resumed } = unwrap(await endUpstream(ctx, c.req.valid("param").id, request));
      if (resumed === undefined) return c.json(viewOf(ctx, upstream), 200);
      const resumed_count = resumed.jtis.length + resumed.contentIds.length;
      return c.json({ ...viewOf(ctx, upstream), resumed_count, resumed_complete: resumed.isComplete }, 200);
    },
  );
}

function viewOf(ctx: Context, row: UpstreamRow): z.infer<typeof upstreamSchema> {
  const { upstream_id, name, origin, endpoint_id, key_signed, ended_at, old_secret_until } = row;
  const isOverlapping = old_secret_until !== null && old_secret_until * 1_000 > ctx.clock.nowMs();
  return {
    upstream_id,
    name,
    origin,
    endpoint_id,
    webhook_url: `${ctx.origin}/webhooks/consent-updated`,
    key_signed,
    state: ended_at === null ? "active" : "ended",
    ...(ended_at === null ? {} : { ended_at: formatInstant(ended_at) }),
    ...(isOverlapping ? { older_secret_until: formatInstant(old_secret_until) } : {}),
    created_at: formatInstant(row.created_at),
  };
}
