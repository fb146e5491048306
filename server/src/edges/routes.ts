import { z } from "@hono/zod-openapi";
import { refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { type Api, NDJSON, defineRoute, hasLines, jsonAnswer, unwrap } from "../http/api.ts";
import { MAX_BATCH_BYTES, acceptBatch } from "./accept-batch.ts";

/** What edges tell of the requests they decided about. */
export function addEdgeRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(
      ctx,
      {
        method: "post",
        path: "/api/v1/edge-events",
        tags: ["edges"],
        summary: "An edge tells what it decided: lines of JSON, a batch by its Idempotency-Key",
        request: {
          headers: z.object({ "idempotency-key": z.string().optional().openapi({ description: "the batch's name" }) }),
          body: { required: true, content: { [NDJSON]: { schema: z.string() } } },
        },
        responses: {
          202: jsonAnswer(
            "Kept; the same batch again counts once",
            z
              .object({ accepted: z.int(), refused: z.array(z.object({ line: z.int(), detail: z.string() })) })
              .openapi("EdgeBatchAnswer"),
          ),
        },
      },
      { maxBodyBytes: MAX_BATCH_BYTES, body: "raw" },
    ),
    async (c) => {
      if (!hasLines(c))
        unwrap(
          refuse("media_type_wrong", `expected Content-Type: ${NDJSON}, got ${c.req.header("content-type") ?? "none"}`),
        );
      const principal = c.get("principal");
      const clientId = principal.kind === "platform" ? principal.clientId : principal.kind;
      const batchKey = c.req.header("idempotency-key");
      const { accepted, refused } = unwrap(await acceptBatch(ctx, { clientId, batchKey, body: await c.req.text() }));
      return c.json({ accepted, refused: [...refused] }, 202);
    },
  );
}
