import { type ConsentRow, lockConsents } from "../consents/lookup.ts";
import { resumeConsents, suspendConsents } from "../consents/suspend-consent.ts";
import { type ContentRow, lockContent } from "../content/lookup.ts";
import { resumeContent, suspendContent } from "../content/suspend-content.ts";
import { readTouched } from "../datasets/lookup.ts";
import { refreshDatasets } from "../datasets/render-dataset.ts";
import type { Fact } from "../events/write-fact.ts";
import { openPromisedCases } from "./describe-effect.ts";
import { recordHold } from "./restore-holds.ts";
import { type Holding, isConsentOver } from "./suspendable.ts";
import {
  type HeldBy,
  type SuspensionName,
  deleteSuspensions,
  insertSuspensions,
  readHeldBy,
  readSuspended,
} from "./suspension-store.ts";
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
export async function holdNamed(fact: Fact, named: Named, { holder, by, reason }: Holding): Promise<Acted> {
  const locked = await lockNamed(fact, named);
  const added = await insertSuspensions(fact.trx, namesOf(locked), { holder, reason, suspended_at: fact.now });
  const isNew = setOf(added);
  const isSuspended = setOf(
    namesOf({ consents: locked.consents.filter(isHeldConsent), works: locked.works.filter(isHeldWork) }),
  );
  for (const name of added) {
    const joined = { ...name, holder, is_held: true };
    if (isSuspended(name)) recordHold(fact, joined, by);
    else fact.keep({ holds: [joined] });
  }
  const changed = {
    consents: locked.consents.filter((row) => isNew(nameOf(row)) && !isHeldConsent(row)),
    works: locked.works.filter((row) => isNew(nameOf(row)) && !isHeldWork(row)),
  };
  const change = { by, reason, datasetsOf: locked.datasetsOf };
  await suspendConsents(fact, changed.consents, change);
  await suspendContent(fact, changed.works, change);
  return actedOn(fact, locked, changed);
}

/**
 * Lets go what a holder holds, up to a limit, and what stands again is no longer refused. What has
 * ended meanwhile stays so, and is held no more.
 */
export async function letGoHeld(
  fact: Fact,
  by: HeldBy,
  actor: Actor,
): Promise<Acted & { readonly isComplete: boolean }> {
  const held = await readHeldBy(fact.trx, by);
  const idsOf = (kind: SuspensionName["kind"]) => held.filter((row) => row.kind === kind).map(({ id }) => id);
  const locked = await lockNamed(fact, { jtis: idsOf("consent"), contentIds: idsOf("content") });
  await deleteSuspensions(fact.trx, held);
  const isStillHeld = setOf(await readSuspended(fact.trx, held));
  const changed = {
    consents: locked.consents.filter((row) => isHeldConsent(row) && !isStillHeld(nameOf(row))),
    works: locked.works.filter((row) => isHeldWork(row) && !isStillHeld(nameOf(row))),
  };
  const stands = setOf(namesOf(changed));
  for (const { kind, id, holder } of held) {
    const left = { kind, id, holder, is_held: false };
    if (stands({ kind, id })) fact.keep({ holds: [left] });
    else recordHold(fact, left, actor.by);
  }
  const change = { ...actor, datasetsOf: locked.datasetsOf };
  await resumeConsents(fact, changed.consents, change);
  await resumeContent(fact, changed.works, change);
  return { ...(await actedOn(fact, locked, changed)), isComplete: held.length < by.limit };
}

/** Rows that are held locked until the commit. */
interface Rows {
  readonly consents: readonly ConsentRow[];
  readonly works: readonly ContentRow[];
}

interface Locked extends Rows {
  /** The datasets a version of which a consent or a work is in; no two are named alike. */
  readonly datasetsOf: (id: string) => readonly string[];
}

/** Locks what has not ended for good. */
async function lockNamed(fact: Fact, { jtis, contentIds }: Named): Promise<Locked> {
  const consents = await lockConsents(fact.trx, [...new Set(jtis)].sort());
  const works = await lockContent(fact.trx, [...new Set(contentIds)].sort());
  const standing = {
    consents: consents.filter((row) => !isConsentOver(fact, row)),
    works: works.filter((row) => row.withdrawn_at === null),
  };
  const isConsent = new Set(standing.consents.map((row) => row.jti));
  const touched = await readTouched(fact.trx, {
    jtis: [...isConsent],
    contentIds: standing.works.map((row) => row.content_id),
  });
  const datasetsOf = (id: string) => (isConsent.has(id) ? touched.byConsents([id]) : touched.byWorks([id]));
  return { ...standing, datasetsOf };
}

async function actedOn(fact: Fact, locked: Locked, changed: Rows): Promise<Acted> {
  const datasetIdsOf = (rows: Rows) => namesOf(rows).flatMap(({ id }) => locked.datasetsOf(id));
  const refreshed = await refreshDatasets(fact, [...new Set(datasetIdsOf(changed))]);
  return {
    jtis: changed.consents.map((row) => row.jti),
    contentIds: changed.works.map((row) => row.content_id),
    datasets: await statesOf(fact, datasetIdsOf(locked), refreshed),
  };
}

function isHeldConsent({ state }: ConsentRow): boolean {
  return state === "suspended";
}

function isHeldWork({ suspended_at }: ContentRow): boolean {
  return suspended_at !== null;
}

function nameOf(row: ConsentRow | ContentRow): SuspensionName {
  return "jti" in row ? { kind: "consent", id: row.jti } : { kind: "content", id: row.content_id };
}

function namesOf({ consents, works }: Rows): readonly SuspensionName[] {
  return [...consents, ...works].map(nameOf);
}

function setOf(names: readonly SuspensionName[]): (name: SuspensionName) => boolean {
  const keys = new Set(names.map(({ kind, id }) => `${kind} ${id}`));
  return ({ kind, id }) => keys.has(`${kind} ${id}`);
}
