import { type Result, accept, refuse } from "@licet/protocol";
import type { Answer, LicenseOutcome, LicenseWish } from "@licet/sdk";
import type { Connected, MarketplaceContext } from "./context.ts";

/** What this marketplace does with works: it trains, and earns nothing with it. */
const SCOPE = ["training"];
/** Who accepts agreements here: whoever connected this marketplace with the platform. */
const ACCEPTED_BY = "the operator of the reference marketplace";

export interface Licensed {
  readonly datasetId: string;
  readonly modelId: string;
  readonly fingerprint: string;
}

/**
 * The license to train a model on a dataset: the one in force, or a new one. An agreement that the
 * platform demands first is accepted. Refuses what the platform refuses, and `conflict` while a
 * person there has not decided.
 */
export async function obtainLicense(
  context: MarketplaceContext,
  connected: Connected,
  { datasetId, modelId, fingerprint }: Licensed,
): Promise<Result<string>> {
  const wish = { model: { model_id: modelId, fingerprint }, scope: SCOPE };
  const outcome = await askAccepting(context, connected, datasetId, wish);
  if (!outcome.ok) return outcome;
  if (outcome.value.kind === "issued") return accept(outcome.value.license.license_id);
  const { request_id } = outcome.value.request;
  return refuse("conflict", `the request ${request_id} for a license of ${datasetId} waits for a decision`);
}

async function askAccepting(
  context: MarketplaceContext,
  connected: Connected,
  datasetId: string,
  wish: LicenseWish,
): Promise<Answer<LicenseOutcome>> {
  const outcome = await connected.client.requestLicense(datasetId, wish);
  if (outcome.ok || outcome.refusal.code !== "agreement_not_accepted") return outcome;
  const accepted = await acceptAgreements(context, connected);
  return accepted.ok ? connected.client.requestLicense(datasetId, wish) : accepted;
}

/** Accepts the newest version of everything that the platform asks of marketplaces. */
async function acceptAgreements(
  { receiptSigner, receiptJwk }: MarketplaceContext,
  { client, connection }: Connected,
): Promise<Answer<true>> {
  const agreements = await client.listAgreements();
  if (!agreements.ok) return agreements;
  const accepting = { marketplaceId: connection.marketplace_id, acceptedBy: ACCEPTED_BY, signer: receiptSigner };
  for (const agreement of agreements.value) {
    if (!agreement.is_newest || agreement.accepted_at !== undefined) continue;
    let accepted = await client.acceptAgreement(agreement, accepting);
    // The platform learns the key with what it signs first, unless its operator registered it before.
    if (!accepted.ok && accepted.refusal.code === "receipt_key_unknown") {
      const enrolled = await client.registerReceiptKey(connection.marketplace_id, receiptJwk);
      if (!enrolled.ok) return enrolled;
      accepted = await client.acceptAgreement(agreement, accepting);
    }
    if (!accepted.ok) return accepted;
  }
  return { ok: true, value: true };
}
