import { accept } from "@licet/protocol";
import { endConsents } from "../consents/end-consents.ts";
import { lockConsents, readOverdueJtis } from "../consents/lookup.ts";
import type { Context } from "../context.ts";
import { nowSeconds } from "../context.ts";
import { refreshDatasets } from "../datasets/render-dataset.ts";
import { readTouched } from "../datasets/lookup.ts";
import { writeFact } from "../events/write-fact.ts";

/** Consents that expire in one fact. */
const BATCH = 100;

/** Expiry is a fact of its own: the bits, the datasets and the marketplaces learn of it like of a revocation. */
export async function expireConsents(ctx: Context): Promise<void> {
  let overdue = await readOverdueJtis(ctx.db, nowSeconds(ctx), BATCH);
  while (overdue.length > 0) {
    await expire(ctx, overdue);
    overdue = await readOverdueJtis(ctx.db, nowSeconds(ctx), BATCH);
  }
}

async function expire(ctx: Context, overdue: readonly string[]): Promise<void> {
  await writeFact(ctx, async (fact) => {
    const locked = await lockConsents(fact.trx, [...overdue].sort());
    const touched = await readTouched(fact.trx, { jtis: overdue, contentIds: [] });
    const ended = await endConsents(fact, locked, {
      state: "expired",
      by: "timer",
      reason: "the consent's time is over",
      datasetsOf: (jti) => touched.byConsents([jti]),
    });
    await refreshDatasets(fact, touched.byConsents(ended.map((row) => row.jti)));
    return accept(undefined);
  });
}
