import { z } from "@hono/zod-openapi";
import { MAX_FEE_BPS, SPLIT_MEASURES, isLicense, parsePrice } from "@licet/protocol";
import { creatorIdSchema, identifierSchema, instantSchema, jtiSchema } from "../http/parameters.ts";
import { DEFAULT_LICENSE } from "../terms/built-in-terms.ts";

/** Works in one dataset. */
const MAX_DATASET_ITEMS = 100_000;
/** A request that names that many works by the longest id fits. */
export const MAX_DATASET_BYTES = 33_554_432;
const MAX_CONSENT_TOKENS = 1_000;
const CURRENCIES = new Set(Intl.supportedValuesOf("currency"));

const itemReferenceSchema = z
  .looseObject({ content_id: identifierSchema })
  .openapi("ItemReference", { description: "content_id is enough; any other member must equal what is registered" });
const itemsSchema = z.array(itemReferenceSchema).min(1).max(MAX_DATASET_ITEMS);
const tokenSchema = z.string().max(16_384);

/** The brief's request to publish a dataset. */
export const datasetInputSchema = z
  .strictObject({
    dataset_id: identifierSchema.optional(),
    name: z.string().trim().min(1).max(256),
    content_items: itemsSchema.optional(),
    provenance: z
      .looseObject({
        content_items: itemsSchema.optional(),
        dataset_id: identifierSchema.optional(),
        consent_token_id: jtiSchema.optional(),
      })
      .optional()
      .openapi({ description: "the brief's form; what it says beside content_items must be so" }),
    consent_jwt: tokenSchema.optional(),
    consent_jwts: z.array(tokenSchema).max(MAX_CONSENT_TOKENS).optional(),
    pricing: z.strictObject({
      model_use: z
        .string()
        .refine(
          (text) => parsePrice(text) !== undefined,
          "expected a price of at most 12 decimals such as per-token:0.0001",
        )
        .openapi({ example: "per-token:0.0001" }),
    }),
    currency: z
      .string()
      .refine((code) => CURRENCIES.has(code), "expected an ISO 4217 currency such as USD")
      .default("USD"),
    revenue_split: z
      .strictObject({
        by: z.enum(SPLIT_MEASURES).default("items"),
        platform_fee_bps: z.int().min(0).max(MAX_FEE_BPS).optional(),
      })
      .optional()
      .openapi({
        description:
          "how what a version earns is shared out: the platform's fee in basis points (by default the server's), then by works, or by their tokens, seconds or bytes",
      }),
    scope: z.array(z.string().max(64)).min(1).max(40).default(["training"]),
    license: z.string().refine(isLicense, "expected a license such as paid_training:1.0").default(DEFAULT_LICENSE),
    status: z.enum(["draft", "published"]).default("published"),
  })
  .refine((input) => (input.content_items === undefined) !== (input.provenance?.content_items === undefined), {
    message: "expected the works in content_items, here or in provenance",
    path: ["content_items"],
  })
  .openapi("DatasetInput");

export type DatasetInput = z.infer<typeof datasetInputSchema>;
export type ItemReference = z.infer<typeof itemReferenceSchema>;

export function itemReferencesOf(input: DatasetInput): readonly ItemReference[] {
  return input.content_items ?? input.provenance?.content_items ?? [];
}

export function consentTokensOf(input: DatasetInput): readonly string[] {
  return [...(input.consent_jwt === undefined ? [] : [input.consent_jwt]), ...(input.consent_jwts ?? [])];
}

export const datasetSchema = z
  .object({
    dataset_id: identifierSchema,
    name: z.string(),
    status: z.enum(["draft", "published"]),
    state: z.enum(["draft", "active", "partially_revoked", "suspended", "revoked", "expired"]),
    version: z.int(),
    min_valid_version: z.int().optional(),
    has_draft: z.boolean(),
    published_at: instantSchema.optional(),
    suspended_at: instantSchema.optional(),
    ended_at: instantSchema.optional(),
    compaction_due_at: instantSchema.optional(),
    items_count: z.int().optional(),
    consents_count: z.int().optional(),
    items_root: z.string().optional(),
    manifest_sha256: z.string().optional(),
    manifest_url: z.string().optional(),
  })
  .openapi("Dataset");

export type DatasetView = z.infer<typeof datasetSchema>;

export const offerSchema = z
  .object({
    dataset_id: identifierSchema,
    marketplace_id: identifierSchema,
    state: z.enum(["pending", "registered", "refused"]),
    offered_at: instantSchema,
    registered_at: instantSchema.optional(),
    attempts: z.int(),
    last_error: z.string().optional(),
  })
  .openapi("DatasetOffer");

export const provenanceSchema = z
  .looseObject({
    dataset_id: identifierSchema,
    provenance: z.looseObject({
      dataset_id: identifierSchema,
      content_items: z.array(z.looseObject({ content_id: identifierSchema, creator_id: creatorIdSchema })),
    }),
    consent_jwt: z.string().optional(),
    consents: z.array(z.looseObject({ jti: z.string(), consent_jwt: z.string(), state: z.string() })),
    next: z.string().nullable(),
    signatures: z.array(z.object({ key_id: z.string(), alg: z.string(), sig: z.string() })),
  })
  .openapi("Provenance");
