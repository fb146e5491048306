/** What other slices may ask of consents, and hold still while they decide. */
export {
  type ConsentRow,
  findConsent,
  findConsents,
  lockActiveConsentsOf,
  lockConsents,
  readOverdueJtis,
  readStandingJtis,
  readSubjects,
} from "./store.ts";
