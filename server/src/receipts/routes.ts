import { z } from "@hono/zod-openapi";
import { type JsonObject, accept, parseJsonObject, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { type Api, defineRoute, jsonAnswer, jsonBody, noteDataset, unwrap } from "../http/api.ts";
import { countOf, identifierSchema, pageOf, pageQuery } from "../http/parameters.ts";
import { acceptReceipt } from "./accept-receipt.ts";
import { listReceipts, readReceipt } from "./read-receipts.ts";

const tags = ["receipts"];

const receiptSchema = z
  .looseObject({
    receipt_id: identifierSchema,
    dataset_id: identifierSchema,
    model_id: z.string(),
    tokens_used: z.int().optional(),
    licensed_at: z.string(),
    signature: z.string(),
  })
  .openapi("UsageReceipt");
const listedReceiptSchema = receiptSchema
  .extend({ valid_for_future_training: z.boolean() })
  .openapi("ListedUsageReceipt");
const receiptAnswer = (description: string) => ({
  description,
  content: { "application/json": { schema: receiptSchema } },
});

/** Usage receipts: accepted from marketplaces, and read. */
export function addReceiptRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/usage-receipts",
      tags,
      summary: "Hand in a signed usage receipt",
      request: {
        body: jsonBody(z.looseObject({}).openapi("SignedUsageReceipt")),
      },
      responses: {
        200: receiptAnswer("The same bytes were accepted before"),
        201: receiptAnswer("Accepted and countersigned"),
      },
    }),
    async (c) => {
      const principal = c.get("principal");
      const marketplaceId = unwrap(
        principal.kind === "marketplace"
          ? accept(principal.marketplaceId)
          : refuse("forbidden", "expected a marketplace"),
      );
      const received = unwrap(parseJsonObject(await c.req.text()));
      noteDataset(c, received["dataset_id"], received["dataset_version"]);
      const { isNew, receipt } = unwrap(await acceptReceipt(ctx, marketplaceId, received));
      return c.json(receiptSchema.parse(receipt), isNew ? 201 : 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/usage-receipts",
      tags,
      summary: "List usage receipts",
      request: { query: z.object({ dataset_id: identifierSchema.optional(), ...pageQuery }) },
      responses: {
        200: jsonAnswer("A page", z.object({ receipts: z.array(listedReceiptSchema), next: z.string().nullable() })),
      },
    }),
    async (c) => {
      const query = c.req.valid("query");
      noteDataset(c, query.dataset_id, undefined);
      const after = unwrap(countOf(query.after));
      const { receipts, next } = unwrap(
        await listReceipts(ctx, c.get("principal"), { datasetId: query.dataset_id, after, limit: pageOf(query).limit }),
      );
      return c.json({ receipts: receipts.map(listed), next }, 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/usage-receipts/{id}",
      tags,
      summary: "One usage receipt",
      request: { params: z.object({ id: identifierSchema }) },
      responses: {
        200: jsonAnswer("The receipt", listedReceiptSchema),
      },
    }),
    async (c) => c.json(listed(unwrap(await readReceipt(ctx, c.get("principal"), c.req.valid("param").id))), 200),
  );
}

function listed(receipt: JsonObject): z.infer<typeof listedReceiptSchema> {
  return listedReceiptSchema.parse(receipt);
}
