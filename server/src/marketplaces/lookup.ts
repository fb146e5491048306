import type { VerificationKey } from "@licet/protocol";
import type { Db, Trx } from "../db/open-database.ts";
import { readReceiptKeysByName, receiptKeyOf, shareReceiptKey } from "./store.ts";

/** What other slices may ask of marketplaces. */
export { changesOf, webhookSecretLabel } from "./add-endpoint.ts";
export { type EndpointName, findOwnEndpoint } from "./change-endpoint.ts";
export {
  type EndpointHealth,
  type EndpointRow,
  deleteExpiredSecrets,
  readOldSecrets,
  writeHealth,
} from "./endpoint-store.ts";
export { disableGoneEndpoint, isDueForJudgement, judgeEndpoint } from "./judge-endpoint.ts";
export { platformTokenLabel } from "./register-marketplace.ts";
export { retireReceiptKey, revokeReceiptKey } from "./end-receipt-key.ts";
export { type MarketplaceRow, type ReceiptKeyRow, findMarketplace, readAskable } from "./store.ts";

/** A receipt key of this marketplace, held until the transaction ends; undefined when it has none of that name. */
export async function holdReceiptKey(
  trx: Trx,
  marketplaceId: string,
  kid: string,
): Promise<VerificationKey | undefined> {
  const row = await shareReceiptKey(trx, kid);
  return row === undefined || row.marketplace_id !== marketplaceId ? undefined : receiptKeyOf(row);
}

/** Receipt keys of this marketplace by their names, as they are now. */
export async function readReceiptKeysOf(
  db: Db,
  marketplaceId: string,
  kids: readonly string[],
): Promise<ReadonlyMap<string, VerificationKey>> {
  return byKid(await readReceiptKeysByName(db, marketplaceId, { kids, hold: false }));
}

/** Receipt keys of this marketplace, all or by their names, held until the transaction ends. */
export async function holdReceiptKeys(
  trx: Trx,
  marketplaceId: string,
  kids?: readonly string[],
): Promise<ReadonlyMap<string, VerificationKey>> {
  return byKid(await readReceiptKeysByName(trx, marketplaceId, { kids, hold: true }));
}

function byKid(rows: Awaited<ReturnType<typeof readReceiptKeysByName>>): ReadonlyMap<string, VerificationKey> {
  return new Map(rows.map((row) => [row.kid, receiptKeyOf(row)]));
}
