import { z } from "@hono/zod-openapi";
import type { Context } from "../context.ts";
import { type Api, defineRoute, jsonAnswer, unwrap } from "../http/api.ts";
import { creatorIdSchema, identifierSchema, instantSchema, pageOf, pageQuery } from "../http/parameters.ts";
import type { InteractionLog } from "./interaction-log.ts";
import { type InteractionPage, listCreatorsInteractions, listInteractions } from "./read-interactions.ts";

const tags = ["interactions"];

const interactionSchema = z
  .object({
    request_id: z.string(),
    at: instantSchema,
    caller: z.object({
      kind: z.enum(["operator", "platform", "marketplace", "creator", "upstream"]),
      client_id: identifierSchema.optional(),
      marketplace_id: identifierSchema.optional(),
      creator_id: creatorIdSchema.optional(),
      upstream_id: identifierSchema.optional(),
    }),
    method: z.string(),
    route: z.string().openapi({ description: "the path's template, or none", example: "/api/v1/datasets/{id}" }),
    dataset_id: identifierSchema.optional(),
    dataset_version: z.int().optional(),
    status: z.int(),
    code: z.string().optional().openapi({ description: "why it was refused" }),
    duration_ms: z.int(),
  })
  .openapi("Interaction");

const pageAnswer = jsonAnswer(
  "A page, newest first",
  z.object({ interactions: z.array(interactionSchema), next: z.string().nullable() }),
);
const filterQuery = {
  marketplace_id: identifierSchema.optional(),
  dataset_id: identifierSchema.optional(),
  from: instantSchema.optional().openapi({ description: "calls at this instant or later" }),
  until: instantSchema.optional().openapi({ description: "calls before this instant" }),
  ...pageQuery,
};

/** The interaction log: who called what, for the platform; and for creators what concerns their works. */
export function addInteractionRoutes(api: Api, ctx: Context, interactions: InteractionLog): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/interactions",
      tags,
      summary: "List the calls that clients, creators and operators made",
      request: { query: z.object({ client_id: identifierSchema.optional(), ...filterQuery }) },
      responses: { 200: pageAnswer },
    }),
    async (c) => {
      const { client_id, ...query } = c.req.valid("query");
      await interactions.flush();
      return c.json(pageView(unwrap(await listInteractions(ctx, { ...queryOf(query), clientId: client_id }))), 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/creators/{id}/interactions",
      tags,
      summary: "List the calls that concern datasets with a creator's works",
      request: { params: z.object({ id: creatorIdSchema }), query: z.object(filterQuery) },
      responses: { 200: pageAnswer },
    }),
    async (c) => {
      const creatorId = c.req.valid("param").id;
      const query = queryOf(c.req.valid("query"));
      await interactions.flush();
      const page = unwrap(await listCreatorsInteractions(ctx, c.get("principal"), { ...query, creatorId }));
      return c.json(pageView(page), 200);
    },
  );
}

interface Filter {
  readonly marketplace_id?: string | undefined;
  readonly dataset_id?: string | undefined;
  readonly from?: string | undefined;
  readonly until?: string | undefined;
  readonly after?: string | undefined;
  readonly limit?: number | undefined;
}

function queryOf(filter: Filter) {
  const { marketplace_id, dataset_id, from, until } = filter;
  return { ...pageOf(filter), marketplaceId: marketplace_id, datasetId: dataset_id, from, until };
}

function pageView({ interactions, next }: InteractionPage) {
  return { interactions: [...interactions], next };
}
