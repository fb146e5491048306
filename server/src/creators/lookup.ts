/** What other slices may ask of creators. */
export { consentKeyOf, findCreator, readCreatorKeys, readUnknownCreators, shareCreatorKey } from "./store.ts";
