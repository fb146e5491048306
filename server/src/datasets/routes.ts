import { z } from "@hono/zod-openapi";
import type { Context } from "../context.ts";
import { type Api, defineRoute, jsonAnswer, jsonBody, noteDataset, unwrap } from "../http/api.ts";
import { countOf, cutPage, identifierSchema, MAX_PAGE, pageOf, pageQuery } from "../http/parameters.ts";
import { actorOf } from "../http/principal.ts";
import {
  MAX_DATASET_BYTES,
  datasetInputSchema,
  datasetSchema,
  offerSchema,
  provenanceSchema,
} from "./dataset-input.ts";
import { offerDataset, offerView } from "./offer-dataset.ts";
import { readOffers } from "./offer-store.ts";
import { type Lines, pageConsents, pageItems } from "./page-lines.ts";
import { datasetView } from "./dataset-view.ts";
import { storeDraft } from "./draft-dataset.ts";
import { addLifecycleRoutes } from "./lifecycle-routes.ts";
import { publishDataset } from "./publish-dataset.ts";
import { requireDataset, requireVersion } from "./read-dataset.ts";
import { readProvenance } from "./read-provenance.ts";
import { findVersion, readDatasets, readVersions } from "./store.ts";

const tags = ["datasets"];
/** Typed as text, since the route types would take it for JSON. */
const NDJSON: string = "application/x-ndjson";
const idParam = z.object({ id: identifierSchema });
const versionParam = z.object({
  id: identifierSchema,
  version: z
    .string()
    .regex(/^[1-9]\d{0,8}$/, "expected a version number")
    .transform(Number),
});
const datasetAnswer = (description: string) => ({
  description,
  content: { "application/json": { schema: datasetSchema } },
});

/** Datasets: published, read, offered; and the lines a stranger verifies them by. */
export function addDatasetRoutes(api: Api, ctx: Context): void {
  addPublishingRoutes(api, ctx);
  addLifecycleRoutes(api, ctx);
  addReadingRoutes(api, ctx);
  addLineRoute(api, ctx, "items");
  addLineRoute(api, ctx, "consents");
}

function addPublishingRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(
      ctx,
      {
        method: "post",
        path: "/api/v1/datasets",
        tags,
        summary: "Publish a dataset, or its next version",
        request: { body: jsonBody(datasetInputSchema) },
        responses: {
          200: datasetAnswer("The same content was published before"),
          201: datasetAnswer("Published, or stored as a draft"),
        },
      },
      { maxBodyBytes: MAX_DATASET_BYTES },
    ),
    async (c) => {
      const input = c.req.valid("json");
      const by = actorOf(c.get("principal"));
      const isDraft = input.status === "draft";
      const { isNew, view } = unwrap(await (isDraft ? storeDraft(ctx, input, by) : publishDataset(ctx, input, by)));
      noteDataset(c, view.dataset_id, view.version);
      return c.json(view, isNew || isDraft ? 201 : 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/datasets/{id}/offers",
      tags,
      summary: "Offer a dataset to a marketplace and have it registered there",
      request: {
        params: idParam,
        body: jsonBody(z.strictObject({ marketplace_id: identifierSchema })),
      },
      responses: {
        200: jsonAnswer("It was offered before", offerSchema),
        201: jsonAnswer("Offered; the marketplace is being called", offerSchema),
      },
    }),
    async (c) => {
      const offered = await offerDataset(ctx, {
        datasetId: c.req.valid("param").id,
        marketplaceId: c.req.valid("json").marketplace_id,
        principal: c.get("principal"),
      });
      const { isNew, offer } = unwrap(offered);
      return c.json(offerView(offer), isNew ? 201 : 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/datasets/{id}/offers",
      tags,
      summary: "To whom a dataset was offered, and who registered it",
      request: { params: idParam },
      responses: {
        200: jsonAnswer("The offers", z.object({ offers: z.array(offerSchema) })),
      },
    }),
    async (c) => {
      const { dataset_id } = unwrap(await requireDataset(ctx, c.get("principal"), c.req.valid("param").id));
      return c.json({ offers: (await readOffers(ctx.db, dataset_id)).map(offerView) }, 200);
    },
  );
}

function addReadingRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/datasets",
      tags,
      summary: "List the datasets; a marketplace sees what it was offered",
      request: { query: z.object(pageQuery) },
      responses: {
        200: jsonAnswer("A page", z.object({ datasets: z.array(datasetSchema), next: z.string().nullable() })),
      },
    }),
    async (c) => {
      const principal = c.get("principal");
      const page = pageOf(c.req.valid("query"));
      const offeredTo = principal.kind === "marketplace" ? principal.marketplaceId : undefined;
      const { rows, next } = cutPage(
        await readDatasets(ctx.db, { ...page, offeredTo }),
        page.limit,
        (row) => row.dataset_id,
      );
      const versions = new Map((await readVersions(ctx.db, rows)).map((version) => [version.dataset_id, version]));
      return c.json({ datasets: rows.map((row) => datasetView(ctx, row, versions.get(row.dataset_id))), next }, 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/datasets/{id}",
      tags,
      summary: "One dataset",
      request: { params: idParam },
      responses: { 200: datasetAnswer("The dataset") },
    }),
    async (c) => {
      const dataset = unwrap(await requireDataset(ctx, c.get("principal"), c.req.valid("param").id));
      return c.json(
        datasetView(ctx, dataset, await findVersion(ctx.db, dataset.dataset_id, dataset.current_version)),
        200,
      );
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/datasets/{id}/provenance",
      tags,
      summary: "Provenance: the works that stand and the consents they stand on, signed",
      request: { params: idParam, query: z.object(pageQuery) },
      responses: {
        200: jsonAnswer("The provenance; next pages its works", provenanceSchema),
      },
    }),
    async (c) => {
      const query = c.req.valid("query");
      const after = unwrap(countOf(query.after));
      const found = unwrap(await requireVersion(ctx, c.get("principal"), { datasetId: c.req.valid("param").id }));
      noteDataset(c, found.dataset.dataset_id, found.version.version);
      const document = await readProvenance(ctx, found, { after, limit: query.limit ?? MAX_PAGE });
      return c.json(provenanceSchema.parse(document), 200, { "cache-control": "no-store" });
    },
  );
}

/** What a version holds line by line, and how a page of it is read. */
const LINES = {
  items: { summary: "The works of a version, line by line", page: pageItems },
  consents: { summary: "The consents a version stands on, line by line", page: pageConsents },
} as const;

function addLineRoute(api: Api, ctx: Context, what: keyof typeof LINES): void {
  const { summary, page: readPage } = LINES[what];
  const route = defineRoute(ctx, {
    method: "get",
    path: `/datasets/{id}/versions/{version}/${what}` as const,
    tags,
    summary,
    request: { params: versionParam, query: z.object(pageQuery) },
    responses: {
      200: {
        description: "NDJSON; the Link header names the next page",
        content: { [NDJSON]: { schema: z.string() } },
      },
    },
  });
  api.openapi(route, async (c) => {
    const { id, version } = c.req.valid("param");
    const page = linePageOf(c.req.valid("query"));
    const found = unwrap(await requireVersion(ctx, c.get("principal"), { datasetId: id, version }));
    const lines = await readPage(ctx, found.version, page);
    return sendLines(ctx, `/datasets/${id}/versions/${version}/${what}`, page.limit, lines);
  });
}

function linePageOf(query: { readonly after?: string | undefined; readonly limit?: number | undefined }): {
  readonly after: number | undefined;
  readonly limit: number;
} {
  return { after: unwrap(countOf(query.after)), limit: query.limit ?? MAX_PAGE };
}

function sendLines(ctx: Context, path: string, limit: number, { lines, next }: Lines): Response {
  const headers: Record<string, string> = { "content-type": NDJSON, "cache-control": "no-store" };
  if (next !== undefined) headers["link"] = `<${ctx.origin}${path}?after=${next}&limit=${limit}>; rel="next"`;
  return new Response(lines.map((line) => `${line}\n`).join(""), { status: 200, headers });
}
