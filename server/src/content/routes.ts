import { z } from "@hono/zod-openapi";
import { accept, refuse } from "@licet/protocol";
import type { Logger } from "pino";
import type { Context } from "../context.ts";
import { narrowToOwn, requireOwn } from "../creators/own.ts";
import { type Api, defineRoute, jsonAnswer, jsonBody, unwrap } from "../http/api.ts";
import { creatorIdSchema, cutPage, identifierSchema, pageOf, pageQuery } from "../http/parameters.ts";
import { BREAKS_OFF, webStreamOf } from "../http/web-stream.ts";
import { contentInputSchema, contentSchema } from "./content-input.ts";
import { describeContent } from "./describe-content.ts";
import { refreshContent } from "./refresh-content.ts";
import { type BulkLine, MAX_BULK_BYTES, registerBulk } from "./register-bulk.ts";
import { contentView, registerContent } from "./register-content.ts";
import { findContent, readContent } from "./store.ts";

const tags = ["content"];
/** Typed as text, since the route types would take it for JSON. */
const NDJSON: string = "application/x-ndjson";

/** Works: registered one by one or in bulk, and read. */
export function addContentRoutes(api: Api, ctx: Context): void {
  addWritingRoutes(api, ctx);
  addRefreshRoute(api, ctx);
  addReadingRoutes(api, ctx);
}

function addWritingRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/content",
      tags,
      summary: "Register a work, or a new revision of it, as it is described or by its URL alone",
      request: { body: jsonBody(contentInputSchema) },
      responses: {
        200: jsonAnswer("It was registered before: unchanged, or revised", contentSchema),
        201: jsonAnswer("Registered", contentSchema),
      },
    }),
    async (c) => {
      const { status, item } = unwrap(
        await registerContent(ctx, unwrap(await describeContent(ctx, c.req.valid("json")))),
      );
      return c.json(item, status === "created" ? 201 : 200);
    },
  );

  api.openapi(
    defineRoute(
      ctx,
      {
        method: "post",
        path: "/api/v1/content/bulk",
        tags,
        summary: "Register many works: NDJSON in, a result for each line out",
        request: { body: { required: true, content: { [NDJSON]: { schema: z.string() } } } },
        responses: {
          200: {
            description: "A result for each line: created, unchanged, revised or refused",
            content: { [NDJSON]: { schema: z.string() } },
          },
        },
      },
      { maxBodyBytes: MAX_BULK_BYTES, body: "raw" },
    ),
    async (c) => {
      const contentType = c.req.header("content-type") ?? "none";
      if (!/^application\/x-ndjson\s*(;|$)/i.test(contentType))
        unwrap(refuse("media_type_wrong", `expected Content-Type: ${NDJSON}, got ${contentType}`));
      const lines = unwrap(registerBulk(ctx, await c.req.text()));
      // What fails before the first result is answered like any other failure.
      const first = await lines.next();
      const out = webStreamOf(textOf(first, lines, c.get("log")));
      return new Response(out, { status: 200, headers: { "content-type": NDJSON, ...BREAKS_OFF } });
    },
  );
}

/** Results as they come. A failure breaks the answer off, so that nobody takes a part of it for the whole. */
async function* textOf(
  first: IteratorResult<BulkLine>,
  rest: AsyncGenerator<BulkLine>,
  log: Logger,
): AsyncGenerator<string> {
  try {
    for (let result = first; result.done !== true; result = await rest.next())
      yield `${JSON.stringify(result.value)}\n`;
  } catch (error) {
    log.error({ error: String(error) }, "a bulk registration broke off; lines without a result are not registered");
    throw error;
  }
}

function addRefreshRoute(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/content/{id}/refresh",
      tags,
      summary: "Read the URL of a work again; other bytes are a new revision",
      request: { params: z.object({ id: identifierSchema }) },
      responses: {
        200: jsonAnswer("The work", z.object({ status: z.enum(["unchanged", "revised"]), item: contentSchema })),
      },
    }),
    async (c) => {
      const { status, item } = unwrap(await refreshContent(ctx, c.req.valid("param").id));
      return c.json({ status: status === "unchanged" ? status : "revised", item } as const, 200);
    },
  );
}

function addReadingRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/content",
      tags,
      summary: "List works",
      request: { query: z.object({ creator_id: creatorIdSchema.optional(), ...pageQuery }) },
      responses: {
        200: jsonAnswer("A page", z.object({ content_items: z.array(contentSchema), next: z.string().nullable() })),
      },
    }),
    async (c) => {
      const query = c.req.valid("query");
      const creatorId = unwrap(narrowToOwn(c.get("principal"), query.creator_id));
      const page = pageOf(query);
      const { rows, next } = cutPage(
        await readContent(ctx.db, { ...page, creatorId }),
        page.limit,
        (row) => row.content_id,
      );
      return c.json({ content_items: rows.map(contentView), next }, 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/content/{id}",
      tags,
      summary: "One work",
      request: { params: z.object({ id: identifierSchema }) },
      responses: { 200: jsonAnswer("The work", contentSchema) },
    }),
    async (c) => {
      const { id } = c.req.valid("param");
      const row = await findContent(ctx.db, id);
      const found = unwrap(row === undefined ? refuse("not_found", `there is no content ${id}`) : accept(row));
      unwrap(requireOwn(c.get("principal"), found.creator_id));
      return c.json(contentView(found), 200);
    },
  );
}
