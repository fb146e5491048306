import { type Result, accept, formatInstant, refuse } from "@licet/protocol";
import { type Context, nowSeconds } from "../context.ts";
import { type Page, cutPage } from "../http/parameters.ts";
import { type FindingView, type RunView, findingView, runView } from "./finding-view.ts";
import type { Report } from "./render-report.ts";
import { findRun, readRuns } from "./run-store.ts";
import { type FindingFilter, countOpen, readFindings } from "./store.ts";

/** Findings on the report of a run; the list has the others. */
const MAX_REPORTED = 1_000;

export async function listRuns(
  ctx: Context,
  page: Page,
): Promise<{ readonly reconciliations: readonly RunView[]; readonly next: string | null }> {
  const { rows, next } = cutPage(await readRuns(ctx.db, page), page.limit, (row) => row.reconciliation_id);
  return { reconciliations: rows.map(runView), next };
}

export async function listFindings(
  ctx: Context,
  filter: FindingFilter,
): Promise<{ readonly findings: readonly FindingView[]; readonly next: string | null }> {
  const { rows, next } = cutPage(await readFindings(ctx.db, filter), filter.limit, (row) => row.finding_id);
  return { findings: rows.map(findingView), next };
}

/** Findings as a report. */
export async function reportFindings(ctx: Context, filter: FindingFilter): Promise<Report> {
  const open = await countOpen(ctx.db);
  return { origin: ctx.origin, at: formatInstant(nowSeconds(ctx)), open, ...(await listFindings(ctx, filter)) };
}

/** A run, and what is open now. Refuses `not_found`. */
export async function reportRun(ctx: Context, runId: string): Promise<Result<Report & { readonly run: RunView }>> {
  const row = await findRun(ctx.db, runId);
  if (row === undefined) return refuse("not_found", `there is no reconciliation ${runId}`);
  const report = await reportFindings(ctx, { state: "open", after: undefined, limit: MAX_REPORTED });
  return accept({ ...report, run: runView(row) });
}
