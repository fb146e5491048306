import { type Result, accept, formatInstant, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { requireOwn } from "../creators/own.ts";
import { refreshDatasets } from "../datasets/render-dataset.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { type Principal, actorOf, isPlatform } from "../http/principal.ts";
import { type TouchedDataset, statesOf } from "./take-back.ts";
import { type Suspendable, hold, letGo, lockSuspendable } from "./suspendable.ts";
import { type SuspensionRow, readSuspensions } from "./suspension-store.ts";

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
    const side = { holder: holderOf(principal), by: actorOf(principal), reason };
    const isChanged = await hold(fact, { kind, id }, thing, side);
    return stateOf(fact, request, thing, isChanged ? await refreshDatasets(fact, thing.datasetIds) : undefined);
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
    const side = { holder: holderOf(principal), by: actorOf(principal), reason };
    const { wasHeld, others, stands } = await letGo(fact, { kind, id }, thing, side);
    if (!wasHeld && others.length > 0)
      return refuse(
        "not_yours",
        `${id} was suspended by the ${others[0]?.holder ?? "other side"}, who alone can lift it`,
      );
    return stateOf(fact, request, thing, stands ? await refreshDatasets(fact, thing.datasetIds) : undefined);
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
  const thing = await lockSuspendable(fact, { kind, id });
  if (thing === undefined) return refuse("not_found", `there is no ${kind} ${id}`);
  if (thing.creatorId === undefined) return accept(thing);
  const own = requireOwn(principal, thing.creatorId);
  return own.ok ? accept(thing) : own;
}
