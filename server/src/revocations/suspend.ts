import { type Refusal, type Result, accept, formatInstant, refuse } from "@licet/protocol";
import { resumeConsent, suspendConsent } from "../consents/suspend-consent.ts";
import { type ConsentRow, lockConsents } from "../consents/lookup.ts";
import { resumeContent, suspendContent } from "../content/suspend-content.ts";
import { type ContentRow, lockContent } from "../content/lookup.ts";
import type { Context } from "../context.ts";
import { requireOwn } from "../creators/own.ts";
import { resumeDataset, suspendDataset } from "../datasets/hold-dataset.ts";
import { type DatasetRow, lockDatasets, readTouched } from "../datasets/lookup.ts";
import { refreshDatasets } from "../datasets/render-dataset.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { type Principal, actorOf, isPlatform } from "../http/principal.ts";
import { type TouchedDataset, statesOf } from "./revoke.ts";
import { recordHold } from "./restore-holds.ts";
import { type SuspensionRow, deleteSuspension, insertSuspension, readSuspensions } from "./suspension-store.ts";

type Kind = SuspensionRow["kind"];
type Holder = SuspensionRow["holder"];

/** Who holds it suspended, and since when. */
export interface HeldBy {
  readonly holder: Holder;
  readonly reason: string;
  readonly suspended_at: string;
}

export interface SuspensionState {
  readonly suspended: boolean;
  /** It is suspended while anybody is in this list. */
  readonly held_by: readonly HeldBy[];
  /** The datasets a valid version of which it is in, and their states now. */
  readonly datasets: readonly TouchedDataset[];
}

export interface SuspensionRequest {
  readonly principal: Principal;
  readonly kind: Kind;
  readonly id: string;
  readonly reason: string;
}

interface Change {
  readonly by: string;
  readonly reason: string;
  readonly datasetIds: readonly string[];
}

/** Something that can be suspended, its row locked. */
interface Suspendable {
  /** Undefined when it is nobody's but the platform's. */
  readonly creatorId: string | undefined;
  readonly isSuspended: boolean;
  /** Why nothing about it can change any more. */
  readonly over: Refusal | undefined;
  readonly datasetIds: readonly string[];
  readonly suspend: (change: Change) => Promise<void>;
  readonly resume: (change: Change) => Promise<void>;
}

/**
 * Suspends a consent, a work or a dataset: a dispute, or a restriction. It blocks like a revocation
 * and can be lifted. Refusing is easy: a creator suspends what is theirs, the platform anything.
 * Suspended before by the same side, it answers the same.
 *
 * Refuses `not_found`, `not_yours`, and `conflict` or `item_withdrawn` when it has ended for good.
 */
export async function suspend(ctx: Context, request: SuspensionRequest): Promise<Result<SuspensionState>> {
  const { kind, id, principal, reason } = request;
  return writeFact<SuspensionState>(ctx, async (fact) => {
    const found = await requireSuspendable(fact, request);
    if (!found.ok) return found;
    const thing = found.value;
    if (thing.over !== undefined) return { ok: false, refusal: thing.over };
    const holder = holderOf(principal);
    const isNew = await insertSuspension(fact.trx, { kind, id, holder, reason, suspended_at: fact.now });
    if (!isNew) return stateOf(fact, request, thing);
    const hold = { kind, id, holder, is_held: true };
    if (thing.isSuspended) {
      recordHold(fact, hold, actorOf(principal));
      return stateOf(fact, request, thing);
    }
    fact.keep({ holds: [hold] });
    await thing.suspend({ by: actorOf(principal), reason, datasetIds: thing.datasetIds });
    return stateOf(fact, request, thing, await refreshDatasets(fact, thing.datasetIds));
  });
}

/**
 * Lifts a suspension: only the side that suspended can, and it stands again once nobody holds it any
 * more. What was revoked, withdrawn or has expired meanwhile stays so.
 *
 * Refuses `not_found`, `not_yours`, and `conflict` or `item_withdrawn` when it has ended for good.
 */
export async function resume(ctx: Context, request: SuspensionRequest): Promise<Result<SuspensionState>> {
  const { kind, id, principal, reason } = request;
  return writeFact<SuspensionState>(ctx, async (fact) => {
    const found = await requireSuspendable(fact, request);
    if (!found.ok) return found;
    const thing = found.value;
    if (thing.over !== undefined) return { ok: false, refusal: thing.over };
    const holder = holderOf(principal);
    const wasHeld = await deleteSuspension(fact.trx, { kind, id, holder });
    const others = await readSuspensions(fact.trx, { kind, id });
    if (!wasHeld && others.length > 0)
      return refuse(
        "not_yours",
        `${id} was suspended by the ${others[0]?.holder ?? "other side"}, who alone can lift it`,
      );
    const hold = { kind, id, holder, is_held: false };
    if (others.length > 0 || !thing.isSuspended) {
      if (wasHeld) recordHold(fact, hold, actorOf(principal));
      return stateOf(fact, request, thing);
    }
    fact.keep({ holds: [hold] });
    await thing.resume({ by: actorOf(principal), reason, datasetIds: thing.datasetIds });
    return stateOf(fact, request, thing, await refreshDatasets(fact, thing.datasetIds));
  });
}

function holderOf(principal: Principal): Holder {
  return isPlatform(principal) ? "platform" : "creator";
}

async function stateOf(
  fact: Fact,
  { kind, id }: SuspensionRequest,
  { datasetIds }: Suspendable,
  refreshed: ReadonlyMap<string, string> = new Map(),
): Promise<Result<SuspensionState>> {
  const rows = await readSuspensions(fact.trx, { kind, id });
  return accept({
    suspended: rows.length > 0,
    held_by: rows.map(({ holder, reason, suspended_at }) => ({
      holder,
      reason,
      suspended_at: formatInstant(suspended_at),
    })),
    datasets: await statesOf(fact, datasetIds, refreshed),
  });
}

async function requireSuspendable(
  fact: Fact,
  { kind, id, principal }: SuspensionRequest,
): Promise<Result<Suspendable>> {
  const thing = await LOCKERS[kind](fact, id);
  if (thing === undefined) return refuse("not_found", `there is no ${kind} ${id}`);
  if (thing.creatorId === undefined) return accept(thing);
  const own = requireOwn(principal, thing.creatorId);
  return own.ok ? accept(thing) : own;
}

const LOCKERS: Readonly<Record<Kind, (fact: Fact, id: string) => Promise<Suspendable | undefined>>> = {
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
  const hasEnded = row.state === "revoked" || row.state === "expired";
  const isOver = hasEnded || row.expires_at <= fact.now;
  return {
    creatorId: row.creator_id,
    isSuspended: row.state === "suspended",
    over: isOver
      ? { code: "conflict", detail: `the consent ${row.jti} is ${hasEnded ? row.state : "expired"}, for good` }
      : undefined,
    datasetIds: touched.byConsents([row.jti]),
    suspend: (change) => suspendConsent(fact, row, change),
    resume: (change) => resumeConsent(fact, row, change),
  };
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
    suspend: (change) => suspendContent(fact, row, change),
    resume: (change) => resumeContent(fact, row, change),
  };
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
