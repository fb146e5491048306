import type { Fact } from "../events/write-fact.ts";
import { publishRobots } from "./publish-texts.ts";
import { markDatasets } from "./store.ts";

/**
 * What a fact that changes what stands in datasets does for the signals: what is open to everybody is rendered in the
 * fact itself, and the rest, which offers and opens nothing, is marked to be rendered soon.
 */
export async function followDatasets(fact: Fact, datasetIds: readonly string[]): Promise<void> {
  if (datasetIds.length === 0) return;
  for (const host of await markDatasets(fact.trx, datasetIds)) publishRobots(fact, host);
}
