import { z } from "@hono/zod-openapi";
import type { Context } from "../context.ts";
import { type Api, defineRoute, jsonAnswer, jsonBody, noteDataset, unwrap } from "../http/api.ts";
import { identifierSchema, reasonSchema } from "../http/parameters.ts";
import { actorOf } from "../http/principal.ts";
import { compactDataset } from "./compact-dataset.ts";
import { MAX_DATASET_BYTES, datasetInputSchema, datasetSchema } from "./dataset-input.ts";
import { deleteDraft, publishDraft, readDraft, storeDraft } from "./draft-dataset.ts";
import { withdrawDataset } from "./hold-dataset.ts";

const tags = ["datasets"];
const idParam = z.object({ id: identifierSchema });
const WITHDRAWAL_REASON = "withdrawn_from_offer";

/** A draft is shown as it was asked for. */
const draftSchema = z.looseObject({ name: z.string() }).openapi("DatasetDraft");

/** What becomes of a dataset: its draft, its compaction, its end. */
export function addLifecycleRoutes(api: Api, ctx: Context): void {
  addDraftRoutes(api, ctx);
  addDraftEndRoutes(api, ctx);
  addVersionRoutes(api, ctx);
}

function addDraftRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/datasets/{id}/draft",
      tags,
      summary: "The draft of a dataset, as it was asked for",
      request: { params: idParam },
      responses: { 200: jsonAnswer("The draft", draftSchema) },
    }),
    async (c) => c.json(draftSchema.parse(unwrap(await readDraft(ctx, c.req.valid("param").id))), 200),
  );

  api.openapi(
    defineRoute(
      ctx,
      {
        method: "put",
        path: "/api/v1/datasets/{id}/draft",
        tags,
        summary: "Store a draft, or another one in its place",
        request: { params: idParam, body: jsonBody(datasetInputSchema) },
        responses: {
          200: jsonAnswer("Stored in the place of another draft", datasetSchema),
          201: jsonAnswer("Stored", datasetSchema),
        },
      },
      { maxBodyBytes: MAX_DATASET_BYTES },
    ),
    async (c) => {
      const input = { ...c.req.valid("json"), dataset_id: c.req.valid("param").id, status: "draft" as const };
      const { isNew, view } = unwrap(await storeDraft(ctx, input, actorOf(c.get("principal"))));
      return c.json(view, isNew ? 201 : 200);
    },
  );
}

function addDraftEndRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "delete",
      path: "/api/v1/datasets/{id}/draft",
      tags,
      summary: "Delete a draft, and the dataset with it when it was never published",
      request: { params: idParam },
      responses: { 204: { description: "Deleted" } },
    }),
    async (c) => {
      unwrap(await deleteDraft(ctx, c.req.valid("param").id, actorOf(c.get("principal"))));
      return c.body(null, 204);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/datasets/{id}/publish",
      tags,
      summary: "Publish the draft of a dataset",
      request: { params: idParam },
      responses: {
        200: jsonAnswer("The same content was published before", datasetSchema),
        201: jsonAnswer("Published", datasetSchema),
      },
    }),
    async (c) => {
      const published = await publishDraft(ctx, c.req.valid("param").id, actorOf(c.get("principal")));
      const { isNew, view } = unwrap(published);
      noteDataset(c, view.dataset_id, view.version);
      return c.json(view, isNew ? 201 : 200);
    },
  );
}

function addVersionRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/datasets/{id}/compact",
      tags,
      summary: "Publish the next version without what is gone, and end the validity of those before",
      request: { params: idParam },
      responses: {
        200: jsonAnswer("Nothing was gone", datasetSchema),
        201: jsonAnswer("Published", datasetSchema),
      },
    }),
    async (c) => {
      const compacted = await compactDataset(ctx, c.req.valid("param").id, actorOf(c.get("principal")));
      const { isNew, view } = unwrap(compacted);
      noteDataset(c, view.dataset_id, view.version);
      return c.json(view, isNew ? 201 : 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/datasets/{id}/withdraw",
      tags,
      summary: "Take a dataset from offer for good",
      request: {
        params: idParam,
        body: {
          required: false,
          content: {
            "application/json": { schema: z.strictObject({ reason: reasonSchema.default(WITHDRAWAL_REASON) }) },
          },
        },
      },
      responses: { 200: jsonAnswer("Withdrawn: every document says so already", datasetSchema) },
    }),
    async (c) => {
      const reason = c.req.valid("json").reason ?? WITHDRAWAL_REASON;
      const request = { principal: c.get("principal"), reason };
      return c.json(unwrap(await withdrawDataset(ctx, c.req.valid("param").id, request)), 200);
    },
  );
}
