import { type Result, accept, cacheTags, canonicalize, refuse } from "@licet/protocol";
import { randomUUID } from "node:crypto";
import { lockAndCountFallen } from "../consents/lookup.ts";
import { lockAndCountFallenWorks } from "../content/lookup.ts";
import type { Context } from "../context.ts";
import type { Trx } from "../db/open-database.ts";
import { documentPaths } from "../documents/document-paths.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { allocateStatus } from "../status-lists/allocate-status.ts";
import { type PlanRoots, buildManifest, rootsOf } from "./build-manifest.ts";
import { readOffers } from "./offer-store.ts";
import { type VersionPlan, type VersionTerms, termsOf } from "./plan-version.ts";
import { refreshDatasets } from "./render-dataset.ts";
import { findNotReplaced, isSomethingGone } from "./standing-store.ts";
import {
  type DatasetRow,
  type VersionRow,
  findDataset,
  insertDataset,
  lockDatasets,
  readVersionsFrom,
  updateDataset,
} from "./store.ts";
import {
  type Build,
  deleteBuild,
  insertConsents,
  insertItems,
  insertVersionRow,
  keepCreatorWeights,
} from "./version-store.ts";
import { dropBuild, keepBuild, takeBuild, writeLines } from "./write-lines.ts";

/** A version with more works is written before it is committed, so that nobody waits for it. */
const MAX_LINES_AT_ONCE = 500;

/** A version that something overtakes this often is refused: whoever asks again finds less going on. */
export const MAX_PLANS = 20;

/** The last publication of each dataset that is under way in this process. */
const turns = new WeakMap<Context, Map<string, Promise<unknown>>>();

/**
 * Publications of one dataset come one after the other in this process, so that they do not overtake
 * each other all the time. Between servers the database decides.
 */
export async function inTurn<T>(ctx: Context, datasetId: string, work: () => Promise<T>): Promise<T> {
  const waiting = turns.get(ctx) ?? new Map<string, Promise<unknown>>();
  turns.set(ctx, waiting);
  const before = waiting.get(datasetId) ?? Promise.resolve();
  const mine = before.then(work, work);
  waiting.set(datasetId, mine);
  try {
    return await mine;
  } finally {
    if (waiting.get(datasetId) === mine) waiting.delete(datasetId);
  }
}

export interface Published {
  readonly dataset: DatasetRow;
  readonly version: VersionRow;
}

/** What a plan rests on changed before it was committed: plan again. */
export const OVERTAKEN = "overtaken";

/**
 * Publishes a planned version. Everything that takes long comes first and locks nothing; then, in
 * one fact, what the plan rests on is locked and looked at once more.
 *
 * Refuses `already_exists` (the id in another case) and `conflict`.
 */
export async function commitVersion(
  ctx: Context,
  plan: VersionPlan,
  by: string,
): Promise<Result<Published | typeof OVERTAKEN>> {
  const roots = await rootsOf(plan);
  const lines = Math.max(plan.items.length, plan.consents.length);
  if (lines <= MAX_LINES_AT_ONCE) return writeFact(ctx, (fact) => commitInFact(fact, { plan, roots, by }));
  const made = await writeFact(ctx, (fact) => takeDataset(fact, plan));
  if (!made.ok) return made;
  const version = (plan.previous?.version ?? 0) + 1;
  const build = await takeBuild(ctx, { dataset_id: plan.datasetId, version, buildId: randomUUID() });
  if (build === undefined)
    return refuse("conflict", `another version of ${plan.datasetId} is being published and does not come to an end`);
  let isPublished = false;
  try {
    if (!(await writeLines(ctx, build, plan))) return accept(OVERTAKEN);
    const committed = await writeFact(ctx, (fact) => commitInFact(fact, { plan, roots, by, build }));
    isPublished = committed.ok && committed.value !== OVERTAKEN;
    return committed;
  } finally {
    if (!isPublished) await dropBuild(ctx, build);
  }
}

interface Commit {
  readonly plan: VersionPlan;
  readonly roots: PlanRoots;
  readonly by: string;
  /** The lines were written under it already. */
  readonly build?: Build;
}

async function commitInFact(fact: Fact, commit: Commit): Promise<Result<Published | typeof OVERTAKEN>> {
  const { plan, build } = commit;
  if (!(await holdWhatItRestsOn(fact, plan))) return accept(OVERTAKEN);
  const taken = await takeDataset(fact, plan);
  if (!taken.ok) return taken;
  const dataset = taken.value;
  const isSamePlace = dataset.current_version === (plan.previous?.version ?? 0);
  if (!isSamePlace || !(await areSameReaders(fact, plan))) return accept(OVERTAKEN);
  if (build !== undefined && !(await keepBuild(fact.ctx, fact.trx, build))) return accept(OVERTAKEN);
  return accept(await publishInFact(fact, dataset, commit));
}

