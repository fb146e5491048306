import { z } from "@hono/zod-openapi";
import { MAX_LINEAGE, isLicense, isLineage, isMimeType, modalityOf, parseInstant, sha256Hex } from "@licet/protocol";
import { creatorIdSchema, identifierSchema, instantSchema, webUrlSchema } from "../http/parameters.ts";

/** The longest work we can describe: a year, in milliseconds. */
const MAX_LENGTH_MS = 366 * 86_400_000;

/**
 * A work as the platform registers it: the brief's record, less what the server adds. With a hash it
 * is taken as it is described; without one, or with `read_url`, the server reads the bytes itself.
 */
export const contentInputSchema = z
  .strictObject({
    content_id: identifierSchema.optional(),
    creator_id: creatorIdSchema,
    canonical_url: webUrlSchema.openapi({ example: "https://platform.example/watch/1" }),
    sha256: z
      .string()
      .regex(/^[0-9a-f]{64}$/, "expected 64 lower-case hexadecimal digits")
      .optional()
      .openapi({ example: sha256Hex(""), description: "without it the server reads the bytes at canonical_url" }),
    mime_type: z
      .string()
      .refine(isMimeType, "expected a MIME type")
      .refine((text) => modalityOf(text) !== undefined, "expected text, audio, image or video")
      .optional()
      .openapi({ example: "video/mp4", description: "needed beside sha256; otherwise told by the bytes" }),
    created_at: instantSchema
      .refine((text) => parseInstant(text) !== undefined, "expected an instant such as 2026-01-18T12:05:00Z")
      .optional()
      .openapi({ description: "needed beside sha256; otherwise by default the Last-Modified of the URL" }),
    read_url: z
      .boolean()
      .default(false)
      .openapi({ description: "read the bytes at canonical_url although sha256 is given, and compare" }),
    size_bytes: z.int().min(0).optional(),
    length_ms: z.int().min(0).max(MAX_LENGTH_MS).optional(),
    token_count: z.int().min(0).optional().openapi({
      description: "tokens of a text by the platform's count, for datasets that split what they earn by them",
    }),
    license: z.string().refine(isLicense, "expected a license such as paid_training:1.0").optional(),
    lineage: z
      .array(z.string().max(2_048).refine(isLineage, "expected content:<id>, dataset:<id> or a URL"))
      .max(MAX_LINEAGE)
      .optional(),
    p_hash: z
      .string()
      .max(8_192)
      .regex(/^[A-Za-z0-9+/]+={0,2}$/, "expected base64")
      .optional(),
    p_hash_alg: z.string().max(64).optional(),
  })
  .refine((item) => (item.p_hash === undefined) === (item.p_hash_alg === undefined), {
    message: "expected p_hash and p_hash_alg together",
    path: ["p_hash_alg"],
  })
  .refine((item) => item.sha256 === undefined || item.read_url || item.mime_type !== undefined, {
    message: "expected it beside sha256, or read_url: true",
    path: ["mime_type"],
  })
  .refine((item) => item.sha256 === undefined || item.read_url || item.created_at !== undefined, {
    message: "expected it beside sha256, or read_url: true",
    path: ["created_at"],
  })
  .openapi("ContentInput");

export type ContentInput = z.infer<typeof contentInputSchema>;

/** A work whose description is whole. */
export type DescribedContent = Omit<ContentInput, "sha256" | "mime_type" | "created_at" | "read_url"> & {
  readonly sha256: string;
  readonly mime_type: string;
  readonly created_at: string;
};

/** A registered work. */
export const contentSchema = z
  .looseObject({
    content_id: identifierSchema,
    creator_id: creatorIdSchema,
    canonical_url: z.string(),
    sha256: z.string(),
    mime_type: z.string(),
    registered_at: instantSchema,
    revision: z.int(),
    state: z.enum(["standing", "suspended", "withdrawn"]),
  })
  .openapi("ContentItem");

export type ContentView = z.infer<typeof contentSchema>;
