import { z } from "@hono/zod-openapi";
import { formatInstant } from "@licet/protocol";
import { identifierSchema, instantSchema } from "../http/parameters.ts";
import { type ReadModel, type Relative, periodOf, sumOf, usesByDataset } from "./read-model.ts";
import type { KnownModel, ModelConsent } from "./store.ts";

export const fingerprintSchema = z
  .string()
  .regex(/^[0-9a-f]{64}$/, "expected a model's fingerprint: 64 lower-case hexadecimal digits")
  .openapi({ example: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" });
const countSchema = z.string().openapi({ example: "12", description: "a whole number in decimal digits" });
const consentState = z.enum(["active", "revoked", "suspended", "expired"]);

export const modelConsentSchema = z
  .object({ jti: z.string(), creator_id: z.string().optional(), state: consentState, since: instantSchema.optional() })
  .openapi("ModelConsent");

export const listedModelSchema = z
  .object({
    fingerprint: fingerprintSchema,
    model_ids: z.array(z.string()),
    marketplace_ids: z.array(identifierSchema),
    dataset_ids: z.array(identifierSchema),
    receipts: countSchema,
    last_use_at: instantSchema.optional(),
  })
  .openapi("ListedModel");

const relativeSchema = z.object({
  fingerprint: fingerprintSchema,
  base_fingerprint: fingerprintSchema,
  model_id: z.string(),
  marketplace_id: identifierSchema,
  level: z.int(),
});
const relativesSchema = z.object({ models: z.array(relativeSchema), complete: z.boolean() });

export const modelSchema = z
  .object({
    fingerprint: fingerprintSchema,
    models: z.array(z.object({ marketplace_id: identifierSchema, model_id: z.string() })),
    licenses: z.array(
      z.object({
        license_id: identifierSchema,
        dataset_id: identifierSchema,
        dataset_version: z.int(),
        marketplace_id: identifierSchema,
        model_id: z.string(),
        base_fingerprint: fingerprintSchema.optional(),
        scope: z.array(z.string()),
        state: z.enum(["active", "revoked", "expired"]),
        issued_at: instantSchema,
        expires_at: instantSchema,
      }),
    ),
    licenses_count: z.int(),
    datasets: z.array(z.object({ dataset_id: identifierSchema, versions: z.array(z.int()), receipts: countSchema })),
    consents: z.object({
      counts: z.object({ active: z.int(), revoked: z.int(), suspended: z.int(), expired: z.int() }),
      ended: z.array(modelConsentSchema),
      url: z.string(),
    }),
    receipts: z.object({
      count: countSchema,
      units: z.array(z.object({ unit: z.string(), count: countSchema })),
      charged: z.array(z.object({ currency: z.string(), amount_micros: z.string() })),
      period: z.object({ from: instantSchema, to: instantSchema }).optional(),
      url: z.string(),
    }),
    listed_by: z.array(
      z.object({
        marketplace_id: identifierSchema,
        model_id: z.string(),
        published_at: instantSchema,
        first_seen_at: instantSchema,
        last_seen_at: instantSchema,
      }),
    ),
    bases: relativesSchema,
    derived: relativesSchema,
  })
  .openapi("Model");

export function listedModelView(row: KnownModel): z.infer<typeof listedModelSchema> {
  const { fingerprint, model_ids, marketplace_ids, dataset_ids, receipts, last_to } = row;
  return {
    fingerprint,
    model_ids: [...model_ids],
    marketplace_ids: [...marketplace_ids],
    dataset_ids: [...dataset_ids],
    receipts,
    ...(last_to === null ? {} : { last_use_at: formatInstant(last_to) }),
  };
}

/** A consent behind a model. Whose it is the marketplace does not learn here. */
export function modelConsentView(row: ModelConsent, withCreator: boolean): z.infer<typeof modelConsentSchema> {
  const { jti, creator_id, state, ended_at } = row;
  return {
    jti,
    ...(withCreator ? { creator_id } : {}),
    state,
    ...(ended_at === null ? {} : { since: formatInstant(ended_at) }),
  };
}

const NO_CONSENTS = { active: 0, revoked: 0, suspended: 0, expired: 0 };

/** A model as the API shows it. */
export function modelView(model: ReadModel, withCreators: boolean): z.infer<typeof modelSchema> {
  const { fingerprint, uses, licenses, listings, consents, bases, derived } = model;
  return {
    fingerprint,
    models: namesOf(model),
    licenses: licenses.rows.map(({ scope, base_fingerprint, issued_at, expires_at, ...row }) => ({
      license_id: row.license_id,
      dataset_id: row.dataset_id,
      dataset_version: row.dataset_version,
      marketplace_id: row.marketplace_id,
      model_id: row.model_id,
      ...(base_fingerprint === null ? {} : { base_fingerprint }),
      scope: scope.split(" "),
      state: row.state,
      issued_at: formatInstant(issued_at),
      expires_at: formatInstant(expires_at),
    })),
    licenses_count: licenses.count,
    datasets: usesByDataset(uses).map(({ dataset_id, versions, receipts }) => ({
      dataset_id,
      versions: [...versions],
      receipts: String(receipts),
    })),
    consents: {
      counts: consents.counts.reduce((counts, { state, count }) => ({ ...counts, [state]: count }), NO_CONSENTS),
      ended: consents.ended.map((row) => modelConsentView(row, withCreators)),
      url: `/api/v1/models/${fingerprint}/consents`,
    },
    receipts: receiptsView(model),
    listed_by: listings.map(({ marketplace_id, model_id, published_at, first_seen_at, last_seen_at }) => ({
      marketplace_id,
      model_id,
      published_at: formatInstant(published_at),
      first_seen_at: formatInstant(first_seen_at),
      last_seen_at: formatInstant(last_seen_at),
    })),
    bases: relativesView(bases),
    derived: relativesView(derived),
  };
}

function receiptsView({ fingerprint, uses, corrections }: ReadModel): z.infer<typeof modelSchema>["receipts"] {
  const period = periodOf(uses);
  const charged = Map.groupBy(
    uses.filter((use) => use.currency !== null),
    (use) => use.currency ?? "",
  );
  return {
    count: String(sumOf(uses, "receipts")),
    units: [...Map.groupBy(uses, (use) => use.unit)].map(([unit, rows]) => ({
      unit,
      count: String(sumOf(rows, "units")),
    })),
    charged: [...charged].map(([currency, rows]) => ({
      currency,
      amount_micros: String(sumOf(rows, "charged_micros") + correctedOf(corrections, currency)),
    })),
    ...(period === undefined ? {} : { period }),
    url: `/api/v1/usage-receipts?model_fingerprint=${fingerprint}`,
  };
}

/** What was taken back of charges in a currency: at most 0. */
function correctedOf(corrections: ReadModel["corrections"], currency: string): bigint {
  return corrections.find((row) => row.currency === currency)?.amountMicros ?? 0n;
}

function namesOf({ uses, licenses, listings }: ReadModel): z.infer<typeof modelSchema>["models"] {
  const names = [...licenses.rows, ...uses, ...listings].map(({ marketplace_id, model_id }) => ({
    marketplace_id,
    model_id,
  }));
  return [...new Map(names.map((name) => [`${name.marketplace_id} ${name.model_id}`, name])).values()];
}

function relativesView({
  rows,
  isComplete,
}: {
  readonly rows: readonly Relative[];
  readonly isComplete: boolean;
}): z.infer<typeof relativesSchema> {
  return { models: rows.map((row) => ({ ...row })), complete: isComplete };
}
