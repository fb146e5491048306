import { type Result, accept, isJti, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { readDatasetIdsOfCreator } from "../datasets/lookup.ts";
import { REFUSAL_EVENTS } from "../events/event-jobs.ts";
import { findFeedMessage } from "../events/feed-store.ts";
import { type StoredEvent, findEvent, readNewestIds } from "../events/store.ts";
import { type Principal, isPlatform } from "../http/principal.ts";
import { findMessage } from "../webhooks/lookup.ts";
import { followFact } from "./follow-facts.ts";
import { type LegFilter, type PropagationRow, concernsMarketplace, findPropagation } from "./store.ts";

/** A fact that refuses something, for one reader. */
export interface FoundRevocation {
  readonly row: PropagationRow;
  readonly event: StoredEvent;
  /** What of its legs the reader sees. */
  readonly filter: LegFilter;
  /** The dataset of the message by whose id it was asked for. */
  readonly datasetId: string | undefined;
}

/**
 * Finds a revocation, suspension, expiry or the like: by the id of its event, by the jti of the
 * consent (then it is the last one about it), or by the `event_id` of a message that told of it.
 * Whoever may not read it learns as much as if there were none. Looks at its legs first.
 *
 * Refuses `not_found`.
 */
export async function findRevocation(ctx: Context, id: string, principal: Principal): Promise<Result<FoundRevocation>> {
  const none = refuse("not_found", `there is no revocation ${id}`);
  const named = await findNamed(ctx, id, principal);
  const event = named === undefined ? undefined : await findEvent(ctx.db, named.eventId);
  if (named === undefined || event === undefined || !(await mayRead(ctx, principal, event))) return none;
  const known = await findPropagation(ctx.db, event.id);
  if (known?.is_done !== true) await followFact(ctx, event.id);
  const row = await findPropagation(ctx.db, event.id);
  if (row === undefined) return none;
  if (principal.kind !== "marketplace")
    return accept({ row, event, filter: { eventId: event.id, marketplaceId: undefined }, datasetId: named.datasetId });
  const { marketplaceId } = principal;
  return (await concernsMarketplace(ctx.db, event.id, marketplaceId))
    ? accept({ row, event, filter: { eventId: event.id, marketplaceId }, datasetId: named.datasetId })
    : none;
}

interface Named {
  readonly eventId: string;
  readonly datasetId: string | undefined;
}

async function findNamed({ db }: Context, id: string, principal: Principal): Promise<Named | undefined> {
  if (isJti(id)) {
    const eventId = (await readNewestIds(db, [id], REFUSAL_EVENTS)).get(id);
    return eventId === undefined ? undefined : { eventId, datasetId: undefined };
  }
  const message = await findMessage(db, id);
  if (message !== undefined) {
    const isOthers = principal.kind === "marketplace" && message.marketplace_id !== principal.marketplaceId;
    return isOthers ? undefined : { eventId: message.event_id, datasetId: message.dataset_id };
  }
  return (await findFeedMessage(db, id)) ?? { eventId: id, datasetId: undefined };
}

/** A marketplace's own legs are looked for later, once the fact is followed. */
async function mayRead(
  { db }: Context,
  principal: Principal,
  { type, aggregate, body }: StoredEvent,
): Promise<boolean> {
  if (isPlatform(principal) || principal.kind === "marketplace") return true;
  if (principal.kind !== "creator") return false;
  if (type.startsWith("dataset.")) return (await readDatasetIdsOfCreator(db, principal.creatorId)).includes(aggregate);
  return body["creator_id"] === principal.creatorId;
}
