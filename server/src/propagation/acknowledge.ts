import { type Result, accept, formatInstant, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { writeFact } from "../events/write-fact.ts";
import type { Principal } from "../http/principal.ts";
import { findRevocation } from "./find-revocation.ts";
import { saveDone } from "./look-at-legs.ts";
import { type LegRow, lockPropagations, readLegs } from "./store.ts";

/** A marketplace's word that it uses what was refused no more. */
export interface Acknowledgement {
  readonly revocation_id: string;
  readonly marketplace_id: string;
  readonly dataset_ids: readonly string[];
  readonly acknowledged_at: string;
  /** Milliseconds from the refusal until the last of these datasets was acknowledged. */
  readonly took_ms: number;
}

/**
 * Takes a marketplace's acknowledgement: for the dataset of the message it names, or for all its
 * datasets that the refusal is about. It is an event of its own; the first one counts, and the same
 * again answers the same. Refuses `not_found`.
 */
export async function acknowledge(
  ctx: Context,
  id: string,
  principal: Extract<Principal, { kind: "marketplace" }>,
): Promise<Result<Acknowledgement>> {
  const found = await findRevocation(ctx, id, principal);
  if (!found.ok) return found;
  const { row, datasetId } = found.value;
  const { marketplaceId } = principal;
  return writeFact(ctx, async (fact) => {
    await lockPropagations(fact.trx, [row.event_id]);
    const asked = (await readLegs(fact.trx, [row.event_id])).filter(
      (leg) =>
        leg.leg === "acknowledgement" &&
        leg.marketplace_id === marketplaceId &&
        (datasetId === undefined || leg.dataset_id === datasetId),
    );
    if (asked.length === 0) return refuse("not_found", `there is no revocation ${id}`);
    const at_ms = ctx.clock.nowMs();
    const fresh = asked.filter((leg) => leg.state !== "done");
    if (fresh.length > 0) {
      const body = { revocation_id: row.event_id, marketplace_id: marketplaceId, dataset_ids: datasetsOf(fresh) };
      fact.record({ type: "revocation.acknowledged", aggregate: row.event_id, body: { ...body, at: fact.now } });
      const done = fresh.map((leg) => ({ ...leg, state: "done" as const, at_ms, attempts: 1 }));
      await saveDone(ctx, fact.trx, row.event_id, done);
    }
    const lastMs = Math.max(...asked.map((leg) => leg.at_ms ?? at_ms));
    return accept({
      revocation_id: row.event_id,
      marketplace_id: marketplaceId,
      dataset_ids: datasetsOf(asked),
      acknowledged_at: formatInstant(Math.floor(lastMs / 1_000)),
      took_ms: Math.max(0, lastMs - row.at_ms),
    });
  });
}

function datasetsOf(legs: readonly LegRow[]): readonly string[] {
  return legs.flatMap((leg) => leg.dataset_id ?? []).sort();
}
