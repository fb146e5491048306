import { type ConsentRow } from "../consents/lookup.ts";
import { endConsents } from "../consents/end-consents.ts";
import type { ContentRow } from "../content/lookup.ts";
import { withdrawContent } from "../content/withdraw-content.ts";
import { readDatasetStates, readTouched } from "../datasets/lookup.ts";
import { refreshDatasets } from "../datasets/render-dataset.ts";
import type { Fact } from "../events/write-fact.ts";
import type { Reach } from "./describe-effect.ts";
import { addToView } from "./render-view.ts";

/** What is taken back: rows locked while they end, and what was taken back before, which the answer names again. */
export interface Selection {
  readonly consents: readonly ConsentRow[];
  readonly formerly: readonly Pick<ConsentRow, "jti" | "subject" | "ended_at">[];
  readonly works: readonly ContentRow[];
}

export interface TouchedDataset {
  readonly dataset_id: string;
  readonly status: string;
}

/** What stood until now, and the datasets a version of which lost something. */
export interface TakenBack {
  readonly ended: readonly ConsentRow[];
  readonly withdrawn: readonly ContentRow[];
  readonly datasets: readonly TouchedDataset[];
  /** What models are looked for by. */
  readonly reach: Reach;
}

/** Ends consents and works that the caller holds locked, for good, and has every document say so. */
export async function takeBack(
  fact: Fact,
  { consents, formerly, works }: Selection,
  { by, reason }: { readonly by: string; readonly reason: string },
): Promise<TakenBack> {
  const jtis = [...consents, ...formerly].map((row) => row.jti);
  const contentIds = works.map((row) => row.content_id);
  const touched = await readTouched(fact.trx, { jtis, contentIds });
  const datasetsOf = (jti: string) => touched.byConsents([jti]);
  const ended = await endConsents(fact, consents, { state: "revoked", by, reason, datasetsOf });
  const withdrawn = await withdrawContent(fact, works, { by, reason, datasetsOf: (id) => touched.byWorks([id]) });
  await addToView(fact, ended);
  const refreshed = await refreshDatasets(fact, [
    ...touched.byConsents(ended.map((row) => row.jti)),
    ...touched.byWorks(withdrawn.map((row) => row.content_id)),
  ]);
  const datasetIds = [...touched.byConsents(jtis), ...touched.byWorks(contentIds)];
  const fresh = { jtis: ended.map((row) => row.jti), contentIds: withdrawn.map((row) => row.content_id) };
  const reach = { jtis, contentIds, fresh, datasetIds };
  return { ended, withdrawn, datasets: await statesOf(fact, datasetIds, refreshed), reach };
}

/** The states of the datasets that are touched; of those that did not change now they are read. */
export async function statesOf(
  { trx }: Pick<Fact, "trx">,
  datasetIds: readonly string[],
  refreshed: ReadonlyMap<string, string>,
): Promise<readonly TouchedDataset[]> {
  const ids = [...new Set(datasetIds)].sort();
  const others = await readDatasetStates(
    trx,
    ids.filter((id) => !refreshed.has(id)),
  );
  return ids.map((dataset_id) => ({
    dataset_id,
    status: refreshed.get(dataset_id) ?? others.get(dataset_id) ?? "unknown",
  }));
}
