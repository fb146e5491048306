import { type Result, accept, formatInstant, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { type Principal, actorOf } from "../http/principal.ts";
import { type ReceiptKeyRow, lockReceiptKey, updateReceiptKey } from "./store.ts";

export interface KeyOfMarketplace {
  readonly marketplaceId: string;
  readonly kid: string;
  readonly principal: Principal;
}

/** Retires a marketplace's key: receipts it signed stand, later ones are refused. Retired again, it answers the same. Refuses `not_found`. */
export async function retireReceiptKey(ctx: Context, asked: KeyOfMarketplace): Promise<Result<ReceiptKeyRow>> {
  return writeFact(ctx, async (fact) => {
    const found = await lockKey(fact, asked);
    if (!found.ok || found.value.not_after <= fact.now || found.value.revoked_at !== null) return found;
    await updateReceiptKey(fact.trx, asked.kid, { not_after: fact.now });
    recordEnd(fact, asked, "receipt-key.retired", {});
    return accept({ ...found.value, not_after: fact.now });
  });
}

/**
 * Revokes a marketplace's key in this fact: nothing that it signs is accepted any more. `since`
 * (seconds since the epoch) says from when on somebody else may have signed with it. Told again
 * with an earlier instant, the earlier one counts. Refuses `not_found` and `input_invalid`.
 */
export async function revokeReceiptKey(
  fact: Fact,
  asked: KeyOfMarketplace & { readonly since: number },
): Promise<Result<ReceiptKeyRow>> {
  const { kid, since } = asked;
  const found = await lockKey(fact, asked);
  if (!found.ok) return found;
  if (since > fact.now)
    return refuse(
      "input_invalid",
      `body.compromised_since: expected not after ${formatInstant(fact.now)}, got ${formatInstant(since)}`,
    );
  const change = {
    revoked_at: found.value.revoked_at ?? fact.now,
    compromised_since: Math.min(since, found.value.compromised_since ?? since),
  };
  await updateReceiptKey(fact.trx, kid, change);
  recordEnd(fact, asked, "receipt-key.revoked", { compromised_since: change.compromised_since });
  return accept({ ...found.value, ...change });
}

async function lockKey(fact: Fact, { marketplaceId, kid }: KeyOfMarketplace): Promise<Result<ReceiptKeyRow>> {
  const row = await lockReceiptKey(fact.trx, kid);
  return row === undefined || row.marketplace_id !== marketplaceId
    ? refuse("not_found", `${marketplaceId} has no receipt key ${kid}`)
    : accept(row);
}

function recordEnd(
  fact: Fact,
  { marketplaceId, kid, principal }: KeyOfMarketplace,
  type: "receipt-key.retired" | "receipt-key.revoked",
  more: { readonly compromised_since?: number },
): void {
  fact.record({
    type,
    aggregate: marketplaceId,
    body: { marketplace_id: marketplaceId, kid, by: actorOf(principal), ...more },
  });
}
