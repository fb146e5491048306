import { type Result, accept, refuse } from "@licet/protocol";
import type { Db, Trx } from "../db/open-database.ts";
import { findAcceptance, findNewestAgreement } from "./store.ts";

/** What a marketplace has accepted, and the key it signed that with. */
export interface Accepted {
  /** `marketplace:1.0` */
  readonly agreement: string;
  readonly kid: string;
}

/** The newest version of an agreement, if this marketplace has accepted it. Refuses `agreement_not_accepted`, and says which one. */
export async function requireAcceptance(db: Db | Trx, marketplaceId: string, name: string): Promise<Result<Accepted>> {
  const newest = await findNewestAgreement(db, name);
  if (newest === undefined) return refuse("agreement_not_accepted", `there is no agreement ${name} to accept yet`);
  const acceptance = await findAcceptance(db, marketplaceId, newest.agreement);
  return acceptance === undefined
    ? refuse(
        "agreement_not_accepted",
        `expected ${marketplaceId} to have accepted ${newest.agreement} (SHA-256 ${newest.sha256})`,
      )
    : accept({ agreement: newest.agreement, kid: acceptance.kid });
}
