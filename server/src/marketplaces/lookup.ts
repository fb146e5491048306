import type { VerificationKey } from "@licet/protocol";
import type { Db, Trx } from "../db/open-database.ts";
import { readReceiptKeys, receiptKeyOf } from "./store.ts";

/** What other slices may ask of marketplaces. */
export { platformTokenLabel, webhookSecretLabel } from "./register-marketplace.ts";
export { type EndpointRow, findEndpoint, findMarketplace, readEndpoints } from "./store.ts";

/** A receipt key of this marketplace; undefined when it has none of that name. */
export async function findReceiptKey(
  db: Db | Trx,
  marketplaceId: string,
  kid: string,
): Promise<VerificationKey | undefined> {
  const row = (await readReceiptKeys(db, [marketplaceId])).find((candidate) => candidate.kid === kid);
  return row === undefined ? undefined : receiptKeyOf(row);
}
