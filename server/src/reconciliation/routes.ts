import { z } from "@hono/zod-openapi";
import type { Context } from "../context.ts";
import { type Api, type ApiContext, defineRoute, jsonAnswer, jsonBody, unwrap } from "../http/api.ts";
import { identifierSchema, instantSchema, pageOf, pageQuery } from "../http/parameters.ts";
import { actorOf } from "../http/principal.ts";
import { ADVICE } from "./advice.ts";
import { FINDING_KINDS } from "./find-causes.ts";
import { findingView, runView } from "./finding-view.ts";
import { listFindings, listRuns, reportFindings, reportRun } from "./read-reconciliation.ts";
import { requestReconciliation } from "./reconcile.ts";
import { type Report, renderReport } from "./render-report.ts";
import { resolve } from "./resolve-finding.ts";

const tags = ["reconciliation"];
const kindSchema = z.enum(FINDING_KINDS);

const runSchema = z
  .object({
    reconciliation_id: z.string(),
    state: z.enum(["waiting", "running", "done", "failed"]),
    requested_by: z.string(),
    requested_at: instantSchema,
    started_at: instantSchema.optional(),
    ended_at: instantSchema.optional(),
    outcome: z
      .record(z.string(), z.object({ found: z.int(), opened: z.int(), closed: z.int(), is_complete: z.boolean() }))
      .optional()
      .openapi({ description: "what came of each kind" }),
    error: z.string().optional(),
  })
  .openapi("Reconciliation");

const findingSchema = z
  .object({
    finding_id: z.string(),
    kind: kindSchema,
    subject: z.string(),
    state: z.enum(["open", "resolved", "closed"]),
    detail: z.looseObject({}),
    first_opened_at: instantSchema,
    opened_at: instantSchema,
    last_seen_at: instantSchema,
    times_opened: z.int(),
    closed_at: instantSchema.optional(),
    resolved_at: instantSchema.optional(),
    resolved_by: z.string().optional(),
    note: z.string().optional(),
  })
  .openapi("Finding");

const reportSchema = runSchema
  .extend({
    open: z.array(z.object({ kind: kindSchema, title: z.string(), todo: z.string(), count: z.int() })),
    findings: z.array(findingSchema),
    next: z.string().nullable(),
  })
  .openapi("ReconciliationReport");

/** A JSON answer that a person may also have as text. */
function readableAnswer<S extends z.ZodType>(description: string, schema: S) {
  const { content } = jsonAnswer(description, schema);
  return { description, content: { ...content, "text/markdown": { schema: z.string() } } };
}

/** Runs that compare licenses, receipts, interactions and ledger, and what they found. */
export function addReconciliationRoutes(api: Api, ctx: Context): void {
  addRunRoutes(api, ctx);
  addFindingRoutes(api, ctx);
}

function addRunRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/reconciliations",
      tags,
      summary: "Compare licenses, receipts, interactions and ledger now",
      responses: {
        200: jsonAnswer("One waits or is under way already", runSchema),
        202: jsonAnswer("It begins soon", runSchema),
      },
    }),
    async (c) => {
      const { run, isNew } = await requestReconciliation(ctx, actorOf(c.get("principal")));
      return c.json(runView(run), isNew ? 202 : 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/reconciliations",
      tags,
      summary: "Runs, newest first",
      request: { query: z.object(pageQuery) },
      responses: {
        200: jsonAnswer("A page", z.object({ reconciliations: z.array(runSchema), next: z.string().nullable() })),
      },
    }),
    async (c) => {
      const { reconciliations, next } = await listRuns(ctx, pageOf(c.req.valid("query")));
      return c.json({ reconciliations: [...reconciliations], next }, 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/reconciliations/{id}",
      tags,
      summary: "A run, and what is open now: as JSON, or as a report to read (Accept: text/markdown)",
      request: { params: z.object({ id: identifierSchema }) },
      responses: { 200: readableAnswer("The report", reportSchema) },
    }),
    async (c) => {
      const report = unwrap(await reportRun(ctx, c.req.valid("param").id));
      if (wantsText(c)) return sendText(report);
      const open = FINDING_KINDS.map((kind) => ({ kind, ...ADVICE[kind], count: report.open.get(kind) ?? 0 }));
      return c.json({ ...report.run, open, findings: [...report.findings], next: report.next }, 200);
    },
  );
}

function addFindingRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/findings",
      tags,
      summary: "What does not fit together: as JSON, or as a report to read (Accept: text/markdown)",
      request: {
        query: z.object({
          state: z.enum(["open", "resolved", "closed"]).optional(),
          kind: kindSchema.optional(),
          ...pageQuery,
        }),
      },
      responses: {
        200: readableAnswer("A page", z.object({ findings: z.array(findingSchema), next: z.string().nullable() })),
      },
    }),
    async (c) => {
      const { state, kind, ...page } = c.req.valid("query");
      const filter = { state, kind, ...pageOf(page) };
      if (wantsText(c)) return sendText(await reportFindings(ctx, filter));
      const { findings, next } = await listFindings(ctx, filter);
      return c.json({ findings: [...findings], next }, 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/findings/{id}/resolve",
      tags,
      summary: "Say how a finding was dealt with, although its cause may stay",
      request: {
        params: z.object({ id: identifierSchema }),
        body: jsonBody(z.strictObject({ note: z.string().trim().min(1).max(2_000) })),
      },
      responses: { 200: jsonAnswer("The finding", findingSchema) },
    }),
    async (c) => {
      const by = actorOf(c.get("principal"));
      const { note } = c.req.valid("json");
      return c.json(findingView(unwrap(await resolve(ctx, c.req.valid("param").id, { note, by }))), 200);
    },
  );
}

/** True when Markdown, or plain text, is named before JSON. */
function wantsText(c: ApiContext): boolean {
  return /^\s*text\/(markdown|plain)\b/i.test(c.req.header("accept") ?? "");
}

function sendText(report: Report): Response {
  return new Response(renderReport(report), {
    headers: { "content-type": "text/markdown; charset=utf-8", "cache-control": "no-store" },
  });
}
