/** What other slices may ask of webhooks. */
export { describeChange } from "./fan-out.ts";
export { findSentBodies } from "./store.ts";
