import { z } from "@hono/zod-openapi";
import type { Context } from "../context.ts";
import { type Api, defineRoute, unwrap } from "../http/api.ts";
import { BREAKS_OFF, webStreamOf } from "../http/web-stream.ts";
import { takeBackup } from "./take-backup.ts";

/** What `licet backup` asks for. */
export function addBackupRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/backup",
      tags: ["system"],
      summary:
        "Everything in the database at one instant, for `licet restore`; secrets stay sealed, and the master key is not in it",
      responses: {
        200: {
          description: "gzipped NDJSON; whole only when its last line is there, as `licet backup --verify` checks",
          content: { "application/gzip": { schema: z.string().openapi({ format: "binary" }) } },
        },
      },
    }),
    async () => {
      const backup = unwrap(await takeBackup(ctx));
      return new Response(webStreamOf(backup), {
        status: 200,
        headers: { "content-type": "application/gzip", "cache-control": "no-store", ...BREAKS_OFF },
      });
    },
  );
}
