/** What other slices may ask of creators. */
export { consentKeyOf, findCreator, readCreatorKeys, shareCreatorKey } from "./store.ts";
