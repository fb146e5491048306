import {
  type ConsentClaims,
  type Offence,
  type Refusal,
  type Result,
  accept,
  checkAudience,
  refuse,
} from "@licet/protocol";
import { claimsOf, findConsents } from "../consents/lookup.ts";
import type { Db, Trx } from "../db/open-database.ts";
import { type VersionRow, readVersionJtis } from "./store.ts";

/** What is wrong with showing what a consent covers to these marketplaces; undefined when it names all of them, or none at all. */
export function audienceRefusal(claims: ConsentClaims, marketplaceIds: readonly string[]): Refusal | undefined {
  for (const marketplaceId of marketplaceIds) {
    const allowed = checkAudience(claims, marketplaceId);
    if (!allowed.ok) return allowed.refusal;
  }
  return undefined;
}

/** A consent that names marketplaces is for those alone. Refuses `items_not_covered` with every consent of a version that names others. */
export async function checkAudiences(
  db: Db | Trx,
  version: Pick<VersionRow, "dataset_id" | "version">,
  marketplaceId: string,
): Promise<Result<true>> {
  const consents = await findConsents(db, await readVersionJtis(db, version));
  const offences = consents.flatMap((consent): Offence[] => {
    const refusal = audienceRefusal(claimsOf(consent), [marketplaceId]);
    return refusal === undefined ? [] : [{ at: consent.jti, code: refusal.code, detail: refusal.detail }];
  });
  return offences.length === 0
    ? accept(true)
    : refuse("items_not_covered", `${offences.length} consents name other marketplaces`, offences);
}
