import { z } from "@hono/zod-openapi";
import type { Context } from "../context.ts";
import { type Api, defineRoute, jsonAnswer, unwrap } from "../http/api.ts";
import { identifierSchema, instantSchema, jtiSchema, reasonSchema } from "../http/parameters.ts";
import { type SuspensionRequest, type SuspensionState, resume, suspend } from "./suspend.ts";

const tags = ["suspensions"];
const SUSPENSION_REASON = "dispute";
const RESUMPTION_REASON = "settled";

const suspensionSchema = z
  .object({
    suspended: z.boolean(),
    held_by: z.array(
      z.object({
        holder: z
          .string()
          .openapi({ description: "platform, creator, or upstream: and which one, for what", example: "platform" }),
        reason: z.string(),
        suspended_at: instantSchema,
      }),
    ),
    datasets: z.array(z.object({ dataset_id: identifierSchema, status: z.string() })),
  })
  .openapi("Suspension");

const THINGS = [
  { kind: "consent", path: "/api/v1/consents/{jti}", params: z.object({ jti: jtiSchema }), noun: "a consent" },
  { kind: "content", path: "/api/v1/content/{id}", params: z.object({ id: identifierSchema }), noun: "a work" },
  { kind: "dataset", path: "/api/v1/datasets/{id}", params: z.object({ id: identifierSchema }), noun: "a dataset" },
] as const;

const VERBS = [
  {
    verb: "suspend",
    operation: suspend,
    reason: SUSPENSION_REASON,
    summary: (noun: string) => `Suspend ${noun}: it blocks like a revocation and can be lifted`,
    answer: "Suspended: every document says so already",
  },
  {
    verb: "resume",
    operation: resume,
    reason: RESUMPTION_REASON,
    summary: (noun: string) => `Lift the suspension of ${noun}`,
    answer: "No longer suspended by the caller's side; it stands again unless somebody else holds it",
  },
] as const;

/** Suspending a consent, a work, a dataset; and lifting that. */
export function addSuspensionRoutes(api: Api, ctx: Context): void {
  for (const { kind, path, params, noun } of THINGS) {
    for (const { verb, operation, reason, summary, answer } of VERBS) {
      api.openapi(
        defineRoute(ctx, {
          method: "post",
          path: `${path}/${verb}`,
          tags,
          summary: summary(noun),
          request: {
            params,
            body: {
              required: false,
              content: { "application/json": { schema: z.strictObject({ reason: reasonSchema.default(reason) }) } },
            },
          },
          responses: { 200: jsonAnswer(answer, suspensionSchema) },
        }),
        async (c) => {
          const named: { readonly jti?: string; readonly id?: string } = c.req.valid("param");
          const request: SuspensionRequest = {
            kind,
            id: named.jti ?? named.id ?? "",
            principal: c.get("principal"),
            reason: c.req.valid("json").reason ?? reason,
          };
          return c.json(suspensionView(unwrap(await operation(ctx, request))), 200);
        },
      );
    }
  }
}

function suspensionView({ suspended, held_by, datasets }: SuspensionState): z.infer<typeof suspensionSchema> {
  return { suspended, held_by: held_by.map((entry) => ({ ...entry })), datasets: [...datasets] };
}
