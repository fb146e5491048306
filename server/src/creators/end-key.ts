import { type Result, type SignedDocument, accept, formatInstant, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { type Principal, actorOf } from "../http/principal.ts";
import { signCreatorKey } from "./enrol-key.ts";
import { requireOwn } from "./own.ts";
import { type CreatorKeyRow, findCreator, lockCreatorKey, updateCreatorKey } from "./store.ts";

export interface KeyOfCreator {
  readonly creatorId: string;
  readonly kid: string;
  readonly principal: Principal;
}

/**
 * Retires a creator's key: from now on nothing that it signs is accepted; what was accepted stands.
 * The last key may go, too: taking consents back never needs one. Retired again, it answers the same.
 * Refuses `not_found` and `not_yours`.
 */
export async function retireKey(ctx: Context, asked: KeyOfCreator): Promise<Result<SignedDocument>> {
  const row = await writeFact(ctx, async (fact) => {
    const found = await lockKey(fact, asked);
    if (!found.ok || found.value.not_after <= fact.now || found.value.revoked_at !== null) return found;
    await updateCreatorKey(fact.trx, asked.kid, { not_after: fact.now });
    await recordEnd(fact, asked, { type: "creator-key.retired", body: {} });
    return accept({ ...found.value, not_after: fact.now });
  });
  return row.ok ? accept(await signCreatorKey(ctx, row.value)) : row;
}

/**
 * Marks a creator's key, in this fact, as one that somebody else may have signed with since an
 * instant (seconds since the epoch). What it signed before stands. Told again with an earlier
 * instant, the earlier one counts. Refuses `not_found`, `not_yours` and `input_invalid`.
 */
export async function markCompromised(
  fact: Fact,
  asked: KeyOfCreator & { readonly since: number },
): Promise<Result<CreatorKeyRow>> {
  const { kid, since } = asked;
  const found = await lockKey(fact, asked);
  if (!found.ok) return found;
  if (since > fact.now)
    return refuse(
      "input_invalid",
      `body.compromised_since: expected not after ${formatInstant(fact.now)}, got ${formatInstant(since)}`,
    );
  const compromisedSince = Math.min(since, found.value.compromised_since ?? since);
  const revokedAt = found.value.revoked_at ?? fact.now;
  await updateCreatorKey(fact.trx, kid, { revoked_at: revokedAt, compromised_since: compromisedSince });
  await recordEnd(fact, asked, { type: "creator-key.revoked", body: { compromised_since: compromisedSince } });
  return accept({ ...found.value, revoked_at: revokedAt, compromised_since: compromisedSince });
}

async function lockKey(fact: Fact, { creatorId, kid, principal }: KeyOfCreator): Promise<Result<CreatorKeyRow>> {
  const own = requireOwn(principal, creatorId);
  if (!own.ok) return own;
  const row = await lockCreatorKey(fact.trx, kid);
  return row === undefined || row.creator_id !== creatorId
    ? refuse("not_found", `${creatorId} has no key ${kid}`)
    : accept(row);
}

async function recordEnd(
  fact: Fact,
  { creatorId, kid, principal }: KeyOfCreator,
  { type, body }: { readonly type: "creator-key.retired" | "creator-key.revoked"; readonly body: object },
): Promise<void> {
  const creator = await findCreator(fact.trx, creatorId);
  if (creator === undefined) throw new TypeError(`expected the creator ${creatorId}, whose key ${kid} is`);
  fact.record({
    type,
    aggregate: creator.aggregate,
    body: { creator_id: creatorId, kid, by: actorOf(principal), ...body },
  });
}
