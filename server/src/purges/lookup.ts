/** What other slices may ask of purges. */
export { type PropagationLeg, readLegs } from "./leg-store.ts";
export { targetNames } from "./target-names.ts";
