import { lockConsents } from "../consents/lookup.ts";
import { lockContent } from "../content/lookup.ts";
import { refreshDatasets } from "../datasets/render-dataset.ts";
import type { Fact } from "../events/write-fact.ts";
import { type Holding, type Suspendable, hold, letGo, lockSuspendable } from "./suspendable.ts";
import { type SuspensionName, readHeldBy } from "./suspension-store.ts";
import { openPromisedCases } from "./describe-effect.ts";
import { type TouchedDataset, statesOf, takeBack } from "./take-back.ts";

/** Consents and works of ours. */
export interface Named {
  readonly jtis: readonly string[];
  readonly contentIds: readonly string[];
}

/** What stood until now and does so no more, or the other way round; and the datasets it is in. */
export interface Acted extends Named {
  readonly datasets: readonly TouchedDataset[];
}

/** Who acts, in a fact that is about more than this. */
export interface Actor {
  readonly by: string;
  readonly reason: string;
}

/** What one fact lets go at most. */
const MAX_LET_GO = 10_000;

/** Revokes these consents and withdraws these works for good. What has ended already stays as it is. */
export async function takeBackNamed(fact: Fact, { jtis, contentIds }: Named, actor: Actor): Promise<Acted> {
  const consents = await lockConsents(fact.trx, [...new Set(jtis)].sort());
  const works = await lockContent(fact.trx, [...new Set(contentIds)].sort());
  const { ended, withdrawn, datasets, reach } = await takeBack(fact, { consents, formerly: [], works }, actor);
  await openPromisedCases(fact, reach);
  return {
    jtis: ended.map((row) => row.jti),
    contentIds: withdrawn.map((row) => row.content_id),
    datasets,
  };
}

/** Holds these consents and works suspended for one side; what has ended for good is left out. */
export async function holdNamed(fact: Fact, { jtis, contentIds }: Named, side: Holding): Promise<Acted> {
  const names = namesOf({ jtis, contentIds });
  return onEach(fact, names, async (name, thing) => hold(fact, name, thing, side));
}

/** Lets go everything that a holder holds, and what stands again is no longer refused. */
export async function letGoHeld(
  fact: Fact,
  { holder, isPrefix }: { readonly holder: string; readonly isPrefix: boolean },
  { by, reason }: Actor,
): Promise<Acted & { readonly isComplete: boolean }> {
  const held = await readHeldBy(fact.trx, { holder, isPrefix, limit: MAX_LET_GO });
  const acted = await onEach(fact, held, async ({ kind, id, holder: one }, thing) => {
    const { stands } = await letGo(fact, { kind, id }, thing, { holder: one, by, reason });
    return stands;
  });
  return { ...acted, isComplete: held.length < MAX_LET_GO };
}

function namesOf({ jtis, contentIds }: Named): readonly SuspensionName[] {
  return [
    ...[...new Set(jtis)].sort().map((id) => ({ kind: "consent", id }) as const),
    ...[...new Set(contentIds)].sort().map((id) => ({ kind: "content", id }) as const),
  ];
}

async function onEach<N extends SuspensionName>(
  fact: Fact,
  names: readonly N[],
  change: (name: N, thing: Suspendable) => Promise<boolean>,
): Promise<Acted> {
  const changed: N[] = [];
  const touched: string[] = [];
  const toRefresh: string[] = [];
  for (const name of names) {
    const thing = await lockSuspendable(fact, name);
    if (thing === undefined || thing.over !== undefined) continue;
    touched.push(...thing.datasetIds);
    if (!(await change(name, thing))) continue;
    changed.push(name);
    toRefresh.push(...thing.datasetIds);
  }
  const refreshed = await refreshDatasets(fact, toRefresh);
  return {
    jtis: changed.filter(({ kind }) => kind === "consent").map(({ id }) => id),
    contentIds: changed.filter(({ kind }) => kind === "content").map(({ id }) => id),
    datasets: await statesOf(fact, touched, refreshed),
  };
}
