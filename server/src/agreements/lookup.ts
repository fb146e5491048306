/** What other slices may ask of agreements. */
export { requireAcceptance } from "./require-acceptance.ts";
export { DEFAULT_AGREEMENT } from "./built-in-agreement.ts";
export { findNewestAgreement } from "./store.ts";
