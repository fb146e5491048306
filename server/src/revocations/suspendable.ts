import { type Refusal, formatInstant } from "@licet/protocol";
import { resumeConsents, suspendConsents } from "../consents/suspend-consent.ts";
import { type ConsentRow, lockConsents } from "../consents/lookup.ts";
import { resumeContent, suspendContent } from "../content/suspend-content.ts";
import { type ContentRow, lockContent } from "../content/lookup.ts";
import { resumeDataset, suspendDataset } from "../datasets/hold-dataset.ts";
import { type DatasetRow, lockDatasets, readTouched } from "../datasets/lookup.ts";
import type { Fact } from "../events/write-fact.ts";
import { recordHold } from "./restore-holds.ts";
import {
  type SuspensionName,
  type SuspensionRow,
  deleteSuspension,
  insertSuspension,
  readSuspensions,
} from "./suspension-store.ts";

interface Change {
  readonly by: string;
  readonly reason: string;
  readonly datasetIds: readonly string[];
}

/** Something that can be suspended, its row locked. */
export interface Suspendable {
  /** Undefined when it is nobody's but the platform's. */
  readonly creatorId: string | undefined;
  readonly isSuspended: boolean;
  /** Why nothing about it can change any more. */
  readonly over: Refusal | undefined;
  readonly datasetIds: readonly string[];
  readonly suspend: (change: Change) => Promise<void>;
  readonly resume: (change: Change) => Promise<void>;
}

/** One side's wish to hold something, or to let it go. */
export interface Holding {
  readonly holder: SuspensionRow["holder"];
  readonly by: string;
  readonly reason: string;
}

/** Locks what is named; undefined when there is no such thing. */
export async function lockSuspendable(fact: Fact, { kind, id }: SuspensionName): Promise<Suspendable | undefined> {
  return LOCKERS[kind](fact, id);
}

/** Holds something suspended for one side. Answers true when it stood until now. */
export async function hold(
  fact: Fact,
  { kind, id }: SuspensionName,
  thing: Suspendable,
  { holder, by, reason }: Holding,
): Promise<boolean> {
  const isNew = await insertSuspension(fact.trx, { kind, id, holder, reason, suspended_at: fact.now });
  if (!isNew) return false;
  const joined = { kind, id, holder, is_held: true };
  if (thing.isSuspended) {
    recordHold(fact, joined, by);
    return false;
  }
  fact.keep({ holds: [joined] });
  await thing.suspend({ by, reason, datasetIds: thing.datasetIds });
  return true;
}

/** Whether the side held it, who else still does, and whether it stands again. */
export interface LetGo {
  readonly wasHeld: boolean;
  readonly others: readonly SuspensionRow[];
  readonly stands: boolean;
}

/** Lets go what one side held; it stands again once nobody holds it. */
export async function letGo(
  fact: Fact,
  { kind, id }: SuspensionName,
  thing: Suspendable,
  { holder, by, reason }: Holding,
): Promise<LetGo> {
  const wasHeld = await deleteSuspension(fact.trx, { kind, id, holder });
  const others = await readSuspensions(fact.trx, { kind, id });
  const stands = others.length === 0 && thing.isSuspended;
  const left = { kind, id, holder, is_held: false };
  if (stands) {
    fact.keep({ holds: [left] });
    await thing.resume({ by, reason, datasetIds: thing.datasetIds });
  } else if (wasHeld) recordHold(fact, left, by);
  return { wasHeld, others, stands };
}

const LOCKERS: Readonly<Record<SuspensionName["kind"], (fact: Fact, id: string) => Promise<Suspendable | undefined>>> =
  {
    consent: async (fact, jti) => {
      const [row] = await lockConsents(fact.trx, [jti]);
      return row === undefined ? undefined : suspendableConsent(fact, row);
    },
    content: async (fact, contentId) => {
      const [row] = await lockContent(fact.trx, [contentId]);
      return row === undefined ? undefined : suspendableContent(fact, row);
    },
    dataset: async (fact, datasetId) => {
      const [row] = await lockDatasets(fact.trx, [datasetId]);
      return row === undefined ? undefined : suspendableDataset(fact, row);
    },
  };

async function suspendableConsent(fact: Fact, row: ConsentRow): Promise<Suspendable> {
  const touched = await readTouched(fact.trx, { jtis: [row.jti], contentIds: [] });
  return {
    creatorId: row.creator_id,
    isSuspended: row.state === "suspended",
    over: isConsentOver(fact, row)
      ? { code: "conflict", detail: `the consent ${row.jti} is ${hasEnded(row) ? row.state : "expired"}, for good` }
      : undefined,
    datasetIds: touched.byConsents([row.jti]),
    suspend: (change) => suspendConsents(fact, [row], withDatasets(change)),
    resume: (change) => resumeConsents(fact, [row], withDatasets(change)),
  };
}

/** True of a consent about which nothing can change any more. */
export function isConsentOver({ now }: Pick<Fact, "now">, row: ConsentRow): boolean {
  return hasEnded(row) || row.expires_at <= now;
}

function hasEnded({ state }: ConsentRow): boolean {
  return state === "revoked" || state === "expired";
}

async function suspendableContent(fact: Fact, row: ContentRow): Promise<Suspendable> {
  const touched = await readTouched(fact.trx, { jtis: [], contentIds: [row.content_id] });
  return {
    creatorId: row.creator_id,
    isSuspended: row.suspended_at !== null,
    over:
      row.withdrawn_at === null
        ? undefined
        : {
            code: "item_withdrawn",
            detail: `${row.content_id} was withdrawn at ${formatInstant(row.withdrawn_at)}, for good`,
          },
    datasetIds: touched.byWorks([row.content_id]),
    suspend: (change) => suspendContent(fact, [row], withDatasets(change)),
    resume: (change) => resumeContent(fact, [row], withDatasets(change)),
  };
}

function withDatasets({ by, reason, datasetIds }: Change) {
  return { by, reason, datasetsOf: () => datasetIds };
}

function suspendableDataset(fact: Fact, row: DatasetRow): Suspendable {
  const { dataset_id, current_version, ended_at } = row;
  return {
    creatorId: undefined,
    isSuspended: row.suspended_at !== null,
    over: overDataset({ dataset_id, current_version, ended_at }),
    datasetIds: [dataset_id],
    suspend: (change) => suspendDataset(fact, row, change),
    resume: (change) => resumeDataset(fact, row, change),
  };
}

function overDataset({
  dataset_id,
  current_version,
  ended_at,
}: Pick<DatasetRow, "dataset_id" | "current_version" | "ended_at">): Refusal | undefined {
  if (ended_at !== null) return { code: "conflict", detail: `the dataset ${dataset_id} was withdrawn for good` };
  return current_version === 0
    ? { code: "dataset_not_published", detail: `the dataset ${dataset_id} is a draft` }
    : undefined;
}
