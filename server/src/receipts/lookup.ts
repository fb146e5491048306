/** What other slices may ask of receipts. */
export { readReceiptsCountersignedWith } from "./store.ts";
