import { type Offence, type Refusal, type Result, accept, formatInstant, refuse } from "@licet/protocol";
import { type DatasetCheck, type DatasetReport, verifyDataset } from "@licet/sdk";
import type { Connected, MarketplaceContext } from "./context.ts";
import {
  type VerifiedDataset,
  findDataset,
  invalidateReceipts,
  loadSeen,
  saveSeen,
  saveVerified,
  wasTakenBack,
} from "./dataset-store.ts";
import { newestRefusal } from "./webhook-store.ts";

/** What a verification established, and how much was known of refusals when it began. */
export interface Verification {
  readonly report: DatasetReport;
  readonly datasetId: string;
  readonly manifestUrl: string;
  readonly refusalAtStart: number;
}

/** Verifies with `sdk/` alone, and remembers how new the documents were that it saw. */
export async function verifyConnected(
  context: MarketplaceContext,
  { connection, client }: Connected,
  dataset: Pick<Verification, "datasetId" | "manifestUrl">,
): Promise<Verification> {
  const { store, fetch, now, config } = context;
  const refusalAtStart = newestRefusal(store, dataset.datasetId);
  const report = await verifyDataset(dataset.manifestUrl, {
    client,
    fetch,
    now,
    marketplaceId: connection.marketplace_id,
    allowTest: config.test,
    previous: loadSeen(store),
  });
  saveSeen(store, report.seen);
  return { ...dataset, report, refusalAtStart };
}

/**
 * Stores a verification that succeeded; must run inside a transaction. Refuses (`conflict`) when a
 * refusal arrived while it went on, because the documents it read may be from before.
 */
export function storeVerification(context: MarketplaceContext, verification: Verification): Result<VerifiedDataset> {
  const { report, datasetId, manifestUrl, refusalAtStart } = verification;
  const { manifest, status, items } = report;
  if (manifest === undefined || status === undefined || !report.summary.usable)
    return { ok: false, refusal: refusalOf(report) };
  if (newestRefusal(context.store, datasetId) !== refusalAtStart)
    return refuse("conflict", `a refusal for ${datasetId} arrived during the verification: verify again`);
  const verified = { manifestUrl, manifest, status, items, verifiedAt: formatInstant(context.now()) };
  const known = findDataset(context.store, datasetId);
  // A webhook that was lost is made up for here.
  if (known !== undefined && wasTakenBack(known, status)) invalidateReceipts(context.store, datasetId);
  saveVerified(context.store, verified);
  return accept(verified);
}

/** Why a report does not allow use: the platform cannot be asked now, or something does not hold. Each failed check is named. */
export function refusalOf(report: DatasetReport): Refusal {
  const failed = report.checks.filter((check) => check.outcome === "failed");
  const offences: readonly Offence[] = failed.map((check) => ({
    at: check.id,
    code: codeOf(check),
    detail: check.detail,
  }));
  const isTransient = failed.length > 0 && failed.every((check) => codeOf(check) === "unavailable");
  const detail = failed.map((check) => `${check.id} (${codeOf(check)}): ${check.detail}`).join("; ");
  return {
    code: isTransient ? "unavailable" : "input_invalid",
    detail: `the dataset does not verify: ${detail === "" ? "not every check could be made" : detail}`,
    offences,
  };
}

function codeOf(check: DatasetCheck): Offence["code"] {
  return check.code ?? "input_invalid";
}
