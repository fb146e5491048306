/** What other slices may ask of the status lists. */
export { readListNumbers } from "./store.ts";
