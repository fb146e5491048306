import { z } from "@hono/zod-openapi";
import { formatInstant } from "@licet/protocol";
import type { Context } from "../context.ts";
import { type Api, defineRoute, jsonAnswer, jsonBody, unwrap } from "../http/api.ts";
import { cutPage, identifierSchema, instantSchema, jtiSchema, pageOf, pageQuery } from "../http/parameters.ts";
import { type Mapping, mapWorks, unmapWorks } from "./map-works.ts";
import { requireUpstream } from "./register-upstream.ts";
import { type MappedRow, readMapped } from "./work-store.ts";

const tags = ["upstreams"];
const idParam = z.object({ id: identifierSchema });
const MAX_MAPPINGS = 1_000;

const mappingSchema = z
  .strictObject({
    content_id: identifierSchema.optional().openapi({ description: "a work of ours" }),
    jti: jtiSchema.optional().openapi({ description: "or a consent of ours" }),
    upstream_dataset_id: identifierSchema.optional(),
    upstream_content_id: identifierSchema.optional(),
    upstream_jti: jtiSchema,
  })
  .refine(isWhole, {
    message:
      "expected content_id with upstream_dataset_id, upstream_content_id and upstream_jti; or jti with upstream_jti alone",
  })
  .openapi("UpstreamMapping");

const mappingsSchema = z
  .strictObject({ works: z.array(mappingSchema).min(1).max(MAX_MAPPINGS) })
  .openapi("UpstreamMappings");

const mappedSchema = z
  .object({
    content_id: identifierSchema.optional(),
    jti: z.string().optional(),
    upstream_dataset_id: identifierSchema.optional(),
    upstream_content_id: identifierSchema.optional(),
    upstream_jti: z.string(),
    mapped_at: instantSchema,
  })
  .openapi("MappedWork");

/** What is carried for an upstream, and what it calls that. */
export function addWorkRoutes(api: Api, ctx: Context): void {
  addChangingRoutes(api, ctx);
  addReadingRoute(api, ctx);
}

function addChangingRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/upstreams/{id}/works",
      tags,
      summary: "Map works and consents to what an upstream calls them: all of them or none",
      request: { params: idParam, body: jsonBody(mappingsSchema) },
      responses: { 200: jsonAnswer("Mapped", z.object({ mapped: z.int(), unchanged: z.int() })) },
    }),
    async (c) => {
      const change = { principal: c.get("principal"), mappings: c.req.valid("json").works.map(mappingOf) };
      return c.json(unwrap(await mapWorks(ctx, c.req.valid("param").id, change)), 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/upstreams/{id}/works/removals",
      tags,
      summary: "Take mappings away; what the upstream holds suspended stays so",
      request: { params: idParam, body: jsonBody(mappingsSchema) },
      responses: { 200: jsonAnswer("Those that were there are gone", z.object({ removed: z.int() })) },
    }),
    async (c) => {
      const change = { principal: c.get("principal"), mappings: c.req.valid("json").works.map(mappingOf) };
      return c.json(unwrap(await unmapWorks(ctx, c.req.valid("param").id, change)), 200);
    },
  );
}

function addReadingRoute(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/upstreams/{id}/works",
      tags,
      summary: "List what is mapped to an upstream",
      request: { params: idParam, query: z.object(pageQuery) },
      responses: {
        200: jsonAnswer("A page", z.object({ works: z.array(mappedSchema), next: z.string().nullable() })),
      },
    }),
    async (c) => {
      const { upstream_id } = unwrap(await requireUpstream(ctx, c.req.valid("param").id));
      const page = pageOf(c.req.valid("query"));
      const { rows, next } = cutPage(await readMapped(ctx.db, upstream_id, page), page.limit, (row) => row.cursor);
      return c.json({ works: rows.map(viewOf), next }, 200);
    },
  );
}

interface MappingInput {
  readonly content_id?: string | undefined;
  readonly jti?: string | undefined;
  readonly upstream_dataset_id?: string | undefined;
  readonly upstream_content_id?: string | undefined;
  readonly upstream_jti: string;
}

/** Every name under which the upstream may take a work back has to be known, or a refusal would find nothing. */
function isWhole({ content_id, jti, upstream_dataset_id, upstream_content_id }: MappingInput): boolean {
  const names = [upstream_dataset_id, upstream_content_id];
  return content_id === undefined
    ? jti !== undefined && names.every((name) => name === undefined)
    : jti === undefined && names.every((name) => name !== undefined);
}

function mappingOf(input: MappingInput): Mapping {
  const { content_id, jti = "", upstream_dataset_id = "", upstream_content_id = "", upstream_jti } = input;
  return content_id === undefined
    ? { jti, upstream_jti }
    : { content_id, upstream_dataset_id, upstream_content_id, upstream_jti };
}

function viewOf(row: MappedRow): z.infer<typeof mappedSchema> {
  const { content_id, jti, upstream_dataset_id, upstream_content_id, upstream_jti, mapped_at } = row;
  return {
    ...(content_id === null ? {} : { content_id }),
    ...(jti === null ? {} : { jti }),
    ...(upstream_dataset_id === null ? {} : { upstream_dataset_id }),
    ...(upstream_content_id === null ? {} : { upstream_content_id }),
    upstream_jti,
    mapped_at: formatInstant(mapped_at),
  };
}
