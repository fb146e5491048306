import { type Result, accept, formatInstant, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { findMarketplace } from "../marketplaces/lookup.ts";
import { type PullRow, readPullsOf } from "./pull-store.ts";

/** A receipt that was refused when it was read, and that was not accepted since. */
export interface KeptRefusal {
  /** Its place in its page, `receipts[3]`, when it has none. */
  readonly receipt_id: string;
  readonly code: string;
  readonly detail: string;
  /** When it was refused last. */
  readonly at: string;
}

/** How far a marketplace's receipts for a dataset were read, and what of them was refused. */
export interface PullState {
  readonly dataset_id: string;
  readonly last_at?: string;
  readonly last_error?: string;
  readonly failures: number;
  readonly next_at: string;
  /** The newest ones, the newest last. */
  readonly refusals: readonly KeptRefusal[];
}

/** What a pull keeps of what it refused, the newest last. */
export function readRefusals({ refusals }: Pick<PullRow, "refusals">): readonly KeptRefusal[] {
  const kept: readonly KeptRefusal[] = JSON.parse(refusals);
  return kept;
}

/** What came of the pulls of a marketplace's receipts. Refuses `not_found`. */
export async function readPulls(ctx: Context, marketplaceId: string): Promise<Result<readonly PullState[]>> {
  if ((await findMarketplace(ctx.db, marketplaceId)) === undefined)
    return refuse("not_found", `there is no marketplace ${marketplaceId}`);
  return accept((await readPullsOf(ctx.db, marketplaceId)).map(stateOf));
}

function stateOf(row: PullRow): PullState {
  return {
    dataset_id: row.dataset_id,
    ...(row.last_at === null ? {} : { last_at: formatInstant(row.last_at) }),
    ...(row.last_error === null ? {} : { last_error: row.last_error }),
    failures: row.failures,
    next_at: formatInstant(Math.floor(row.next_at_ms / 1_000)),
    refusals: readRefusals(row),
  };
}
