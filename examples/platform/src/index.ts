export type { Catalogue, Creator, Modality, Work } from "./catalogue.ts";
export { readCatalogue } from "./catalogue.ts";
export { createSite } from "./site.ts";
