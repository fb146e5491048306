import { accept } from "@licet/protocol";
import { type Context, nowSeconds } from "../context.ts";
import { writeFact } from "../events/write-fact.ts";
import { recordStep } from "./open-cases.ts";
import { endOffer, lockCase, readExpiredOffers, readNewlyOverdue, readOffers, updateCase } from "./store.ts";

/** Cases that one sweep looks after; the others come at the next one. */
const BATCH = 100;

/** Ends offers whose time is over, and says of cases that they should have come to an end. */
export async function sweepRemediations(ctx: Context): Promise<void> {
  for (const caseId of await readExpiredOffers(ctx.db, nowSeconds(ctx), BATCH)) await expireOffer(ctx, caseId);
  for (const caseId of await readNewlyOverdue(ctx.db, nowSeconds(ctx), BATCH)) await flagOverdue(ctx, caseId);
}

async function expireOffer(ctx: Context, caseId: string): Promise<void> {
  await writeFact(ctx, async (fact) => {
    const row = await lockCase(fact.trx, caseId);
    const offer = (await readOffers(fact.trx, caseId)).find(({ state }) => state === "standing");
    if (row?.state !== "offered" || offer === undefined || offer.expires_at > fact.now) return accept(undefined);
    await endOffer(fact.trx, offer.offer_id, { state: "expired", at: fact.now, by: "timer" });
    const changed = await updateCase(fact.trx, caseId, { state: "open" });
    recordStep(fact, changed, "offer-ended", { offer_id: offer.offer_id, outcome: "expired", by: "timer" });
    return accept(undefined);
  });
}

async function flagOverdue(ctx: Context, caseId: string): Promise<void> {
  await writeFact(ctx, async (fact) => {
    const row = await lockCase(fact.trx, caseId);
    const isUnderWay = row?.state === "open" || row?.state === "offered";
    if (row === undefined || !isUnderWay || row.overdue_at !== null) return accept(undefined);
    const changed = await updateCase(fact.trx, caseId, { overdue_at: fact.now });
    recordStep(fact, changed, "overdue", { due_at: row.due_at, by: "timer" });
    return accept(undefined);
  });
}
