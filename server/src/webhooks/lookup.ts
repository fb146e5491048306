/** What other slices may ask of webhooks. */
export { describeChange } from "./fan-out.ts";
export { type DeliveryLeg, findMessage, readDeliveryLegs } from "./leg-store.ts";
export { findSentBodies } from "./store.ts";
