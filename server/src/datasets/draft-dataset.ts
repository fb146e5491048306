import { type Result, accept, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { readOwnJson } from "../db/own-json.ts";
import { writeFact } from "../events/write-fact.ts";
import { takeDataset } from "./commit-version.ts";
import { type DatasetInput, datasetInputSchema, itemReferencesOf } from "./dataset-input.ts";
import { datasetView } from "./dataset-view.ts";
import { type Publication, checkInput, newDatasetId, publishDataset } from "./publish-dataset.ts";
import { type DatasetRow, deleteUnpublished, findDataset, findVersion, lockDatasets, updateDataset } from "./store.ts";

/**
 * Stores what is to be published later, in the place of an earlier draft. Whether its works are
 * covered is asked when it is published.
 *
 * Refuses `scope_unknown`, `scope_contradictory`, `consent_unaccepted`, `already_exists` and `conflict`.
 */
export async function storeDraft(ctx: Context, input: DatasetInput, by: string): Promise<Result<Publication>> {
  const checked = await checkInput(ctx, input);
  if (!checked.ok) return checked;
  const datasetId = input.dataset_id ?? newDatasetId(ctx);
  return writeFact<Publication>(ctx, async (fact) => {
    const taken = await takeDataset(fact, { datasetId, terms: input });
    if (!taken.ok) return taken;
    const isPublished = taken.value.current_version > 0;
    const changes = { draft: JSON.stringify(input), ...(isPublished ? {} : { name: input.name }) };
    await updateDataset(fact.trx, datasetId, changes);
    const body = { dataset_id: datasetId, items: itemReferencesOf(input).length, by };
    fact.record({ type: "dataset.drafted", aggregate: datasetId, body });
    const current = await findVersion(fact.trx, datasetId, taken.value.current_version);
    const view = datasetView(ctx, { ...taken.value, ...changes }, current);
    return accept({ isNew: taken.value.draft === null, view: { ...view, status: "draft" } });
  });
}

/** The draft as it was asked for. Refuses `not_found`. */
export async function readDraft(ctx: Context, datasetId: string): Promise<Result<DatasetInput>> {
  const draft = draftOf(await findDataset(ctx.db, datasetId));
  return draft === undefined ? refuse("not_found", `the dataset ${datasetId} has no draft`) : accept(draft);
}

/** Publishes the draft, as if it were asked for now. Refuses `not_found` and what publishing is refused for; the draft stays then. */
export async function publishDraft(ctx: Context, datasetId: string, by: string): Promise<Result<Publication>> {
  const draft = await readDraft(ctx, datasetId);
  if (!draft.ok) return draft;
  const published = await publishDataset(ctx, { ...draft.value, dataset_id: datasetId, status: "published" }, by);
  if (!published.ok || published.value.isNew) return published;
  await writeFact(ctx, async (fact) => {
    await updateDataset(fact.trx, datasetId, { draft: null });
    return accept(true);
  });
  return accept({ ...published.value, view: { ...published.value.view, has_draft: false } });
}

/** Deletes the draft, and the dataset with it when no version was ever published. Refuses `not_found`. */
export async function deleteDraft(ctx: Context, datasetId: string, by: string): Promise<Result<true>> {
  return writeFact<true>(ctx, async (fact) => {
    const [dataset] = await lockDatasets(fact.trx, [datasetId]);
    if (draftOf(dataset) === undefined) return refuse("not_found", `the dataset ${datasetId} has no draft`);
    await updateDataset(fact.trx, datasetId, { draft: null });
    await deleteUnpublished(fact.trx, datasetId);
    fact.record({ type: "dataset.draft-deleted", aggregate: datasetId, body: { dataset_id: datasetId, by } });
    return accept(true);
  });
}

function draftOf(dataset: DatasetRow | undefined): DatasetInput | undefined {
  if (dataset === undefined || dataset.draft === null) return undefined;
  return datasetInputSchema.parse(readOwnJson(dataset.draft, `the draft of ${dataset.dataset_id}`));
}
