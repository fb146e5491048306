import { z } from "@hono/zod-openapi";
import { formatInstant, parseMicros } from "@licet/protocol";
import type { Context } from "../context.ts";
import { nowSeconds } from "../context.ts";
import type { StoredEvent } from "../events/store.ts";
import { creatorIdSchema, identifierSchema, instantSchema } from "../http/parameters.ts";
import type { Principal } from "../http/principal.ts";
import type { WholeCase } from "./read-cases.ts";
import type { CaseRow, MessageRow, OfferRow } from "./store.ts";

/** A page of prose. */
const MAX_TEXT_LENGTH = 4_000;
/** A trillion of the currency; more is a slip. */
const MAX_OFFER_MICROS = 10n ** 18n;
const MAX_VALID_DAYS = 365;
const DEFAULT_VALID_DAYS = 30;

export const CASE_STATES = ["open", "offered", "accepted", "closed", "withdrawn"] as const;

export const textSchema = z.string().trim().min(1).max(MAX_TEXT_LENGTH);
export const offerInputSchema = z
  .strictObject({
    amount_micros: z
      .string()
      .refine((text) => {
        const amount = parseMicros(text) ?? 0n;
        return amount > 0n && amount <= MAX_OFFER_MICROS;
      }, `expected micro-units in decimal digits, from 1 to ${MAX_OFFER_MICROS}`)
      .openapi({ example: "25000000", description: "micro-units: 1000000 are one of the currency" }),
    currency: z.string().regex(/^[A-Z]{3}$/, "expected an ISO 4217 currency such as USD"),
    text: textSchema,
    valid_days: z.int().min(1).max(MAX_VALID_DAYS).default(DEFAULT_VALID_DAYS),
  })
  .openapi("RemediationOfferInput");

export const offerSchema = z
  .object({
    offer_id: z.string(),
    amount_micros: z.string(),
    currency: z.string(),
    text: z.string(),
    state: z.enum(["standing", "accepted", "declined", "withdrawn", "expired"]),
    offered_at: instantSchema,
    offered_by: z.string(),
    expires_at: instantSchema,
    decided_at: instantSchema.optional(),
    decided_by: z.string().optional(),
  })
  .openapi("RemediationOffer");

export const messageSchema = z
  .object({
    message_id: z.string(),
    side: z.enum(["creator", "platform", "marketplace"]),
    author: z.string(),
    text: z.string(),
    at: instantSchema,
  })
  .openapi("RemediationMessage");

const CASE_MEMBERS = {
  case_id: z.string(),
  state: z.enum(CASE_STATES),
  /** Not there for marketplaces, which learn no creator's name. */
  creator_id: creatorIdSchema.optional(),
  marketplace_id: identifierSchema,
  dataset_id: identifierSchema,
  license_id: z.string().optional(),
  model_id: z.string(),
  model_fingerprint: z.string(),
  currency: z.string(),
  receipts: z.string(),
  last_use_at: instantSchema,
  opened_at: instantSchema,
  due_at: instantSchema,
  overdue: z.boolean(),
  ended_at: instantSchema.optional(),
  ended_by: z.string().optional(),
  reason: z.string().optional(),
  transaction_id: z.string().optional(),
};

export const caseSchema = z.object(CASE_MEMBERS).openapi("Remediation");

export const wholeCaseSchema = z
  .object({
    ...CASE_MEMBERS,
    taken_back: z.array(z.object({ kind: z.enum(["consent", "work"]), id: z.string(), at: instantSchema })),
    offers: z.array(offerSchema),
    history: z.array(z.object({ type: z.string(), at: instantSchema, by: z.string().optional() })),
    messages_url: z.string(),
  })
  .openapi("WholeRemediation");

/** How a side in a case is written for the caller: a marketplace learns that it was the creator, not who that is. */
function nameFor({ kind }: Principal, actor: string): string {
  return kind === "marketplace" && actor.startsWith("creator:") ? "creator" : actor;
}

export function caseView(ctx: Context, row: CaseRow, principal: Principal): z.infer<typeof caseSchema> {
  const isUnderWay = row.state === "open" || row.state === "offered";
  return {
    case_id: row.case_id,
    state: row.state,
    ...(principal.kind === "marketplace" ? {} : { creator_id: row.creator_id }),
    marketplace_id: row.marketplace_id,
    dataset_id: row.dataset_id,
    ...(row.license_id === "" ? {} : { license_id: row.license_id }),
    model_id: row.model_id,
    model_fingerprint: row.model_fingerprint,
    currency: row.currency,
    receipts: row.receipts,
    last_use_at: formatInstant(row.last_use_at),
    opened_at: formatInstant(row.opened_at),
    due_at: formatInstant(row.due_at),
    overdue: isUnderWay && row.due_at <= nowSeconds(ctx),
    ...(row.ended_at === null ? {} : { ended_at: formatInstant(row.ended_at) }),
    ...(row.ended_by === null ? {} : { ended_by: nameFor(principal, row.ended_by) }),
    ...(row.reason === null ? {} : { reason: row.reason }),
    ...(row.transaction_id === null ? {} : { transaction_id: row.transaction_id }),
  };
}

export function wholeCaseView(
  ctx: Context,
  { row, grounds, offers, history }: WholeCase,
  principal: Principal,
): z.infer<typeof wholeCaseSchema> {
  return {
    ...caseView(ctx, row, principal),
    taken_back: grounds.map(({ kind, id, at }) => ({ kind, id, at: formatInstant(at) })),
    offers: offers.map((offer) => offerView(offer, principal)),
    history: history.map((step) => stepView(step, principal)),
    messages_url: `/api/v1/remediations/${row.case_id}/messages`,
  };
}

function stepView(
  { type, atMs, body }: StoredEvent,
  principal: Principal,
): z.infer<typeof wholeCaseSchema>["history"][number] {
  const { by } = body;
  return {
    type,
    at: formatInstant(Math.floor(atMs / 1_000)),
    ...(typeof by === "string" ? { by: nameFor(principal, by) } : {}),
  };
}

export function offerView(row: OfferRow, principal: Principal): z.infer<typeof offerSchema> {
  const { offer_id, amount_micros, currency, text, state, offered_at, offered_by, expires_at } = row;
  return {
    offer_id,
    amount_micros,
    currency,
    text,
    state,
    offered_at: formatInstant(offered_at),
    offered_by,
    expires_at: formatInstant(expires_at),
    ...(row.decided_at === null ? {} : { decided_at: formatInstant(row.decided_at) }),
    ...(row.decided_by === null ? {} : { decided_by: nameFor(principal, row.decided_by) }),
  };
}

export function messageView(
  { message_id, side, author, text, at }: MessageRow,
  principal: Principal,
): z.infer<typeof messageSchema> {
  return { message_id, side, author: nameFor(principal, author), text, at: formatInstant(at) };
}
