/** What other slices may ask of works, and hold still while they decide. */
export { type ContentRow, findContent, lockContent, recordOf } from "./store.ts";
