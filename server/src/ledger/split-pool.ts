import {
  type JsonObject,
  type Result,
  type RevenueSplit,
  type SharedAmount,
  accept,
  platformFee,
  refuse,
  splitByWeight,
} from "@licet/protocol";
import { ulid } from "ulid";
import { type Context, nowSeconds } from "../context.ts";
import type { Trx } from "../db/open-database.ts";
import { addUpCreatorWeights, findVersion, offerOf, readCreatorWeights } from "../datasets/lookup.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { type SplitRange, readSplitRange } from "./pool-store.ts";
import { postTransactions } from "./post-transactions.ts";
import {
  type AccountRow,
  findAccountById,
  lockLedger,
  readAccounts,
  readBalanceBefore,
  readTransactionsByReference,
} from "./store.ts";

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

/** What a split is computed from. */
export interface SplitInput {
  readonly owner: string;
  readonly poolMicros: bigint;
  readonly seed: string;
  /** True to add weights up anew from the version's lines, instead of taking the ones that are kept. */
  readonly isCheck: boolean;
}

/** Computes a split from the version's frozen lines: the same pool and seed give the same split at any time. */
export async function computeSplit(
  trx: Trx | Context["db"],
  { owner, poolMicros, seed, isCheck }: SplitInput,
): Promise<PoolSplit> {
  const name = versionOfPool(owner);
  const version = await findVersion(trx, name.dataset_id, name.version);
  if (version === undefined) throw new TypeError(`pool ${owner}: expected a version that exists`);
  const { revenueSplit } = offerOf(version);
  const feeMicros = platformFee(poolMicros, revenueSplit.platform_fee_bps);
  const sharedMicros = poolMicros - feeMicros;
  const weights = await (isCheck ? addUpCreatorWeights : readCreatorWeights)(trx, name, revenueSplit.by);
  return { ...revenueSplit, poolMicros, feeMicros, sharedMicros, shares: splitByWeight(sharedMicros, weights, seed) };
}

/** When a pool is shared out, and as what. */
export interface SplitTime {
  /** Unique for the pool: the month that is closed, or a ULID for a split before that. */
  readonly name: string;
  /** Seconds since the epoch: what counts before it is shared out. */
  readonly until: number;
}

/**
 * Shares out what a pool holds: the fee first, then by weights. Once for each name and pool, so that
 * a close that was interrupted goes on where it was. The ledger is held from the start, since what is
 * shared out must not be shared out by somebody else meanwhile; and never more than the pool holds
 * now, of which an earlier split or a correction may have taken what counts before `until`. A pool
 * that owes, because more was taken back than came in, waits for the next time. Answers the
 * transaction; undefined when nothing was there.
 */
export async function splitPool(
  ctx: Context,
  { name, until }: SplitTime,
  pool: Pick<AccountRow, "account_id" | "kind" | "owner" | "currency">,
): Promise<string | undefined> {
  const reference = `${name}/${pool.owner}`;
  const split = await writeFact(ctx, async (fact) => {
    const { trx } = fact;
    await lockLedger(trx);
    const [known] = await readTransactionsByReference(trx, "pool_split", [reference]);
    if (known !== undefined) return accept(known.transaction_id);
    const countedMicros = -(await readBalanceBefore(trx, pool.account_id, until));
    const heldMicros = -((await findAccountById(trx, pool.account_id))?.balanceMicros ?? 0n);
    const poolMicros = heldMicros < countedMicros ? heldMicros : countedMicros;
    if (poolMicros <= 0n) return accept(undefined);
    const range = await readSplitRange(trx, pool.account_id, until);
    return accept(await postSplit(fact, pool, { reference, until, poolMicros, range }));
  });
  if (!split.ok) throw new TypeError(`pool ${pool.owner}: ${split.refusal.detail}`);
  return split.value;
}

async function postSplit(
  fact: Fact,
  pool: Pick<AccountRow, "kind" | "owner" | "currency">,
  {
    reference,
    until,
    poolMicros,
    range,
  }: { readonly reference: string; readonly until: number; readonly poolMicros: bigint; readonly range: SplitRange },
): Promise<string | undefined> {
  const { feeMicros, sharedMicros, shares, by, platform_fee_bps } = await computeSplit(fact.trx, {
    owner: pool.owner,
    poolMicros,
    seed: reference,
    isCheck: false,
  });
  const explanation: JsonObject = {
    until,
    ...versionOfPool(pool.owner),
    pool_micros: String(poolMicros),
    platform_fee_bps,
    fee_micros: String(feeMicros),
    shared_micros: String(sharedMicros),
    by,
    creators: shares.length,
    seed: reference,
  };
  fact.record({ type: "pool.split", aggregate: pool.owner, body: { ...explanation, currency: pool.currency } });
  const [transactionId] = postTransactions(fact, [
    {
      kind: "pool_split",
      reference,
      currency: pool.currency,
      valueAt: until - 1,
      explanation: { ...explanation, ...range, income: range.income.map((row) => ({ ...row })) },
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
  return transactionId;
}

/**
 * Shares out what a version's pool holds now, ahead of the month's close, which then shares out the
 * rest. Refuses `not_found`, and `pool_empty` when there is nothing to share out.
 */
export async function splitPoolNow(
  ctx: Context,
  { datasetId, version }: { readonly datasetId: string; readonly version: number },
): Promise<Result<{ readonly transactionId: string }>> {
  const [pool] = await readAccounts(ctx.db, { ...poolOf(datasetId, version), after: undefined, limit: 1 });
  if (pool === undefined) return refuse("not_found", `nothing was ever earned by version ${version} of ${datasetId}`);
  const now = nowSeconds(ctx);
  const transactionId = await splitPool(ctx, { name: ulid(ctx.clock.nowMs()), until: now + 1 }, pool);
  return transactionId === undefined
    ? refuse("pool_empty", `version ${version} of ${datasetId} has earned nothing since its pool was shared out last`)
    : accept({ transactionId });
}
