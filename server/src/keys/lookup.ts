/** What other slices may ask of the platform's keys. */
export { signingKeySchema, signingKeyView } from "./key-view.ts";
export { readSigningKeys } from "./store.ts";
