/**
 * How receipts charge a license: `lockLicenses` in the order of the ids, after datasets and before
 * status lists, then `saveCharges` once for all of them. Nothing else changes these sums.
 */
export { type Charge, lockLicenses, saveCharges } from "./store.ts";
