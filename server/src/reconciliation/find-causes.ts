import { canonicalize } from "@licet/protocol";
import { type Context, nowSeconds } from "../context.ts";
import { type CheckName, CHECKS, checkRollups } from "../analytics/check-rollups.ts";
import type { FindingKind } from "../db/reporting-tables.ts";
import { boundsAround, boundsOf, findNewestPeriod } from "../ledger/lookup.ts";
import {
  type Cause,
  MAX_CAUSES,
  findUnlicensedReceipts,
  findUnreportedFetches,
  findUnprovenMoney,
  findUnreportedLicenses,
  findUnreportedReads,
  findUnsplitPools,
  lookPatiently,
} from "./cause-store.ts";
import { findWrongSums } from "./kept-sums-store.ts";

/** Everything that is looked for, in the order of the looks: what there is of it at this instant, ordered by subject. */
export const LOOKS: Readonly<Record<FindingKind, (ctx: Context) => Promise<readonly Cause[]>>> = {
  license_never_reported: (ctx) => lookPatiently(ctx.db, (trx) => findUnreportedLicenses(trx, unreported(ctx))),
  receipt_without_license: (ctx) => lookPatiently(ctx.db, findUnlicensedReceipts),
  fetches_without_receipt: (ctx) => lookPatiently(ctx.db, (trx) => findUnreportedReads(trx, unreported(ctx))),
  edge_fetches_without_receipt: (ctx) => lookPatiently(ctx.db, (trx) => findUnreportedFetches(trx, unreported(ctx))),
  money_without_receipt: (ctx) => lookPatiently(ctx.db, findUnprovenMoney),
  pools_not_split: findPools,
  rollup_differs: findDifferences,
  kept_sums_differ: (ctx) => lookPatiently(ctx.db, (trx) => findWrongSums(trx, MAX_CAUSES + 1)),
};

export const FINDING_KINDS = [
  "license_never_reported",
  "receipt_without_license",
  "fetches_without_receipt",
  "edge_fetches_without_receipt",
  "money_without_receipt",
  "pools_not_split",
  "rollup_differs",
  "kept_sums_differ",
] as const satisfies readonly FindingKind[];

function unreported(ctx: Context) {
  return { now: nowSeconds(ctx), seconds: ctx.config.money.unreportedSeconds };
}

async function findPools(ctx: Context): Promise<readonly Cause[]> {
  const newest = await findNewestPeriod(ctx.db);
  const closed = newest === undefined ? undefined : boundsOf(newest.period);
  // The month that this instant lies in is the first that may still wait.
  const dueUntil = boundsAround(nowSeconds(ctx) - ctx.config.money.unsplitSeconds).from;
  const closedUntil = closed?.ok === true ? closed.value.until : 0;
  return lookPatiently(ctx.db, (trx) => findUnsplitPools(trx, { closedUntil, dueUntil }));
}

/** Differences that a finding names; the check's own route names more. */
const MAX_NAMED = 10;

async function findDifferences(ctx: Context): Promise<readonly Cause[]> {
  const { checks } = await checkRollups(ctx);
  return [...CHECKS].sort().flatMap((name: CheckName) => {
    const { compared, differing, differences } = checks[name];
    if (differing === 0) return [];
    const named = differences.slice(0, MAX_NAMED).map((entry) => ({ ...entry, key: [...entry.key] }));
    return [{ subject: name, detail: canonicalize({ check: name, compared, differing, differences: named }) }];
  });
}