/** The consents, then the works: from here to the commit none of them can end. */
async function holdWhatItRestsOn({ trx, now }: Fact, plan: VersionPlan): Promise<boolean> {
  const mayBeSuspended = plan.isCompaction;
  const jtis = plan.consents.map((line) => line.jti);
  if ((await lockAndCountFallen(trx, jtis, { now, mayBeSuspended })) > 0) return false;
  const works = [...plan.items.map((line) => line.content_id), ...plan.ancestorIds];
  return (await lockAndCountFallenWorks(trx, works, { mayBeSuspended })) === 0;
}

/** The dataset's row, made if need be, and locked: publications of one dataset come one after the other. */
export async function takeDataset(
  fact: Fact,
  { datasetId, terms }: { readonly datasetId: string; readonly terms: { readonly name: string } },
): Promise<Result<DatasetRow>> {
  if ((await findDataset(fact.trx, datasetId)) === undefined) {
    const place = await allocateStatus(fact);
    await insertDataset(fact.trx, {
      dataset_id: datasetId,
      name: terms.name,
      state: "draft",
      current_version: 0,
      ...place,
      draft: null,
      created_at: fact.now,
    });
  }
  const [dataset] = await lockDatasets(fact.trx, [datasetId]);
  if (dataset === undefined) return refuse("already_exists", `there is a dataset ${datasetId} in another case`);
  if (dataset.ended_at !== null) return refuse("conflict", `the dataset ${datasetId} was withdrawn for good`);
  if (dataset.suspended_at !== null)
    return refuse("conflict", `the dataset ${datasetId} is suspended: lift that before a version is published`);
  return accept(dataset);
}

/** Nobody can offer the dataset any more now that it is locked; somebody may have since the works were covered. */
async function areSameReaders({ trx }: Fact, { datasetId, offeredTo }: VersionPlan): Promise<boolean> {
  const now = (await readOffers(trx, datasetId)).map((offer) => offer.marketplace_id);
  return now.every((marketplaceId) => offeredTo.includes(marketplaceId));
}

/**
 * From which version on versions stay valid. A compaction ends the ones before it, and so does a
 * version by hand that follows one of which something is gone for good; but either ends only what
 * offers the same on the same terms and has nothing left that the new version lacks. Another
 * selection or another offer takes nobody's version away, nor what is newer than one that must stay.
 */
async function firstValidVersion(
  trx: Trx,
  { isCompaction, previous, terms }: VersionPlan,
  { dataset, version }: { readonly dataset: DatasetRow; readonly version: VersionRow },
): Promise<number> {
  const from = dataset.min_valid_version;
  if (previous === undefined || !(isCompaction || (await isSomethingGone(trx, previous)))) return from;
  const offerOf = ({ scope, pricing, currency, license }: VersionTerms) =>
    canonicalize({ scope, pricing, currency, license });
  const older = await readVersionsFrom(trx, { dataset_id: dataset.dataset_id, version: from });
  const otherwise = older.find((row) => offerOf(termsOf(row)) !== offerOf(terms))?.version ?? version.version;
  return Math.min(otherwise, (await findNotReplaced(trx, version, from)) ?? version.version);
}

async function publishInFact(fact: Fact, dataset: DatasetRow, { plan, roots, by, build }: Commit): Promise<Published> {
  const { trx } = fact;
  const { dataset_id } = dataset;
  const { row: version, manifest } = await buildManifest(fact, { plan, roots, dataset });
  if (build === undefined) {
    await insertItems(trx, version, plan.items);
    await insertConsents(trx, version, plan.consents);
    await keepCreatorWeights(trx, version);
  }
  await insertVersionRow(trx, version);
  // Given back with the commit: the next publication need not wait, and no sweep takes these lines for abandoned.
  if (build !== undefined) await deleteBuild(trx, build);
  const changes = {
    name: plan.terms.name,
    current_version: version.version,
    ...(plan.isCompaction ? { compact_at: null } : { draft: null }),
    min_valid_version: await firstValidVersion(trx, plan, { dataset, version }),
  };
  await updateDataset(trx, dataset_id, changes);
  const body = {
    dataset_id,
    version: version.version,
    manifest_sha256: version.manifest_sha256,
    items_root: version.items_root,
    by,
    compacted: plan.isCompaction,
  };
  fact.record({ type: "dataset.published", aggregate: dataset_id, body });
  fact.publish(documentPaths.manifest(dataset_id, version.version), async () => ({
    kind: "manifest",
    content: manifest,
    tags: [cacheTags.all, cacheTags.dataset(dataset_id)],
  }));
  const states = await refreshDatasets(fact, [dataset_id]);
  return { dataset: { ...dataset, ...changes, state: states.get(dataset_id) ?? "active" }, version };
}
