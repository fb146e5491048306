import { z } from "@hono/zod-openapi";
import { type JsonObject, RECEIPT_FLAGS, accept, parseJsonObject, refuse } from "@licet/protocol";
import { stream } from "hono/streaming";
import type { StreamingApi } from "hono/utils/stream";
import type { Context } from "../context.ts";
import {
  type Api,
  type ApiContext,
  NDJSON,
  defineRoute,
  hasLines,
  jsonAnswer,
  noteDataset,
  unwrap,
} from "../http/api.ts";
import { countOf, identifierSchema, instantSchema, pageOf, pageQuery } from "../http/parameters.ts";
import { MAX_BATCH_BYTES, acceptBatch } from "./accept-batch.ts";
import { acceptReceipts } from "./accept-receipts.ts";
import { pullReceipts } from "./pull-receipts.ts";
import { readPulls } from "./read-pulls.ts";
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
  .extend({
    valid_for_future_training: z.boolean(),
    acceptance: z
      .object({
        flags: z.array(z.enum(RECEIPT_FLAGS)),
        charged_micros: z.string(),
        currency: z.string().optional(),
        pulled: z.boolean(),
      })
      .openapi("ReceiptAcceptance"),
  })
  .openapi("ListedUsageReceipt");
const receiptAnswer = (description: string) => ({
  description,
  content: { "application/json": { schema: receiptSchema } },
});

/** Usage receipts: accepted from marketplaces, and read. */
export function addReceiptRoutes(api: Api, ctx: Context): void {
  addIntakeRoute(api, ctx);
  addPullRoute(api, ctx);
  addPullStateRoute(api, ctx);
  addReadingRoutes(api, ctx);
}

function addIntakeRoute(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(
      ctx,
      {
        method: "post",
        path: "/api/v1/usage-receipts",
        tags,
        summary: "Hand in a signed usage receipt, or up to 10 000 of them as NDJSON with a result for each line",
        request: {
          body: {
            required: true,
            content: {
              "application/json": { schema: z.looseObject({}).openapi("SignedUsageReceipt") },
              [NDJSON]: { schema: z.string() },
            },
          },
        },
        responses: {
          200: {
            description: "The same bytes were accepted before; of lines, what became of each",
            content: { "application/json": { schema: receiptSchema }, [NDJSON]: { schema: z.string() } },
          },
          201: receiptAnswer("Accepted and countersigned"),
        },
      },
      { body: "json-or-lines", maxLinesBytes: MAX_BATCH_BYTES },
    ),
    async (c) => {
      const principal = c.get("principal");
      const marketplaceId = unwrap(
        principal.kind === "marketplace"
          ? accept(principal.marketplaceId)
          : refuse("forbidden", "expected a marketplace"),
      );
      if (hasLines(c)) return answerLines(c, unwrap(acceptBatch(ctx, marketplaceId, await c.req.text())));
      const received = unwrap(parseJsonObject(await c.req.text()));
      noteDataset(c, received["dataset_id"], received["dataset_version"]);
      const [result] = await acceptReceipts(ctx, { marketplaceId, pulled: false }, [accept(received)]);
      const { isNew, text } = unwrap(result ?? refuse("internal", "expected an answer for the receipt"));
      return c.json(receiptSchema.parse(unwrap(parseJsonObject(text))), isNew ? 201 : 200);
    },
  );
}

/** Each line is answered once it is kept. */
function answerLines(c: ApiContext, results: AsyncGenerator<string>) {
  c.header("content-type", NDJSON);
  const log = c.get("log");
  const write = async (out: StreamingApi) => {
    for await (const lines of results) await out.write(lines);
  };
  return stream(c, write, async (error) =>
    log.error(
      { error: error.message, stack: error.stack },
      "a batch of receipts stopped; lines without a result are not known to be kept",
    ),
  );
}

const pullSchema = z
  .object({
    marketplace_id: identifierSchema,
    datasets: z.array(
      z.object({
        dataset_id: identifierSchema,
        accepted: z.int(),
        known: z.int(),
        refused: z.int(),
        refusals: z.array(z.object({ at: z.string(), code: z.string(), detail: z.string() })),
        complete: z.boolean(),
        error: z.string().optional(),
      }),
    ),
  })
  .openapi("ReceiptPull");

function addPullRoute(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/marketplaces/{id}/receipt-pulls",
      tags,
      summary:
        "Ask a marketplace for its receipts now, for each dataset it has or had a license of; one that is being pulled is waited for, for some seconds",
      request: { params: z.object({ id: identifierSchema }) },
      responses: { 200: jsonAnswer("What it had", pullSchema) },
    }),
    async (c) => {
      const { id } = c.req.valid("param");
      const pulls = unwrap(await pullReceipts(ctx, id));
      const datasets = pulls.map((pull) => ({ ...pull, refusals: [...pull.refusals] }));
      return c.json({ marketplace_id: id, datasets }, 200);
    },
  );
}

const pullStateSchema = z
  .object({
    marketplace_id: identifierSchema,
    datasets: z.array(
      z.object({
        dataset_id: identifierSchema,
        last_at: instantSchema.optional(),
        last_error: z.string().optional(),
        failures: z.int(),
        next_at: instantSchema,
        refusals: z.array(
          z.object({ receipt_id: z.string(), code: z.string(), detail: z.string(), at: instantSchema }),
        ),
      }),
    ),
  })
  .openapi("ReceiptPullState");

function addPullStateRoute(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/marketplaces/{id}/receipt-pulls",
      tags,
      summary: "How far a marketplace's receipts were read, and which were refused and not accepted since",
      request: { params: z.object({ id: identifierSchema }) },
      responses: { 200: jsonAnswer("By dataset, with the newest 100 refusals of each", pullStateSchema) },
    }),
    async (c) => {
      const { id } = c.req.valid("param");
      const pulls = unwrap(await readPulls(ctx, id));
      const datasets = pulls.map((pull) => ({ ...pull, refusals: [...pull.refusals] }));
      return c.json({ marketplace_id: id, datasets }, 200);
    },
  );
}

function addReadingRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/usage-receipts",
      tags,
      summary: "List usage receipts",
      request: {
        query: z.object({
          dataset_id: identifierSchema.optional(),
          license_id: identifierSchema.optional(),
          model_fingerprint: z
            .string()
            .regex(/^[0-9a-f]{64}$/)
            .optional(),
          ...pageQuery,
        }),
      },
      responses: {
        200: jsonAnswer("A page", z.object({ receipts: z.array(listedReceiptSchema), next: z.string().nullable() })),
      },
    }),
    async (c) => {
      const query = c.req.valid("query");
      noteDataset(c, query.dataset_id, undefined);
      const after = unwrap(countOf(query.after));
      const { receipts, next } = unwrap(
        await listReceipts(ctx, c.get("principal"), {
          datasetId: query.dataset_id,
          licenseId: query.license_id,
          modelFingerprint: query.model_fingerprint,
          after,
          limit: pageOf(query).limit,
        }),
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
