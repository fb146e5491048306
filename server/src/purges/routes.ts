import { z } from "@hono/zod-openapi";
import type { Context } from "../context.ts";
import { type Api, defineRoute, jsonAnswer, unwrap } from "../http/api.ts";
import { pageOf, pageQuery } from "../http/parameters.ts";
import type { PurgeAdapter } from "./purge-port.ts";
import { TARGET_STATES, listPurges } from "./read-purges.ts";
import { PURGE_STATES } from "./read-store.ts";

const msSchema = z.int().openapi({ description: "milliseconds since the epoch", example: 1_795_000_000_000 });
const legSchema = z.enum(["purge", "edge"]);

const targetSchema = z
  .object({
    target: z.string().openapi({ example: "varnish:http://10.0.0.5:6081" }),
    leg: legSchema,
    state: z.enum(TARGET_STATES),
    waiting: z.int(),
    oldest_waiting_at_ms: msSchema.optional(),
    failing_since_ms: msSchema.optional(),
    last_error: z.string().optional(),
    last_confirmed_at_ms: msSchema.optional(),
  })
  .openapi("PurgeTarget");

const purgeSchema = z
  .object({
    event_id: z.string(),
    part: z.int(),
    target: z.string(),
    round: z.union([z.literal(1), z.literal(2)]),
    leg: legSchema,
    state: z.enum(PURGE_STATES),
    at_ms: msSchema,
    tags: z.int(),
    urls: z.int(),
    paths: z.int(),
    attempts: z.int(),
    due_at_ms: msSchema,
    requested_at_ms: msSchema.nullable(),
    confirmed_at_ms: msSchema.nullable(),
    last_error: z.string().nullable(),
  })
  .openapi("Purge");

const query = z.object({
  ...pageQuery,
  target: z.string().max(512).optional(),
  state: z.enum(PURGE_STATES).optional(),
});

/** What caches and edges were told, and what they said to it. */
export function addPurgeRoutes(
  api: Api,
  ctx: Context,
  { targets }: { readonly targets: readonly Pick<PurgeAdapter, "target" | "leg">[] },
): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/purges",
      tags: ["purges"],
      summary: "How caches and edges do, and what each was told of each event, newest first",
      request: { query },
      responses: {
        200: jsonAnswer(
          "Every configured cache and edge, and a page of what they were told",
          z.object({ targets: z.array(targetSchema), purges: z.array(purgeSchema), next: z.string().nullable() }),
        ),
      },
    }),
    async (c) => {
      const { target, state, ...page } = c.req.valid("query");
      const view = unwrap(await listPurges(ctx, targets, { ...pageOf(page), target, state }));
      return c.json({ targets: [...view.targets], purges: [...view.purges], next: view.next }, 200);
    },
  );
}
