import { instant, listOf, objectOf, parseJson, qualifiedIdentifier, readShape, textUpTo } from "@licet/protocol";
import { readFile } from "node:fs/promises";
import { orFail } from "../command-error.ts";
import { CATALOGUE } from "./start-processes.ts";

const MAX_CREATORS = 100;
const MAX_WORKS = 1_000;

const CATALOGUE_SHAPE = objectOf({
  creators: listOf(
    objectOf({
      creator_id: qualifiedIdentifier,
      folder: textUpTo(64),
      display: textUpTo(200),
      works: listOf(objectOf({ file: textUpTo(128), title: textUpTo(200), created_at: instant }), { max: MAX_WORKS }),
    }),
    { min: 1, max: MAX_CREATORS },
  ),
});

/** A creator of the sample catalogue and what they made. */
export type CatalogueCreator = ReturnType<typeof CATALOGUE_SHAPE>["creators"][number];

export async function readCatalogue(): Promise<readonly CatalogueCreator[]> {
  const parsed = orFail(parseJson(await readFile(new URL("catalogue.json", CATALOGUE))), 1);
  return orFail(readShape(CATALOGUE_SHAPE, parsed, "catalogue", "document_invalid"), 1).creators;
}

/** What the story calls a creator. The server only ever hears the pseudonym `creator_id`. */
export function nameOf({ folder }: CatalogueCreator): string {
  const first = folder.split("-", 1)[0] ?? folder;
  return first.charAt(0).toUpperCase() + first.slice(1);
}
