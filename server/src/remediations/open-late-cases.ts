import { accept } from "@licet/protocol";
import type { Context } from "../context.ts";
import { findEvent } from "../events/store.ts";
import { writeFact } from "../events/write-fact.ts";
import { type LateUse, readAffected, readTakenBack } from "../models/lookup.ts";
import { openCases } from "./open-cases.ts";
import { readCasesOf } from "./store.ts";

/**
 * Opens the cases that terms promise for a use that was reported after something was taken back: the
 * revocation could not know of it. Whoever has had a case about that model has it already. Done again
 * after a crash, it opens nothing twice.
 */
export async function openLateCases(ctx: Context, eventId: string): Promise<void> {
  const use = lateUseOf((await findEvent(ctx.db, eventId))?.body ?? {});
  if (use === undefined) return;
  await writeFact(ctx, async (fact) => {
    const taken = await readTakenBack(fact.trx, use);
    const { models } = await readAffected(fact.trx, { ...taken, fresh: taken, datasetIds: [] });
    const own = models.filter(
      (model) => model.license_id === use.license_id && model.model_fingerprint === use.model_fingerprint,
    );
    const known = new Set((await readCasesOf(fact.trx, use)).map((row) => row.creator_id));
    await openCases(
      fact,
      own.filter((model) => !known.has(model.creator_id)),
    );
    return accept(undefined);
  });
}

function lateUseOf(body: Readonly<Record<string, unknown>>): LateUse | undefined {
  const { license_id, dataset_id, dataset_version, model_fingerprint, lost_since } = body;
  return typeof license_id === "string" &&
    typeof dataset_id === "string" &&
    typeof dataset_version === "number" &&
    typeof model_fingerprint === "string" &&
    typeof lost_since === "number"
    ? { license_id, dataset_id, dataset_version, model_fingerprint, lost_since }
    : undefined;
}
