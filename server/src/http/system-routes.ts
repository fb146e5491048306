import { z } from "@hono/zod-openapi";
import { REFUSALS, accept, formatInstant, isRefusalCode, refuse } from "@licet/protocol";
import { sql } from "kysely";
import { MODES } from "../config.ts";
import { type Context } from "../context.ts";
import { documentPaths } from "../documents/document-paths.ts";
import { type Api, defineRoute, unwrap } from "./api.ts";
import { problemPage } from "./problem-page.ts";

const healthSchema = z.object({ status: z.enum(["ok", "draining"]) });
const readySchema = z.object({
  status: z.literal("ok"),
  mode: z.enum(MODES),
  journal_failing_since: z.string().optional().openapi({
    description: "since when refusals could not be written to the journal; they are made all the same",
  }),
  purges_failing_since: z.string().optional().openapi({
    description: "since when a cache or an edge has not confirmed what was taken back; the clocks bound it there",
  }),
});

/** What only the running server knows. */
export interface ServerState {
  readonly isDraining: () => boolean;
  readonly purgesFailingSinceMs: () => number | undefined;
}

/** What operators and readers of errors need: liveness, readiness, and a page for each refusal. */
export function addSystemRoutes(api: Api, ctx: Context, { isDraining, purgesFailingSinceMs }: ServerState): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/healthz",
      tags: ["system"],
      summary: "Is the process alive?",
      responses: { 200: { description: "It is.", content: { "application/json": { schema: healthSchema } } } },
    }),
    (c) => c.json({ status: isDraining() ? ("draining" as const) : ("ok" as const) }, 200),
  );

  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/readyz",
      tags: ["system"],
      summary: "Can it answer: database reachable, documents signed?",
      responses: { 200: { description: "It can.", content: { "application/json": { schema: readySchema } } } },
    }),
    async (c) => {
      if (isDraining()) unwrap(refuse("unavailable", "the server is stopping"));
      await sql`select 1`.execute(ctx.db).catch((error: unknown) => {
        c.get("log").error({ error: String(error) }, "the database does not answer");
        unwrap(refuse("unavailable", "the database does not answer"));
      });
      const keys = await ctx.documents.read(documentPaths.keySet);
      if (keys === undefined) unwrap(refuse("unavailable", "the key set is not published yet"));
      const [journal, purges] = [instantOf(ctx.journal.failingSinceMs()), instantOf(purgesFailingSinceMs())];
      const failing = {
        ...(journal === undefined ? {} : { journal_failing_since: journal }),
        ...(purges === undefined ? {} : { purges_failing_since: purges }),
      };
      return c.json({ status: "ok" as const, mode: ctx.config.mode, ...failing }, 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/problems/{code}",
      tags: ["system"],
      summary: "What a refusal means and how to mend it",
      request: { params: z.object({ code: z.string().max(64) }) },
      responses: {
        200: {
          description: "The refusal, as a page or as JSON",
          content: {
            "text/html": { schema: z.string() },
            "application/json": {
              schema: z.object({ code: z.string(), status: z.int(), title: z.string(), fix: z.string() }),
            },
          },
        },
      },
    }),
    (c) => {
      const { code } = c.req.valid("param");
      const known = unwrap(isRefusalCode(code) ? accept(code) : refuse("not_found", `there is no problem ${code}`));
      const { status, title, fix } = REFUSALS[known];
      if (c.req.header("accept")?.includes("application/json") === true)
        return c.json({ code: known, status, title, fix }, 200);
      return c.html(problemPage(known), 200);
    },
  );
}

function instantOf(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : formatInstant(Math.floor(ms / 1_000));
}
