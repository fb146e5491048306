import type { ConsentClaims } from "@licet/protocol";
import type { ConsentRow } from "./store.ts";

/** What other slices may ask of consents, and hold still while they decide. */
export {
  type ConsentRow,
  findConsent,
  findConsents,
  lockAndCountFallen,
  lockConsents,
  lockStandingConsents,
  readConsentsAbout,
  readJtisSignedWith,
  readOverdueJtis,
  readOverlapping,
  readRevokedConsents,
} from "./store.ts";

/** The claims of an accepted token, as they were parsed when it was accepted. */
export function claimsOf(row: Pick<ConsentRow, "claims">): ConsentClaims {
  return JSON.parse(row.claims);
}
