import { type Result, accept, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import type { Principal } from "../http/principal.ts";
import { checkAudiences } from "./check-audiences.ts";
import { findOffer } from "./offer-store.ts";
import { type DatasetRow, type VersionRow, findDataset, findVersion } from "./store.ts";

/**
 * A dataset the caller may look into: the platform into all, a marketplace into what it was offered.
 * To a marketplace, what was never published is not there. Refuses `not_found` and `not_yours`.
 */
export async function requireDataset(
  ctx: Context,
  principal: Principal,
  datasetId: string,
): Promise<Result<DatasetRow>> {
  const dataset = await findDataset(ctx.db, datasetId);
  const isVisible = dataset !== undefined && (principal.kind !== "marketplace" || dataset.current_version > 0);
  if (!isVisible) return refuse("not_found", `there is no dataset ${datasetId}`);
  if (principal.kind !== "marketplace") return accept(dataset);
  const offer = await findOffer(ctx.db, datasetId, principal.marketplaceId);
  return offer === undefined
    ? refuse("not_yours", `the dataset ${datasetId} was not offered to ${principal.marketplaceId}`)
    : accept(dataset);
}

/** A published version of a dataset the caller may look into. Refuses also `dataset_not_published`. */
export async function requireVersion(
  ctx: Context,
  principal: Principal,
  { datasetId, version }: { readonly datasetId: string; readonly version?: number },
): Promise<Result<{ readonly dataset: DatasetRow; readonly version: VersionRow }>> {
  const dataset = await requireDataset(ctx, principal, datasetId);
  if (!dataset.ok) return dataset;
  if (dataset.value.current_version === 0)
    return refuse("dataset_not_published", `the dataset ${datasetId} is a draft`);
  const row = await findVersion(ctx.db, datasetId, version ?? dataset.value.current_version);
  if (row === undefined) return refuse("not_found", `the dataset ${datasetId} has no version ${version}`);
  const isForCaller = await mayRead(ctx, principal, dataset.value, row);
  return isForCaller
    ? accept({ dataset: dataset.value, version: row })
    : refuse("not_yours", `version ${row.version} of ${datasetId} stands on consents that name other marketplaces`);
}

/** The current version was checked when it was offered or published; an older one may be from before the offer. */
async function mayRead(ctx: Context, principal: Principal, dataset: DatasetRow, version: VersionRow): Promise<boolean> {
  if (principal.kind !== "marketplace" || version.version === dataset.current_version) return true;
  return (await checkAudiences(ctx.db, version, principal.marketplaceId)).ok;
}
