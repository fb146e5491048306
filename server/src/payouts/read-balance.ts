import { platformFee } from "@licet/protocol";
import type { Context } from "../context.ts";
import { nowSeconds } from "../context.ts";
import { offerOf, readVersionsByName } from "../datasets/lookup.ts";
import { poolOf, versionOfPool } from "../ledger/lookup.ts";
import { readCreatorBalances, readOpenPools, readPayoutSums } from "./balance-store.ts";

/** What a creator earned in one currency, by where it is. */
export interface BalanceView {
  readonly currency: string;
  /** Credited, and not yet as long ago as `LICET_PAYOUT_HOLD_DAYS`. */
  readonly pending_micros: string;
  /** What the next batch can pay; below zero when more was taken back than was left. */
  readonly available_micros: string;
  readonly in_payout_micros: string;
  readonly paid_micros: string;
  /** What pools that are not split yet would give if they were split now, rounded down for each. */
  readonly accruing_micros: string;
}

/** Pools that an estimate looks at. */
const MAX_POOLS = 500;

/** A creator's balances, by currency. */
export async function readBalances(ctx: Context, creatorId: string): Promise<readonly BalanceView[]> {
  const heldSince = nowSeconds(ctx) - ctx.config.payments.holdSeconds;
  const balances = await readCreatorBalances(ctx.db, creatorId, heldSince);
  const sums = new Map((await readPayoutSums(ctx.db, creatorId)).map((row) => [row.currency, row]));
  const accruing = await estimateShares(ctx, creatorId);
  const currencies = [...new Set([...balances.map((row) => row.currency), ...sums.keys(), ...accruing.keys()])].sort();
  return currencies.map((currency) => {
    const own = balances.find((row) => row.currency === currency);
    const [balance, pending] = [own?.balanceMicros ?? 0n, own?.pendingMicros ?? 0n];
    return {
      currency,
      pending_micros: String(pending),
      available_micros: String(balance - pending),
      in_payout_micros: String(sums.get(currency)?.inPayoutMicros ?? 0n),
      paid_micros: String(sums.get(currency)?.paidMicros ?? 0n),
      accruing_micros: String(accruing.get(currency) ?? 0n),
    };
  });
}

/** The creator's share of every open pool, rounded down: whose remainder is among the largest is known at the split. */
async function estimateShares(ctx: Context, creatorId: string): Promise<ReadonlyMap<string, bigint>> {
  const pools = await readOpenPools(ctx.db, creatorId, MAX_POOLS);
  const names = pools.map(({ owner }) => versionOfPool(owner));
  const versions = new Map(
    (await readVersionsByName(ctx.db, names)).map((row) => [poolOf(row.dataset_id, row.version).owner, row]),
  );
  const estimates = new Map<string, bigint>();
  for (const { owner, currency, poolMicros, weights } of pools) {
    const version = versions.get(owner);
    if (version === undefined) throw new TypeError(`pool ${owner}: expected a version that exists`);
    const { by, platform_fee_bps } = offerOf(version).revenueSplit;
    const { own, all } = weights[by];
    const share = all === 0n ? 0n : ((poolMicros - platformFee(poolMicros, platform_fee_bps)) * own) / all;
    estimates.set(currency, (estimates.get(currency) ?? 0n) + share);
  }
  return estimates;
}
