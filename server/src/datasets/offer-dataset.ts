import { type Result, accept, formatInstant, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { writeFact } from "../events/write-fact.ts";
import type { Principal } from "../http/principal.ts";
import { actorOf } from "../http/principal.ts";
import { findMarketplace } from "../marketplaces/lookup.ts";
import { checkAudiences } from "./check-audiences.ts";
import { type OfferRow, findOffer, insertOffer, reopenOffer } from "./offer-store.ts";
import { lockDatasets } from "./store.ts";

/**
 * Offers a published dataset to a marketplace, which is then called to register it. Offered again,
 * nothing changes, unless the marketplace refused it: then it is called once more.
 *
 * Refuses `not_found`, `dataset_not_published`, `conflict` when nothing of it stands, and `items_not_covered` when consents name other marketplaces.
 */
export async function offerDataset(
  ctx: Context,
  {
    datasetId,
    marketplaceId,
    principal,
  }: { readonly datasetId: string; readonly marketplaceId: string; readonly principal: Principal },
): Promise<Result<{ readonly isNew: boolean; readonly offer: OfferRow }>> {
  return writeFact<{ readonly isNew: boolean; readonly offer: OfferRow }>(ctx, async (fact) => {
    if ((await findMarketplace(fact.trx, marketplaceId)) === undefined)
      return refuse("not_found", `there is no marketplace ${marketplaceId}`);
    const [dataset] = await lockDatasets(fact.trx, [datasetId]);
    if (dataset === undefined) return refuse("not_found", `there is no dataset ${datasetId}`);
    if (dataset.current_version === 0) return refuse("dataset_not_published", `the dataset ${datasetId} is a draft`);
    if (dataset.state === "revoked" || dataset.state === "expired" || dataset.state === "suspended")
      return refuse("conflict", `nothing of the dataset ${datasetId} stands: it is ${dataset.state}`);
    const audience = await checkAudiences(
      fact.trx,
      { dataset_id: datasetId, version: dataset.current_version },
      marketplaceId,
    );
    if (!audience.ok) return audience;
    const offer: OfferRow = {
      dataset_id: datasetId,
      marketplace_id: marketplaceId,
      offered_at: fact.now,
      state: "pending",
      registered_at: null,
      attempts: 0,
      next_attempt_at_ms: ctx.clock.nowMs(),
      last_error: null,
    };
    const isNew = await insertOffer(fact.trx, offer);
    if (!isNew && !(await reopenOffer(fact.trx, offer)))
      return accept({ isNew, offer: (await findOffer(fact.trx, datasetId, marketplaceId)) ?? offer });
    fact.record({
      type: "dataset.offered",
      aggregate: datasetId,
      body: { dataset_id: datasetId, marketplace_id: marketplaceId, by: actorOf(principal) },
    });
    return accept({ isNew, offer });
  });
}

export function offerView(offer: OfferRow) {
  const { dataset_id, marketplace_id, state, attempts } = offer;
  return {
    dataset_id,
    marketplace_id,
    state,
    offered_at: formatInstant(offer.offered_at),
    attempts,
    ...(offer.registered_at === null ? {} : { registered_at: formatInstant(offer.registered_at) }),
    ...(offer.last_error === null ? {} : { last_error: offer.last_error }),
  };
}
