import { z } from "@hono/zod-openapi";
import { DID_METHODS, PROHIBITIONS, isLicense, parseInstant, parsePrice, parseSubject } from "@licet/protocol";
import { creatorIdSchema, identifierSchema, instantSchema } from "../http/parameters.ts";
import { DEFAULT_LANGUAGE, DEFAULT_LICENSE } from "../terms/built-in-terms.ts";

const MAX_DAYS = 3_650;
const MAX_EVIDENCE_MEMBERS = 50;

/** What a creator is asked to agree to. */
export const draftInputSchema = z
  .strictObject({
    subject: z
      .string()
      .refine((text) => parseSubject(text) !== undefined, "expected content:<id>, creator:<id> or dataset:<id>")
      .openapi({ example: "creator:user:12345" }),
    scope: z
      .array(z.string().max(64))
      .min(1)
      .max(40)
      .openapi({ example: ["training", "commercial"] }),
    license: z.string().refine(isLicense, "expected a license such as paid_training:1.0").default(DEFAULT_LICENSE),
    price_floor: z
      .string()
      .refine((text) => parsePrice(text) !== undefined, "expected a price such as per-token:0.0001")
      .default("per-token:0"),
    duration_days: z.int().min(1).max(MAX_DAYS).optional(),
    expires_at: instantSchema
      .refine((text) => parseInstant(text) !== undefined, "expected an instant such as 2028-01-01T00:00:00Z")
      .optional(),
    audience: z.array(identifierSchema).min(1).max(100).optional(),
    future_works: z.boolean().default(false),
    prohibitions: z.array(z.enum(PROHIBITIONS)).max(PROHIBITIONS.length).default([]),
    language: z.string().max(16).default(DEFAULT_LANGUAGE),
    kid: z
      .string()
      .max(128)
      .optional()
      .openapi({ description: "the creator's key to sign with; by default the newest" }),
    signer: z.enum(["creator", "platform"]).default("creator"),
    issuer: z
      .enum(["creator", ...DID_METHODS])
      .default("creator")
      .openapi({
        description: "how the token names the creator: by our URL for them, or by the DID of the key that signs",
      }),
    creator_id: creatorIdSchema
      .optional()
      .openapi({ description: "whose consent it is; a creator's session implies it" }),
    evidence: z
      .record(z.string().max(64), z.string().max(2_000))
      .refine(
        (members) => Object.keys(members).length <= MAX_EVIDENCE_MEMBERS,
        `expected at most ${MAX_EVIDENCE_MEMBERS} members`,
      )
      .optional()
      .openapi({ description: "what the creator did, kept and hashed into act; only with signer platform" }),
  })
  .refine((input) => input.duration_days === undefined || input.expires_at === undefined, {
    message: "expected duration_days or expires_at, not both",
    path: ["expires_at"],
  })
  .refine((input) => (input.signer === "platform") === (input.evidence !== undefined), {
    message: "expected evidence with signer platform, and only there",
    path: ["evidence"],
  })
  .refine((input) => input.signer === "creator" || input.issuer === "creator", {
    message: "expected none with signer platform, which issues under its own name",
    path: ["issuer"],
  })
  .openapi("ConsentDraftInput");

export type DraftInput = z.infer<typeof draftInputSchema>;

export const draftSchema = z
  .object({
    jti: z.string(),
    signing_input: z.string().openapi({
      description: "what to sign: ASCII bytes; append a dot and the base64url signature to make the token",
    }),
    claims: z.looseObject({}),
    text: z.string().openapi({ description: "the exact words the creator must be shown" }),
    terms_sha256: z.string(),
    draft_expires_at: instantSchema,
  })
  .openapi("ConsentDraft");

export type DraftView = z.infer<typeof draftSchema>;
