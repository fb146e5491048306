import { z } from "@hono/zod-openapi";
import { MAX_LICENSE_ORIGINS, isOrigin } from "@licet/protocol";
import { identifierSchema, instantSchema, kidSchema } from "../http/parameters.ts";

/** A license, or its renewal, lasts at most this long: ten years. */
const MAX_TERM_DAYS = 3_660;
const MAX_NAMED_MARKETPLACES = 1_000;
const MAX_NOTE_LENGTH = 2_000;

const sha256Schema = z
  .string()
  .regex(/^[0-9a-f]{64}$/, "expected 64 lower-case hexadecimal digits")
  .openapi({ example: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" });
/** Micro-units of the dataset's currency: the column holds 38 digits. */
const microsSchema = z
  .string()
  .regex(/^(0|[1-9]\d{0,37})$/, "expected micro-units as a decimal string of at most 38 digits")
  .openapi({ example: "250000000" });
const scopeSchema = z.array(z.string().max(64)).min(1).max(40);
const termDaysSchema = z.int().min(1).max(MAX_TERM_DAYS);

const modelSchema = z
  .strictObject({
    model_id: z
      .string()
      .regex(/^[\x21-\x7e]{1,256}$/, "expected at most 256 printable characters without spaces")
      .openapi({ example: "acme/writer-7b" }),
    fingerprint: sha256Schema,
    base_fingerprint: sha256Schema.optional(),
  })
  .refine((model) => model.base_fingerprint !== model.fingerprint, {
    message: "expected another model than the one it is made from",
    path: ["base_fingerprint"],
  })
  .openapi("LicensedModel");

export const licenseInputSchema = z
  .strictObject({
    model: modelSchema,
    scope: scopeSchema,
    term_days: termDaysSchema.optional(),
    spend_cap_micros: microsSchema.optional(),
    jkt: kidSchema.nullish().openapi({
      description:
        "the registered key that tokens are bound to; null for plain bearer tokens; by default the key the agreement was accepted with",
    }),
    note: z.string().trim().min(1).max(MAX_NOTE_LENGTH).optional().openapi({ description: "for whoever decides" }),
  })
  .openapi("LicenseInput");

export type LicenseInput = z.infer<typeof licenseInputSchema>;

export const tokenInputSchema = z
  .strictObject({
    jkt: kidSchema.nullish(),
    audience: z
      .array(z.string().refine(isOrigin, "expected an origin such as https://works.example"))
      .min(1)
      .max(MAX_LICENSE_ORIGINS)
      .optional(),
  })
  .openapi("LicenseTokenInput");

export type TokenInput = z.infer<typeof tokenInputSchema>;

export const renewalInputSchema = z.strictObject({ term_days: termDaysSchema.optional() }).openapi("LicenseRenewal");

export const approvalInputSchema = z
  .strictObject({
    term_days: termDaysSchema.optional(),
    spend_cap_micros: microsSchema.optional(),
    renewable: z.boolean().optional(),
  })
  .openapi("LicenseApproval");

export type ApprovalInput = z.infer<typeof approvalInputSchema>;

export const policyInputSchema = z
  .strictObject({
    mode: z.enum(["automatic", "rule", "manual"]),
    rule: z
      .strictObject({
        scope: scopeSchema.optional(),
        marketplaces: z.array(identifierSchema).min(1).max(MAX_NAMED_MARKETPLACES).optional(),
        max_term_days: termDaysSchema.optional(),
        spend_cap_micros: microsSchema.optional(),
      })
      .optional(),
    agreement: z
      .string()
      .regex(/^[a-z][a-z0-9_]{0,63}$/, "expected the name of an agreement")
      .optional(),
    max_term_days: termDaysSchema.optional(),
    spend_cap_micros: microsSchema.optional(),
    renewable: z.boolean().optional(),
  })
  .refine((policy) => (policy.mode === "rule") === (policy.rule !== undefined), {
    message: "expected a rule in the mode rule, and only there",
    path: ["rule"],
  })
  .openapi("LicensePolicyInput");

export type PolicyInput = z.infer<typeof policyInputSchema>;

export const policySchema = z
  .object({
    dataset_id: identifierSchema,
    mode: z.enum(["automatic", "rule", "manual"]),
    rule: z.looseObject({}).optional(),
    agreement: z.string(),
    max_term_days: z.int(),
    spend_cap_micros: z.string().optional(),
    renewable: z.boolean(),
    updated_at: instantSchema.optional(),
    updated_by: z.string().optional(),
  })
  .openapi("LicensePolicy");

const statusSchema = z.object({ status_list: z.object({ idx: z.int(), uri: z.string() }) });
const licenseShape = {
  license_id: identifierSchema,
  dataset_id: identifierSchema,
  dataset_version: z.int(),
  marketplace_id: identifierSchema,
  model: z.object({ model_id: z.string(), fingerprint: z.string(), base_fingerprint: z.string().optional() }),
  scope: z.array(z.string()),
  price: z.string(),
  currency: z.string(),
  license: z.string(),
  agreement: z.string(),
  state: z.enum(["active", "revoked", "expired"]),
  issued_at: instantSchema,
  expires_at: instantSchema,
  renewed_at: instantSchema.optional(),
  renewable: z.boolean(),
  jkt: z.string().optional(),
  status: statusSchema,
  request_id: z.string().optional(),
  spend_cap_micros: z.string().optional(),
  units_reported: z.string(),
  charged_micros: z.string(),
  over_cap_at: instantSchema.optional(),
  ended_at: instantSchema.optional(),
  ended_by: z.string().optional(),
  reason: z.string().optional(),
};

export const licenseSchema = z.object(licenseShape).openapi("License");
export type LicenseView = z.infer<typeof licenseSchema>;

const tokenShape = {
  token: z.string(),
  token_expires_at: instantSchema,
  audience: z.array(z.string()),
  audience_complete: z
    .boolean()
    .openapi({ description: "false when the works are at more origins than a token names" }),
};

export const tokenSchema = z.object({ license_id: identifierSchema, ...tokenShape }).openapi("LicenseToken");
export const issuedLicenseSchema = z.object({ ...licenseShape, ...tokenShape }).openapi("IssuedLicense");

export const licenseRequestSchema = z
  .object({
    request_id: identifierSchema,
    dataset_id: identifierSchema,
    marketplace_id: identifierSchema,
    model: z.object({ model_id: z.string(), fingerprint: z.string(), base_fingerprint: z.string().optional() }),
    scope: z.array(z.string()),
    term_days: z.int().optional(),
    spend_cap_micros: z.string().optional(),
    jkt: z.string().optional(),
    note: z.string().optional(),
    state: z.enum(["pending", "approved", "denied"]),
    requested_at: instantSchema,
    decided_at: instantSchema.optional(),
    decided_by: z.string().optional(),
    reason: z.string().optional(),
    license_id: z.string().optional(),
  })
  .openapi("LicenseRequest");
export type LicenseRequestView = z.infer<typeof licenseRequestSchema>;
