import { type Result, accept, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { type Page, cutPage } from "../http/parameters.ts";
import type { Principal } from "../http/principal.ts";
import { type LicenseRequestRow, findRequest, readRequests } from "./request-store.ts";
import { type LicenseFilter, type LicenseRow, findLicense, readLicenses } from "./store.ts";

interface PageOf<T> {
  readonly rows: readonly T[];
  readonly next: string | null;
}

/** What the caller may see: a marketplace its own, the platform all. Refuses `not_found` and `not_yours`. */
export function checkOwn<T extends { readonly marketplace_id: string }>(
  row: T | undefined,
  id: string,
  principal: Principal,
): Result<T> {
  if (row === undefined) return refuse("not_found", `there is no ${id}`);
  return principal.kind === "marketplace" && principal.marketplaceId !== row.marketplace_id
    ? refuse("not_yours", `${id} is another marketplace's`)
    : accept(row);
}

export async function readLicense(ctx: Context, principal: Principal, licenseId: string): Promise<Result<LicenseRow>> {
  return checkOwn(await findLicense(ctx.db, licenseId), licenseId, principal);
}

export async function listLicenses(
  ctx: Context,
  principal: Principal,
  query: LicenseFilter & Page,
): Promise<Result<PageOf<LicenseRow>>> {
  const marketplaceId = ownOnly(principal, query.marketplaceId);
  if (!marketplaceId.ok) return marketplaceId;
  const rows = await readLicenses(ctx.db, { ...query, marketplaceId: marketplaceId.value });
  return accept(cutPage(rows, query.limit, (row) => row.license_id));
}

export async function readRequest(
  ctx: Context,
  principal: Principal,
  requestId: string,
): Promise<Result<LicenseRequestRow>> {
  return checkOwn(await findRequest(ctx.db, requestId), requestId, principal);
}

export interface RequestQuery extends Page {
  readonly datasetId: string | undefined;
  readonly marketplaceId: string | undefined;
  readonly state: LicenseRequestRow["state"] | undefined;
}

export async function listRequests(
  ctx: Context,
  principal: Principal,
  query: RequestQuery,
): Promise<Result<PageOf<LicenseRequestRow>>> {
  const marketplaceId = ownOnly(principal, query.marketplaceId);
  if (!marketplaceId.ok) return marketplaceId;
  const rows = await readRequests(ctx.db, { ...query, marketplaceId: marketplaceId.value });
  return accept(cutPage(rows, query.limit, (row) => row.request_id));
}

/** Refuses `not_yours` when a marketplace asks for another's. */
function ownOnly(principal: Principal, asked: string | undefined): Result<string | undefined> {
  if (principal.kind !== "marketplace") return accept(asked);
  return asked === undefined || asked === principal.marketplaceId
    ? accept(principal.marketplaceId)
    : refuse("not_yours", `expected your own licenses, got ${asked}`);
}
