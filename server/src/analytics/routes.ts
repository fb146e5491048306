import { z } from "@hono/zod-openapi";
import { type Result, formatInstant } from "@licet/protocol";
import { type Context, nowSeconds } from "../context.ts";
import { type Api, defineRoute, jsonAnswer, unwrap } from "../http/api.ts";
import { creatorIdSchema, identifierSchema, instantSchema, pageOf, pageQuery } from "../http/parameters.ts";
import { actorOf } from "../http/principal.ts";
import { checkRollups, isAgreed } from "./check-rollups.ts";
import type { Compared } from "./check-store.ts";
import { GROUPS } from "./group-by.ts";
import type { RollupFilters } from "./query-store.ts";
import { type Asked, type Groups, readEarnings, readUsage } from "./read-rollups.ts";
import { type Progress, findProgress, rebuildRollups } from "./rebuild-rollups.ts";

const tags = ["analytics"];

const daySchema = z.string().max(10).openapi({ example: "2026-11-28", description: "a day in UTC" });
const microsSchema = z.string().openapi({ example: "12345600", description: "micro-units of the currency" });
const currencySchema = z
  .string()
  .regex(/^[A-Z]{3}$/, "expected an ISO 4217 currency such as USD")
  .openapi({ example: "USD" });
const fingerprintSchema = z.string().regex(/^[0-9a-f]{64}$/, "expected a SHA-256 in lower-case hex");

const completeToSchema = z
  .object({
    at: instantSchema.openapi({ description: "everything that was accepted and posted before this is counted" }),
    receipt_sequence: z.int(),
    ledger_sequence: z.int(),
    is_current: z.boolean().openapi({ description: "true when nothing waits to be counted" }),
  })
  .openapi("RollupsCompleteTo");

const progressSchema = z
  .object({
    complete_to: completeToSchema,
    newest: z.object({ receipt_sequence: z.int(), ledger_sequence: z.int() }),
    rebuilt_at: instantSchema.optional(),
  })
  .openapi("RollupsProgress");

const usageGroupSchema = z
  .object({
    day: daySchema.optional(),
    dataset_id: identifierSchema.optional(),
    dataset_version: z.int().optional(),
    model_fingerprint: z.string().optional(),
    model_id: z.string().optional(),
    marketplace_id: z.string().optional(),
    unit: z.string().optional(),
    currency: z.string(),
    receipts: z.int(),
    units: z.string().optional().openapi({ description: "when grouped by unit" }),
    charged_micros: microsSchema,
  })
  .openapi("UsageGroup");

const earningGroupSchema = z
  .object({
    day: daySchema.optional(),
    creator_id: z.string().optional(),
    dataset_id: z.string().optional(),
    currency: z.string(),
    amount_micros: microsSchema,
  })
  .openapi("EarningGroup");

const comparedSchema = z.object({
  compared: z.int(),
  differing: z.int(),
  differences: z.array(
    z.object({ key: z.array(z.string()), rollup: z.string().nullable(), source: z.string().nullable() }),
  ),
});

const checkSchema = z
  .object({
    agrees: z.boolean(),
    complete_to: z.object({ receipt_sequence: z.int(), ledger_sequence: z.int() }),
    checks: z.object({
      receipts: comparedSchema,
      charges: comparedSchema,
      pools: comparedSchema,
      earnings: comparedSchema,
    }),
  })
  .openapi("RollupsCheck");

/** A cursor holds what its group is of, so it is longer than others. */
const MAX_CURSOR = 2_000;

function rollupQuery(groups: Readonly<Record<string, unknown>>) {
  const names = Object.keys(groups).join(",");
  return {
    group_by: z
      .string()
      .max(100)
      .optional()
      .openapi({
        description: `some of ${names}, in the order to sort by; always by currency as well`,
        example: names,
      }),
    from: daySchema.optional().openapi({ description: "days from this one on" }),
    until: daySchema.optional().openapi({ description: "days before this one" }),
    currency: currencySchema.optional(),
    dataset_id: identifierSchema.optional(),
    limit: pageQuery.limit,
    after: z
      .string()
      .max(MAX_CURSOR)
      .regex(/^[A-Za-z0-9_-]+$/, "expected a cursor that a page named as next")
      .optional()
      .openapi({ description: "the cursor that the page before named as next" }),
  };
}

/** Usage and earnings, added up by day; how far that goes; and the same sums from scratch. */
export function addAnalyticsRoutes(api: Api, ctx: Context): void {
  addUsageRoute(api, ctx);
  addEarningsRoute(api, ctx);
  addUpkeepRoutes(api, ctx);
}

