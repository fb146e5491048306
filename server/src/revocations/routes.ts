import { z } from "@hono/zod-openapi";
import type { Context } from "../context.ts";
import { type Api, defineRoute, jsonAnswer, jsonBody, unwrap } from "../http/api.ts";
import { creatorIdSchema, identifierSchema, instantSchema, jtiSchema, reasonSchema } from "../http/parameters.ts";
import { cannotBeUndoneSchema, stopsNowSchema } from "./describe-effect.ts";
import { DEFAULT_REASON, type Revocation, type RevocationTarget, revokeConsent, revokeForCreator } from "./revoke.ts";

const tags = ["revocations"];
const datasetsSchema = z.array(z.object({ dataset_id: identifierSchema, status: z.string() }));

const revokedConsentSchema = z
  .object({
    revoked: z.literal(true),
    revoked_at: instantSchema,
    jti: z.string(),
    datasets: datasetsSchema,
    still_covered_by: z.array(z.string()),
    revocation_id: z.string().optional(),
    timeline_url: z.string().optional(),
    stops_now: stopsNowSchema,
    cannot_be_undone: cannotBeUndoneSchema,
  })
  .openapi("RevokedConsent");

const revocationSchema = z
  .object({
    revoked: z.literal(true),
    revoked_at: instantSchema,
    revoked_jtis: z.array(z.string()),
    withdrawn_content_ids: z.array(z.string()),
    datasets: datasetsSchema,
    still_covered_by: z.array(z.string()),
    timelines: z
      .array(z.object({ revocation_id: z.string(), of: z.string(), timeline_url: z.string() }))
      .openapi({ description: "how far each has come; the first 100" }),
    stops_now: stopsNowSchema,
    cannot_be_undone: cannotBeUndoneSchema,
  })
  .openapi("Revocation");

const targetSchema = z
  .strictObject({
    content_id: identifierSchema.optional(),
    dataset_id: identifierSchema.optional(),
    all: z.literal(true).optional(),
    reason: reasonSchema.default(DEFAULT_REASON),
  })
  .refine(
    (input) => [input.content_id, input.dataset_id, input.all].filter((member) => member !== undefined).length === 1,
    { message: "expected exactly one of content_id, dataset_id and all" },
  )
  .openapi("RevocationInput");

const answer = {
  200: jsonAnswer("Taken back: every document says so already", revokedConsentSchema),
};

/** Taking back: one consent, or what a creator's button says. */
export function addRevocationRoutes(api: Api, ctx: Context): void {
  addConsentRoutes(api, ctx);
  addCreatorRoute(api, ctx);
}

function addConsentRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/consents/{jti}/revoke",
      tags,
      summary: "Take a consent back",
      request: {
        params: z.object({ jti: jtiSchema }),
        body: {
          required: false,
          content: { "application/json": { schema: z.strictObject({ reason: reasonSchema.default(DEFAULT_REASON) }) } },
        },
      },
      responses: answer,
    }),
    async (c) => {
      const { jti } = c.req.valid("param");
      const body = c.req.valid("json");
      return c.json(
        revokedConsentView(
          jti,
          unwrap(
            await revokeConsent(ctx, jti, { principal: c.get("principal"), reason: body.reason ?? DEFAULT_REASON }),
          ),
        ),
        200,
      );
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/datasets/{id}/consent/revoke",
      tags,
      summary: "Take a consent back (the brief's path)",
      request: {
        params: z.object({ id: identifierSchema }),
        body: jsonBody(
          z
            .strictObject({ consent_jwt_id: jtiSchema, reason: reasonSchema.default(DEFAULT_REASON) })
            .openapi("ConsentRevocationInput"),
        ),
      },
      responses: answer,
    }),
    async (c) => {
      const { consent_jwt_id, reason } = c.req.valid("json");
      const revoked = await revokeConsent(ctx, consent_jwt_id, {
        principal: c.get("principal"),
        reason,
        datasetId: c.req.valid("param").id,
      });
      return c.json(revokedConsentView(consent_jwt_id, unwrap(revoked)), 200);
    },
  );
}

function addCreatorRoute(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/creators/{id}/revocations",
      tags,
      summary: "A creator's button: take back one work, one dataset, or everything",
      request: {
        params: z.object({ id: creatorIdSchema }),
        body: jsonBody(targetSchema),
      },
      responses: { 200: jsonAnswer("Taken back", revocationSchema) },
    }),
    async (c) => {
      const input = c.req.valid("json");
      const request = {
        creatorId: c.req.valid("param").id,
        target: targetOf(input),
        principal: c.get("principal"),
        reason: input.reason,
      };
      return c.json(revocationView(unwrap(await revokeForCreator(ctx, request))), 200);
    },
  );
}

function targetOf(input: z.infer<typeof targetSchema>): RevocationTarget {
  if (input.content_id !== undefined) return { content_id: input.content_id };
  return input.dataset_id === undefined ? { all: true } : { dataset_id: input.dataset_id };
}

function revokedConsentView(
  jti: string,
  { revoked_at, datasets, still_covered_by, timelines, stops_now, cannot_be_undone }: Revocation,
): z.infer<typeof revokedConsentSchema> {
  const [timeline] = timelines;
  return {
    revoked: true,
    revoked_at,
    jti,
    datasets: [...datasets],
    still_covered_by: [...still_covered_by],
    ...(timeline === undefined ? {} : { revocation_id: timeline.revocation_id, timeline_url: timeline.timeline_url }),
    stops_now,
    cannot_be_undone,
  };
}

function revocationView(revocation: Revocation): z.infer<typeof revocationSchema> {
  const { revoked_at, revoked_jtis, withdrawn_content_ids, datasets, still_covered_by } = revocation;
  const { timelines, stops_now, cannot_be_undone } = revocation;
  return {
    revoked: true,
    revoked_at,
    revoked_jtis: [...revoked_jtis],
    withdrawn_content_ids: [...withdrawn_content_ids],
    datasets: [...datasets],
    still_covered_by: [...still_covered_by],
    timelines: [...timelines],
    stops_now,
    cannot_be_undone,
  };
}
