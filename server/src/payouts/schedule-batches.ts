import type { Context } from "../context.ts";
import { nowSeconds } from "../context.ts";
import { periodOf } from "../ledger/lookup.ts";
import { PAYOUT_ADAPTERS, adapterOf } from "./adapters.ts";
import { readOwedCurrencies } from "./balance-store.ts";
import { createBatch } from "./create-batch.ts";
import { findScheduledBatch } from "./store.ts";

/** Batches of one currency and adapter that a month's day makes; beyond it the next look goes on. */
const MAX_PARTS = 100;

/** From `LICET_PAYOUT_DAY` on, makes this month's batches, one currency and adapter after the other: each once. */
export async function createDueBatches(ctx: Context): Promise<void> {
  const { payoutDay } = ctx.config.payments;
  const now = nowSeconds(ctx);
  if (payoutDay === undefined || new Date(now * 1_000).getUTCDate() < payoutDay) return;
  for (const currency of await readOwedCurrencies(ctx.db))
    for (const adapter of PAYOUT_ADAPTERS)
      if ((await adapterOf(ctx, adapter)).ok) await createParts(ctx, { currency, adapter, period: periodOf(now) });
}

async function createParts(
  ctx: Context,
  { currency, adapter, period }: { currency: string; adapter: (typeof PAYOUT_ADAPTERS)[number]; period: string },
): Promise<void> {
  for (let part = 1; part <= MAX_PARTS; part += 1) {
    const schedule = `${period}/${part}`;
    const known = await findScheduledBatch(ctx.db, { adapter, currency, schedule });
    const batch = known ?? (await create(ctx, { currency, adapter, schedule }));
    if (batch === undefined || batch.left_count === 0) return;
  }
}

async function create(
  ctx: Context,
  { currency, adapter, schedule }: { currency: string; adapter: (typeof PAYOUT_ADAPTERS)[number]; schedule: string },
) {
  const created = await createBatch(ctx, { currency, adapter, by: "timer", schedule });
  if (created.ok) return created.value.batch;
  ctx.log.warn({ currency, adapter, schedule, refusal: created.refusal }, "a payout batch could not be made");
  return undefined;
}
