/** What other slices may ask of creators. */
export { consentKeyOf, findCreator, findCreatorKey, readCreatorKeys, shareCreatorKey } from "./store.ts";