function pageSchema<T extends z.ZodType>(group: T) {
  return z.object({ groups: z.array(group), next: z.string().nullable(), complete_to: completeToSchema });
}

/** What a query says beside its filters. */
interface Grouping {
  readonly group_by?: string | undefined;
  readonly from?: string | undefined;
  readonly until?: string | undefined;
  readonly after?: string | undefined;
  readonly limit?: number | undefined;
}

/** A page of groups, and how far they are counted. That is read first: what comes meanwhile is then more than is said, never less. */
async function readGroups<T>(
  ctx: Context,
  { group_by, from, until, after, limit, ...filters }: Grouping & RollupFilters,
  read: (asked: Asked) => Promise<Result<Groups<T>>>,
) {
  const progress = await findProgress(ctx);
  const asked = { groupBy: group_by, from, until, filters, ...pageOf({ after, limit }) };
  const { groups, next } = unwrap(await read(asked));
  return { groups: [...groups], next, complete_to: completeTo(ctx, progress) };
}

function addUsageRoute(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/analytics/usage",
      tags,
      summary: "Receipts, units and charges, added up by group",
      request: {
        query: z.object({
          ...rollupQuery(GROUPS.usage),
          marketplace_id: identifierSchema.optional(),
          model_fingerprint: fingerprintSchema.optional(),
          model_id: z.string().max(256).optional(),
          unit: z.string().max(40).optional(),
        }),
      },
      responses: { 200: jsonAnswer("A page", pageSchema(usageGroupSchema)) },
    }),
    async (c) => {
      const read = (asked: Asked) => readUsage(ctx, c.get("principal"), asked);
      return c.json(await readGroups(ctx, c.req.valid("query"), read), 200);
    },
  );
}

function addEarningsRoute(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/analytics/earnings",
      tags,
      summary: "What creators got, added up by group",
      request: {
        query: z.object({ ...rollupQuery(GROUPS.earnings), creator_id: creatorIdSchema.optional() }),
      },
      responses: { 200: jsonAnswer("A page", pageSchema(earningGroupSchema)) },
    }),
    async (c) => {
      const read = (asked: Asked) => readEarnings(ctx, c.get("principal"), asked);
      return c.json(await readGroups(ctx, c.req.valid("query"), read), 200);
    },
  );
}

function addUpkeepRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/analytics/progress",
      tags,
      summary: "How far usage and earnings are counted",
      responses: { 200: jsonAnswer("The progress", progressSchema) },
    }),
    async (c) => c.json(progressView(ctx, await findProgress(ctx)), 200),
  );

  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/analytics/rebuild",
      tags,
      summary: "Have usage and earnings counted anew, from the first receipt on",
      responses: { 202: jsonAnswer("Emptied; counting goes on by itself", progressSchema) },
    }),
    async (c) => c.json(progressView(ctx, unwrap(await rebuildRollups(ctx, actorOf(c.get("principal"))))), 202),
  );

  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/analytics/check",
      tags,
      summary: "Compare what is counted with receipts and ledger, added up from scratch",
      responses: { 200: jsonAnswer("What was compared", checkSchema) },
    }),
    async (c) => {
      const check = await checkRollups(ctx);
      const { receipt_sequence, ledger_sequence } = check.progress;
      const checks = {
        receipts: comparedView(check.checks.receipts),
        charges: comparedView(check.checks.charges),
        pools: comparedView(check.checks.pools),
        earnings: comparedView(check.checks.earnings),
      };
      return c.json({ agrees: isAgreed(check), complete_to: { receipt_sequence, ledger_sequence }, checks }, 200);
    },
  );
}

function comparedView({ compared, differing, differences }: Compared) {
  return { compared, differing, differences: differences.map((entry) => ({ ...entry, key: [...entry.key] })) };
}

function progressView(ctx: Context, { progress, newest }: Progress) {
  return {
    complete_to: completeTo(ctx, { progress, newest }),
    newest: { receipt_sequence: newest.receipt_sequence, ledger_sequence: newest.ledger_sequence },
    ...(progress.rebuilt_at === null ? {} : { rebuilt_at: formatInstant(progress.rebuilt_at) }),
  };
}

function completeTo(ctx: Context, { progress, newest }: Progress) {
  return {
    at: formatInstant(newest.waiting_since ?? nowSeconds(ctx)),
    receipt_sequence: progress.receipt_sequence,
    ledger_sequence: progress.ledger_sequence,
    is_current: newest.waiting_since === null,
  };
}
