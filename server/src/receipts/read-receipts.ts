import { type JsonObject, type Result, accept, parseInstant, refuse } from "@licet/protocol";
import { type Context, nowSeconds } from "../context.ts";
import {
  findDataset,
  readDatasetIdsOfCreator,
  readVersionsOfCreator,
  readVersionStandings,
  type VersionStanding,
} from "../datasets/lookup.ts";
import { requireDataset } from "../datasets/read-dataset.ts";
import { cutPage } from "../http/parameters.ts";
import type { Principal } from "../http/principal.ts";
import { readLicensesById } from "../licenses/lookup.ts";
import { type ReceiptRow, findReceiptsById, flagsOf, readReceipts, receiptOf } from "./store.ts";

export interface ReceiptPage {
  readonly receipts: readonly JsonObject[];
  readonly next: string | null;
}

export interface ReceiptQuery {
  readonly datasetId: string | undefined;
  readonly licenseId: string | undefined;
  readonly modelFingerprint: string | undefined;
  readonly after: number | undefined;
  readonly limit: number;
}

/** Receipts the caller may see: the platform all, a marketplace its own, a creator those for versions that hold works of theirs. */
export async function listReceipts(
  ctx: Context,
  principal: Principal,
  { datasetId, licenseId, modelFingerprint, after, limit }: ReceiptQuery,
): Promise<Result<ReceiptPage>> {
  const visible = await visibleDatasets(ctx, principal, datasetId);
  if (!visible.ok) return visible;
  const marketplaceId = principal.kind === "marketplace" ? principal.marketplaceId : undefined;
  const found = await readReceipts(ctx.db, {
    marketplaceId,
    datasetIds: visible.value,
    creatorId: principal.kind === "creator" ? principal.creatorId : undefined,
    licenseId,
    modelFingerprint,
    after,
    limit,
  });
  const { rows, next } = cutPage(found, limit, (row) => String(row.sequence));
  return accept({ receipts: await withValidity(ctx, rows), next });
}

/** The datasets to look in; undefined means all. Refuses `not_found` and `not_yours`. */
async function visibleDatasets(
  ctx: Context,
  principal: Principal,
  datasetId: string | undefined,
): Promise<Result<readonly string[] | undefined>> {
  if (principal.kind === "creator") {
    const own = await readDatasetIdsOfCreator(ctx.db, principal.creatorId);
    if (datasetId === undefined) return accept(own);
    if (own.includes(datasetId)) return accept([datasetId]);
    const isPublished = ((await findDataset(ctx.db, datasetId))?.current_version ?? 0) > 0;
    return isPublished
      ? refuse("not_yours", `the dataset ${datasetId} holds no work of yours`)
      : refuse("not_found", `there is no dataset ${datasetId}`);
  }
  if (datasetId === undefined) return accept(undefined);
  const dataset = await requireDataset(ctx, principal, datasetId);
  return dataset.ok ? accept([datasetId]) : dataset;
}

/** One receipt, to those who may see it. Refuses `not_found` and `not_yours`. */
export async function readReceipt(ctx: Context, principal: Principal, receiptId: string): Promise<Result<JsonObject>> {
  const rows = await findReceiptsById(ctx.db, receiptId);
  if (rows.length === 0) return refuse("not_found", `there is no receipt ${receiptId}`);
  const own = principal.kind === "creator" ? await readVersionsOfCreator(ctx.db, principal.creatorId) : [];
  const isOwn = (row: ReceiptRow): boolean =>
    own.some(({ dataset_id, version }) => dataset_id === row.dataset_id && version === row.dataset_version);
  const visible = rows.filter((row) => {
    if (principal.kind === "marketplace") return row.marketplace_id === principal.marketplaceId;
    return principal.kind === "creator" ? isOwn(row) : true;
  });
  const [receipt] = await withValidity(ctx, visible);
  return receipt === undefined ? refuse("not_yours", `the receipt ${receiptId} is somebody else's`) : accept(receipt);
}

/**
 * A receipt proves what was used. It may be relied on for more training while its license is in force
 * and its version stands as it stood then: nothing was taken back since, and not everything is gone.
 */
async function withValidity(ctx: Context, rows: readonly ReceiptRow[]): Promise<readonly JsonObject[]> {
  const standings = await readVersionStandings(ctx.db, rows);
  const inForce = await readLicensesInForce(ctx, rows);
  return rows.map((row) => {
    const receipt = receiptOf(row);
    const acceptance = {
      flags: [...flagsOf(row)],
      charged_micros: row.charged_micros,
      ...(row.currency === null ? {} : { currency: row.currency }),
      pulled: row.pulled,
    };
    return {
      ...receipt,
      valid_for_future_training: inForce(row) && isStillValid(receipt, row, standings(row)),
      acceptance,
    };
  });
}

/** Whether the license of a receipt is in force; one from before there were licenses had none that could end. */
async function readLicensesInForce(ctx: Context, rows: readonly ReceiptRow[]): Promise<(row: ReceiptRow) => boolean> {
  const now = nowSeconds(ctx);
  const named = new Set(rows.flatMap((row) => (row.license_id === null ? [] : [row.license_id])));
  const licenses = await readLicensesById(ctx.db, [...named]);
  const inForce = new Set(
    licenses.filter((row) => row.state === "active" && row.expires_at > now).map((row) => row.license_id),
  );
  return ({ license_id }) => license_id === null || inForce.has(license_id);
}

/** By what its user can have known when the use began, and not by what the receipt says afterwards. */
function isStillValid(
  { licensed_at }: JsonObject,
  { period_from }: Pick<ReceiptRow, "period_from">,
  standing: VersionStanding | undefined,
): boolean {
  if (standing === undefined || (standing.state !== "active" && standing.state !== "partially_revoked")) return false;
  const licensedAt = typeof licensed_at === "string" ? (parseInstant(licensed_at) ?? 0) : 0;
  return standing.lastLostAt === undefined || standing.lastLostAt < Math.min(licensedAt, period_from);
}
