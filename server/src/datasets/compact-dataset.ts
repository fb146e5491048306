import { type Result, accept, refuse } from "@licet/protocol";
import { type Context, nowSeconds } from "../context.ts";
import { MAX_PLANS, OVERTAKEN, commitVersion, inTurn } from "./commit-version.ts";
import { datasetView } from "./dataset-view.ts";
import { readOffers } from "./offer-store.ts";
import { type VersionPlan, contentHash, termsOf } from "./plan-version.ts";
import type { Publication } from "./publish-dataset.ts";
import { refreshDatasets } from "./render-dataset.ts";
import { writeFact } from "../events/write-fact.ts";
import { type VersionRow, findDataset, findVersion, readDueCompactions } from "./store.ts";
import { type StandingLine, readStandingLines } from "./version-store.ts";
import { dropAbandonedBuilds } from "./write-lines.ts";

/** Datasets compacted in one sweep. */
const MAX_DUE = 20;

/**
 * Publishes the next version of a dataset without the works that are gone for good, and ends the
 * validity of the versions before it that have nothing left which it lacks, and offer the same (see
 * commit-version.ts). What is suspended stays in, since it may stand again. When nothing is gone,
 * nothing happens.
 *
 * Refuses `not_found`, `dataset_not_published`, and `conflict` when the dataset is suspended or
 * withdrawn, or nothing of it is left.
 */
export async function compactDataset(ctx: Context, datasetId: string, by: string): Promise<Result<Publication>> {
  return inTurn(ctx, datasetId, () => compactInTurn(ctx, datasetId, by));
}

async function compactInTurn(ctx: Context, datasetId: string, by: string): Promise<Result<Publication>> {
  for (let attempt = 0; attempt < MAX_PLANS; attempt += 1) {
    const dataset = await findDataset(ctx.db, datasetId);
    if (dataset === undefined) return refuse("not_found", `there is no dataset ${datasetId}`);
    const previous = await findVersion(ctx.db, datasetId, dataset.current_version);
    if (previous === undefined) return refuse("dataset_not_published", `the dataset ${datasetId} is a draft`);
    if (dataset.ended_at !== null || dataset.suspended_at !== null)
      return refuse("conflict", `the dataset ${datasetId} is ${dataset.ended_at === null ? "suspended" : "withdrawn"}`);
    const { left, isWhole } = await readWhatIsLeft(ctx, previous);
    if (left.length === 0) return refuse("conflict", `nothing of the dataset ${datasetId} is left to publish`);
    if (isWhole) {
      // Said anew under the locks: a revocation may have come since the lines were read.
      await writeFact(ctx, async (fact) => accept(await refreshDatasets(fact, [datasetId])));
      return accept({ isNew: false, view: datasetView(ctx, { ...dataset, compact_at: null }, previous) });
    }
    const committed = await commitVersion(ctx, await planOf(ctx, previous, left), by);
    if (!committed.ok) return committed;
    if (committed.value !== OVERTAKEN)
      return accept({ isNew: true, view: datasetView(ctx, committed.value.dataset, committed.value.version) });
  }
  return refuse("conflict", `${datasetId}, or what it stands on, changes all the time: try again`);
}

/** Compacts what is due, and deletes what builds that came to no end left behind. */
export async function compactDueDatasets(ctx: Context): Promise<void> {
  await dropAbandonedBuilds(ctx);
  for (const datasetId of await readDueCompactions(ctx.db, nowSeconds(ctx), MAX_DUE)) {
    const compacted = await compactDataset(ctx, datasetId, "timer");
    if (!compacted.ok)
      ctx.log.warn({ dataset_id: datasetId, refusal: compacted.refusal }, "a dataset could not be compacted");
  }
}

async function readWhatIsLeft(
  ctx: Context,
  version: VersionRow,
): Promise<{ readonly left: readonly StandingLine[]; readonly isWhole: boolean }> {
  const left: StandingLine[] = [];
  let isWhole = true;
  let after = -1;
  for (;;) {
    const lines = await readStandingLines(ctx.db, version, { after, now: nowSeconds(ctx) });
    const last = lines.at(-1);
    if (last === undefined) return { left, isWhole };
    after = last.position;
    const stillHere = lines.filter((line) => line.isLeft);
    left.push(...stillHere);
    isWhole &&= stillHere.length === lines.length;
  }
}

/** The same lines in the same order, with new places: neither the works nor their consents are looked at anew. */
async function planOf(ctx: Context, previous: VersionRow, left: readonly StandingLine[]): Promise<VersionPlan> {
  const terms = termsOf(previous);
  const tokens = [...new Map(left.map(({ jti, token }) => [jti, token]))];
  return {
    datasetId: previous.dataset_id,
    terms,
    items: left.map((line, position) => ({ ...line, position })),
    consents: tokens.map(([jti, token], position) => ({ position, jti, token })),
    ancestorIds: [],
    offeredTo: (await readOffers(ctx.db, previous.dataset_id)).map((offer) => offer.marketplace_id),
    previous,
    contentSha256: contentHash(
      terms,
      left.map(({ content_id, revision, jti }) => [content_id, revision, jti]),
    ),
    isCompaction: true,
  };
}
