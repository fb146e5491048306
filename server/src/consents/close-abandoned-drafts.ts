import { accept } from "@licet/protocol";
import type { Context } from "../context.ts";
import { writeFact } from "../events/write-fact.ts";
import { setStatuses } from "../status-lists/set-status.ts";
import { lockAbandonedDrafts, setDraftState } from "./store.ts";

/** Drafts closed in one fact. */
const BATCH = 100;

/** Closes drafts nobody signed in time, and sets their bits, so that a token made from one later is worth nothing. */
export async function closeAbandonedDrafts(ctx: Context): Promise<void> {
  await writeFact(ctx, async (fact) => {
    const abandoned = await lockAbandonedDrafts(fact.trx, fact.now, BATCH);
    if (abandoned.length === 0) return accept(undefined);
    await setDraftState(
      fact.trx,
      abandoned.map((draft) => draft.jti),
      "closed",
    );
    setStatuses(fact, abandoned, "revoked");
    for (const draft of abandoned)
      fact.record({ type: "consent.draft-closed", aggregate: draft.jti, body: { jti: draft.jti, by: "timer" } });
    return accept(undefined);
  });
}
