import { z } from "@hono/zod-openapi";
import { formatInstant } from "@licet/protocol";
import type { Context } from "../context.ts";
import { type Api, defineRoute, jsonAnswer, noteDataset, unwrap } from "../http/api.ts";
import { identifierSchema, instantSchema, jtiSchema, pageOf, pageQuery } from "../http/parameters.ts";
import { isPlatform } from "../http/principal.ts";
import { listFindings } from "./list-findings.ts";
import {
  fingerprintSchema,
  listedModelSchema,
  listedModelView,
  modelConsentSchema,
  modelConsentView,
  modelSchema,
  modelView,
} from "./model-view.ts";
import { listModelConsents, listModels, readModel } from "./read-model.ts";

const tags = ["models"];
const params = z.object({ fingerprint: fingerprintSchema });

const findingSchema = z
  .object({
    marketplace_id: identifierSchema,
    fingerprint: fingerprintSchema,
    kind: z.enum(["unlicensed", "unlisted"]),
    model_id: z.string(),
    found_at: instantSchema,
    resolved_at: instantSchema.optional(),
  })
  .openapi("ModelFinding");

const listSchema = z
  .object({
    marketplace_id: identifierSchema,
    read_at: instantSchema.optional(),
    checked_at: instantSchema.optional(),
    models_count: z.int(),
    last_error: z.string().optional(),
    next_at: instantSchema,
  })
  .openapi("ModelListState");

/** Models: what is behind each, and which of them nobody licensed. */
export function addModelRoutes(api: Api, ctx: Context): void {
  addReadingRoutes(api, ctx);
  addConsentsRoute(api, ctx);
  addFindingRoute(api, ctx);
}

function addReadingRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/models",
      tags,
      summary: "Models that were licensed or used: of a dataset, of a consent, of a work",
      request: {
        query: z.object({
          dataset_id: identifierSchema.optional(),
          jti: jtiSchema.optional(),
          content_id: identifierSchema.optional(),
          ...pageQuery,
        }),
      },
      responses: {
        200: jsonAnswer("A page", z.object({ models: z.array(listedModelSchema), next: z.string().nullable() })),
      },
    }),
    async (c) => {
      const query = c.req.valid("query");
      noteDataset(c, query.dataset_id, undefined);
      const asked = { datasetId: query.dataset_id, jti: query.jti, contentId: query.content_id, ...pageOf(query) };
      const { rows, next } = await listModels(ctx, c.get("principal"), asked);
      return c.json({ models: rows.map(listedModelView), next }, 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/models/{fingerprint}",
      tags,
      summary: "What is behind a model, and what was made from it",
      request: { params },
      responses: { 200: jsonAnswer("The model", modelSchema) },
    }),
    async (c) => {
      const principal = c.get("principal");
      const model = unwrap(await readModel(ctx, principal, c.req.valid("param").fingerprint));
      return c.json(modelView(model, principal.kind !== "marketplace"), 200);
    },
  );
}

function addConsentsRoute(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/models/{fingerprint}/consents",
      tags,
      summary: "The consents behind a model, and since when those that ended do not stand",
      request: { params, query: z.object(pageQuery) },
      responses: {
        200: jsonAnswer("A page", z.object({ consents: z.array(modelConsentSchema), next: z.string().nullable() })),
      },
    }),
    async (c) => {
      const principal = c.get("principal");
      const asked = { ...c.req.valid("param"), ...pageOf(c.req.valid("query")) };
      const { rows, next } = unwrap(await listModelConsents(ctx, principal, asked));
      const consents = rows.map((row) => modelConsentView(row, true));
      return c.json({ consents, next }, 200);
    },
  );
}

function addFindingRoute(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/model-findings",
      tags,
      summary:
        "Models that a marketplace lists and nobody licensed, licensed ones it never listed, and how its list was read",
      request: {
        query: z.object({
          marketplace_id: identifierSchema.optional(),
          kind: z.enum(["unlicensed", "unlisted"]).optional(),
          resolved: z.enum(["true", "false"]).optional(),
          ...pageQuery,
        }),
      },
      responses: {
        200: jsonAnswer(
          "A page, and the lists of the marketplaces on it",
          z.object({ findings: z.array(findingSchema), lists: z.array(listSchema), next: z.string().nullable() }),
        ),
      },
    }),
    async (c) => {
      const query = c.req.valid("query");
      const principal = c.get("principal");
      const { rows, lists, next } = unwrap(
        await listFindings(ctx, principal, {
          marketplaceId: query.marketplace_id,
          kind: query.kind,
          isResolved: query.resolved === undefined ? undefined : query.resolved === "true",
          ...pageOf(query),
        }),
      );
      const findings = rows.map(({ found_at, resolved_at, ...row }) => ({
        ...row,
        found_at: formatInstant(found_at),
        ...(resolved_at === null ? {} : { resolved_at: formatInstant(resolved_at) }),
      }));
      return c.json({ findings, lists: lists.map((list) => listView(list, isPlatform(principal))), next }, 200);
    },
  );
}

type ListRow = Extract<Awaited<ReturnType<typeof listFindings>>, { ok: true }>["value"]["lists"][number];

function listView(row: ListRow, withError: boolean): z.infer<typeof listSchema> {
  return {
    marketplace_id: row.marketplace_id,
    models_count: row.models_count,
    next_at: formatInstant(row.next_at),
    ...(row.read_at === null ? {} : { read_at: formatInstant(row.read_at) }),
    ...(row.checked_at === null ? {} : { checked_at: formatInstant(row.checked_at) }),
    ...(row.last_error === null || !withError ? {} : { last_error: row.last_error }),
  };
}
