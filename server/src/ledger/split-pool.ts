import {
  type JsonObject,
  type RevenueSplit,
  type SharedAmount,
  accept,
  platformFee,
  splitByWeight,
} from "@licet/protocol";
import type { Context } from "../context.ts";
import type { Trx } from "../db/open-database.ts";
import { findVersion, offerOf, readCreatorWeights } from "../datasets/lookup.ts";
import { writeFact } from "../events/write-fact.ts";
import type { PeriodBounds } from "./periods.ts";
import { postTransactions } from "./post-transactions.ts";
import { type AccountRow, readBalanceBefore, readTransactionsByReference } from "./store.ts";

/** The account that a version's earnings wait in until its month is closed. */
export function poolOf(datasetId: string, version: number): { readonly kind: "pool"; readonly owner: string } {
  return { kind: "pool", owner: `${datasetId}/${version}` };
}

/** What a pool's account is named after. */
export function versionOfPool(owner: string): { readonly dataset_id: string; readonly version: number } {
  const at = owner.lastIndexOf("/");
  return { dataset_id: owner.slice(0, at), version: Number(owner.slice(at + 1)) };
}

/** How a pool was, or would be, shared out. */
export interface PoolSplit extends RevenueSplit {
  readonly poolMicros: bigint;
  readonly feeMicros: bigint;
  readonly sharedMicros: bigint;
  /** Creators, in the order of their ids. */
  readonly shares: readonly SharedAmount[];
}

/** Computes a split from the version's frozen lines: the same pool and seed give the same split at any time. */
export async function computeSplit(
  trx: Trx | Context["db"],
  { owner, poolMicros, seed }: { readonly owner: string; readonly poolMicros: bigint; readonly seed: string },
): Promise<PoolSplit> {
  const name = versionOfPool(owner);
  const version = await findVersion(trx, name.dataset_id, name.version);
  if (version === undefined) throw new TypeError(`pool ${owner}: expected a version that exists`);
  const { revenueSplit } = offerOf(version);
  const feeMicros = platformFee(poolMicros, revenueSplit.platform_fee_bps);
  const sharedMicros = poolMicros - feeMicros;
  const weights = await readCreatorWeights(trx, name, revenueSplit.by);
  return { ...revenueSplit, poolMicros, feeMicros, sharedMicros, shares: splitByWeight(sharedMicros, weights, seed) };
}

/**
 * Shares out what a pool holds at the end of a month: the fee first, then by weights. Once for each
 * month and pool, so that a close that was interrupted goes on where it was. A pool that owes, because
 * more was taken back than came in, waits for the next month.
 */
export async function splitPool(ctx: Context, bounds: PeriodBounds, pool: AccountRow): Promise<void> {
  const reference = `${bounds.period}/${pool.owner}`;
  const split = await writeFact(ctx, async (fact) => {
    const { trx } = fact;
    const known = await readTransactionsByReference(trx, "pool_split", [reference]);
    const poolMicros = -(await readBalanceBefore(trx, pool.account_id, bounds.until));
    if (known.length > 0 || poolMicros <= 0n) return accept(undefined);
    const { feeMicros, sharedMicros, shares, by, platform_fee_bps } = await computeSplit(trx, {
      owner: pool.owner,
      poolMicros,
      seed: reference,
    });
    const explanation: JsonObject = {
      period: bounds.period,
      ...versionOfPool(pool.owner),
      pool_micros: String(poolMicros),
      platform_fee_bps,
      fee_micros: String(feeMicros),
      shared_micros: String(sharedMicros),
      by,
      creators: shares.length,
      seed: reference,
    };
    postTransactions(fact, [
      {
        kind: "pool_split",
        reference,
        currency: pool.currency,
        valueAt: bounds.until - 1,
        explanation,
        entries: [
          { account: pool, amountMicros: poolMicros },
          { account: { kind: "platform_fee", owner: "" }, amountMicros: -feeMicros },
          ...shares.map((share) => ({
            account: { kind: "creator" as const, owner: share.name },
            amountMicros: -share.amountMicros,
          })),
        ],
      },
    ]);
    fact.record({ type: "pool.split", aggregate: pool.owner, body: explanation });
    return accept(undefined);
  });
  if (!split.ok) throw new TypeError(`pool ${pool.owner}: ${split.refusal.detail}`);
}
