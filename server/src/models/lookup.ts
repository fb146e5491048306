/** What other slices may ask of models. */
export {
  type LateUse,
  MAX_NAMED,
  type RunningLicense,
  type TrainedModel,
  readAffected,
  readTakenBack,
} from "./affected-store.ts";
