import { type DatasetRegistration, type Result, accept, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { nowSeconds } from "../context.ts";
import { documentPaths } from "../documents/document-paths.ts";
import { findEvent } from "../events/store.ts";
import { attemptError } from "../jobs/attempt-error.ts";
import { findMarketplace, platformTokenLabel } from "../marketplaces/lookup.ts";
import { type OfferRow, claimOffer, findOffer, readDueOffers, settleOffer } from "./offer-store.ts";
import { findDataset } from "./store.ts";

/** Waits between attempts to reach a marketplace, in seconds; after the last one the offer stays visible as refused. */
const RETRY_SECONDS = [5, 30, 300, 1_800, 7_200, 18_000, 36_000, 36_000] as const;
/** Longer than any attempt can take; should this process die, another one tries after it. */
const LEASE_MS = 30_000;
/** Attempts at once, so that a marketplace that hangs does not keep the others waiting. */
const MAX_DUE = 20;

/** Calls the marketplace a dataset was just offered to. */
export async function registerOffers(ctx: Context, eventId: string): Promise<void> {
  const event = await findEvent(ctx.db, eventId);
  const { dataset_id, marketplace_id } = event?.body ?? {};
  if (typeof dataset_id !== "string" || typeof marketplace_id !== "string") return;
  const offer = await findOffer(ctx.db, dataset_id, marketplace_id);
  if (offer !== undefined) await attempt(ctx, offer);
}

/** Calls again where an attempt failed and its wait is over. */
export async function retryRegistrations(ctx: Context): Promise<void> {
  const due = await readDueOffers(ctx.db, ctx.clock.nowMs(), MAX_DUE);
  await Promise.all(due.map((offer) => attempt(ctx, offer)));
}

async function attempt(ctx: Context, offer: OfferRow): Promise<void> {
  const nowMs = ctx.clock.nowMs();
  if (!(await claimOffer(ctx.db, offer, { nowMs, leaseUntilMs: nowMs + LEASE_MS }))) return;
  const registered = await callMarketplace(ctx, offer);
  if (registered.ok) {
    await settleOffer(ctx.db, offer, {
      state: "registered",
      registered_at: nowSeconds(ctx),
      next_attempt_at_ms: null,
      last_error: null,
    });
    return;
  }
  const wait = RETRY_SECONDS[offer.attempts];
  const isFinal = wait === undefined || registered.refusal.code === "conflict";
  const last_error = attemptError(registered.refusal.detail);
  await settleOffer(
    ctx.db,
    offer,
    isFinal
      ? { state: "refused", next_attempt_at_ms: null, last_error }
      : { next_attempt_at_ms: ctx.clock.nowMs() + wait * 1_000, last_error },
  );
  ctx.log.warn(
    { dataset_id: offer.dataset_id, marketplace_id: offer.marketplace_id, final: isFinal, error: last_error },
    "a dataset could not be registered",
  );
}

/** Refuses `conflict` when the marketplace said no, `unavailable` when it may say yes later. */
async function callMarketplace(ctx: Context, offer: OfferRow): Promise<Result<true>> {
  const marketplace = await findMarketplace(ctx.db, offer.marketplace_id);
  const dataset = await findDataset(ctx.db, offer.dataset_id);
  if (marketplace === undefined || dataset === undefined)
    return refuse("conflict", "the marketplace or the dataset is gone");
  const registration: DatasetRegistration = {
    dataset_id: dataset.dataset_id,
    name: dataset.name,
    version: dataset.current_version,
    origin: ctx.origin,
    manifest_url: ctx.origin + documentPaths.currentManifest(dataset.dataset_id),
    marketplace_id: marketplace.marketplace_id,
  };
  const token = marketplace.sealed_platform_token;
  const credentials: Record<string, string> =
    token === null
      ? {}
      : { authorization: `Bearer ${ctx.sealer.open(platformTokenLabel(marketplace.marketplace_id), token)}` };
  const answer = await ctx.outbound.send(`${marketplace.base_url}/api/v1/datasets`, {
    method: "POST",
    headers: { "content-type": "application/json", ...credentials },
    body: JSON.stringify(registration),
  });
  if (!answer.ok) return answer;
  const { status, body } = answer.value;
  if (status === 200 || status === 201) return accept(true);
  const isRefusal = status === 400 || status === 422;
  return refuse(isRefusal ? "conflict" : "unavailable", `${marketplace.marketplace_id} answered ${status}: ${body}`);
}
