/** What other slices may ask of works, and hold still while they decide. */
export {
  type ContentRow,
  findContent,
  lockAndCountFallenWorks,
  lockContent,
  readAddresses,
  readContentById,
  recordOf,
} from "./store.ts";
