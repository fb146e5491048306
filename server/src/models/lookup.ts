/** What other slices may ask of models. */
export { MAX_NAMED, type RunningLicense, type TrainedModel, readAffected } from "./affected-store.ts";
