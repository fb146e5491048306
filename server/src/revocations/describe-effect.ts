import { z } from "@hono/zod-openapi";
import { formatInstant } from "@licet/protocol";
import type { Fact } from "../events/write-fact.ts";
import { identifierSchema, instantSchema } from "../http/parameters.ts";
import { MAX_NAMED, type RunningLicense, readAffected } from "../models/lookup.ts";
import { openCases } from "../remediations/open-cases.ts";

const licenseMembers = {
  license_id: z.string().optional(),
  dataset_id: identifierSchema,
  marketplace_id: identifierSchema,
  model_id: z.string(),
  model_fingerprint: z.string(),
};

/** What ends with a revocation: no dataset may be used with what was taken back, and licenses go on without it. */
export const stopsNowSchema = z
  .object({
    datasets: z.array(identifierSchema),
    licenses: z.array(z.object(licenseMembers)),
    licenses_count: z.int(),
  })
  .openapi("StopsNow");

/** What a revocation comes too late for: models that receipts say were trained already. */
export const cannotBeUndoneSchema = z
  .object({
    models: z.array(
      z.object({
        ...licenseMembers,
        receipts: z.string(),
        first_use_at: instantSchema,
        last_use_at: instantSchema,
      }),
    ),
    models_count: z.int(),
    models_url: z.string(),
    remediation_ids: z.array(z.string()),
    remediations_count: z.int(),
  })
  .openapi("CannotBeUndone");

/** What was taken back, in an answer's words. */
export interface Effect {
  readonly stops_now: z.infer<typeof stopsNowSchema>;
  readonly cannot_be_undone: z.infer<typeof cannotBeUndoneSchema>;
}

/** What was asked to be taken back, what of it stood until now, and the datasets that it reaches. */
export interface Reach {
  readonly jtis: readonly string[];
  readonly contentIds: readonly string[];
  readonly fresh: { readonly jtis: readonly string[]; readonly contentIds: readonly string[] };
  readonly datasetIds: readonly string[];
}

/** Where the models in question are listed. */
export interface Asked extends Reach {
  readonly modelsUrl: string;
}

/** Says what stops and what cannot be undone, and opens in this fact the remediations that terms promise. */
export async function takeEffect(fact: Fact, { modelsUrl, ...taken }: Asked): Promise<Effect> {
  const affected = await readAffected(fact.trx, taken);
  const caseIds = await openCases(fact, affected.models);
  return {
    stops_now: {
      datasets: [...new Set(taken.datasetIds)].sort(),
      licenses: affected.licenses.map(licenseView),
      licenses_count: affected.licensesCount,
    },
    cannot_be_undone: {
      models: affected.models.slice(0, MAX_NAMED).map(({ receipts, first_from, last_to, ...model }) => ({
        ...licenseView(model),
        receipts,
        first_use_at: formatInstant(first_from),
        last_use_at: formatInstant(last_to),
      })),
      models_count: affected.modelsCount,
      models_url: modelsUrl,
      remediation_ids: caseIds.slice(0, MAX_NAMED),
      remediations_count: caseIds.length,
    },
  };
}

function licenseView({
  license_id,
  dataset_id,
  marketplace_id,
  model_id,
  model_fingerprint,
}: RunningLicense): Effect["stops_now"]["licenses"][number] {
  return { ...(license_id === "" ? {} : { license_id }), dataset_id, marketplace_id, model_id, model_fingerprint };
}

/** Opens the remediations that terms promise, for whoever gets no answer about them. */
export async function openPromisedCases(fact: Fact, reach: Reach): Promise<void> {
  await openCases(fact, (await readAffected(fact.trx, reach)).models);
}
