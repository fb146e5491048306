import { z } from "@hono/zod-openapi";
import { type Result, accept, formatInstant, refuse, termsSha256 } from "@licet/protocol";
import type { Context } from "../context.ts";
import { readOwnJson } from "../db/own-json.ts";
import { requireOwn } from "../creators/own.ts";
import { eventsOf, type StoredEvent } from "../events/store.ts";
import type { Principal } from "../http/principal.ts";
import { creatorIdSchema, instantSchema } from "../http/parameters.ts";
import { claimsOf } from "./lookup.ts";
import { type ConsentRow, findConsent, findDraft } from "./store.ts";

export const CONSENT_STATES = [
  "active",
  "revoked",
  "suspended",
  "expired",
] as const satisfies readonly ConsentRow["state"][];

export const consentSchema = z
  .object({
    jti: z.string(),
    creator_id: creatorIdSchema,
    subject: z.string(),
    scope: z.array(z.string()),
    license: z.string(),
    price_floor: z.string(),
    state: z.enum(CONSENT_STATES),
    signed_by: z.enum(["creator", "platform"]),
    issued_at: instantSchema,
    expires_at: instantSchema,
    accepted_at: instantSchema,
    revoked_at: instantSchema.optional(),
    suspended_at: instantSchema.optional(),
    reason: z.string().optional(),
    token: z.string(),
    acceptance: z.looseObject({}),
  })
  .openapi("Consent");

export type ConsentView = z.infer<typeof consentSchema>;

export const historySchema = z
  .object({
    jti: z.string(),
    text: z.string().openapi({ description: "the exact words that were shown" }),
    terms_sha256: z.string().openapi({ description: "the SHA-256 of these words, as it stands in the token" }),
    history: z.array(z.object({ at: instantSchema, state: z.string(), by: z.string(), reason: z.string().optional() })),
  })
  .openapi("ConsentHistory");

/** A consent of the caller's own. Refuses `not_found` and `not_yours`. */
export async function requireConsent(ctx: Context, principal: Principal, jti: string): Promise<Result<ConsentRow>> {
  const row = await findConsent(ctx.db, jti);
  if (row === undefined) return refuse("not_found", `there is no consent ${jti}`);
  const own = requireOwn(principal, row.creator_id);
  return own.ok ? accept(row) : own;
}

export function consentView(row: ConsentRow): ConsentView {
  const claims = claimsOf(row);
  return consentSchema.parse({
    jti: row.jti,
    creator_id: row.creator_id,
    subject: row.subject,
    scope: claims.scope,
    license: row.license,
    price_floor: claims.price_floor,
    state: row.state,
    signed_by: row.signed_by,
    issued_at: formatInstant(row.issued_at),
    expires_at: formatInstant(row.expires_at),
    accepted_at: formatInstant(row.accepted_at),
    ...(row.state === "revoked" && row.ended_at !== null ? { revoked_at: formatInstant(row.ended_at) } : {}),
    ...(row.state === "suspended" && row.ended_at !== null ? { suspended_at: formatInstant(row.ended_at) } : {}),
    ...(row.reason === null ? {} : { reason: row.reason }),
    token: row.token,
    acceptance: readOwnJson(row.acceptance, `the acceptance of ${row.jti}`),
  });
}

/** What became of a consent, from its first draft on, and the words that were shown then. */
export async function readHistory(ctx: Context, row: ConsentRow): Promise<z.infer<typeof historySchema>> {
  const draft = await findDraft(ctx.db, row.jti);
  if (draft === undefined) throw new TypeError(`consent ${row.jti}: expected its draft to be kept`);
  const events = await eventsOf(ctx.db, row.jti);
  return { jti: row.jti, text: draft.words, terms_sha256: termsSha256(draft.words), history: events.map(historyEntry) };
}

function historyEntry(event: StoredEvent) {
  const { by, reason } = event.body;
  const state = event.type.slice("consent.".length);
  return {
    at: formatInstant(Math.floor(event.atMs / 1_000)),
    state: state === "granted" ? "active" : state,
    by: typeof by === "string" ? by : "unknown",
    ...(typeof reason === "string" ? { reason } : {}),
  };
}
