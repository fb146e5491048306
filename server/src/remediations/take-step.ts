import { type Result, accept, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { type Principal, actorOf } from "../http/principal.ts";
import { postTransactions } from "../ledger/post-transactions.ts";
import { nextUlid, recordStep } from "./open-cases.ts";
import { checkSide } from "./read-cases.ts";
import {
  type CaseRow,
  type MessageRow,
  type OfferRow,
  countMessages,
  endOffer,
  insertMessage,
  insertOffer,
  lockCase,
  readOffers,
  updateCase,
} from "./store.ts";

/** Messages in one case, and offers: whoever needs more does not want to come to an end. */
const MAX_MESSAGES = 1_000;
const MAX_OFFERS = 100;
const DAY_SECONDS = 86_400;

/** Who takes a step, in which case. */
export interface Stepping {
  readonly principal: Principal;
  readonly caseId: string;
}

type Take<T> = (fact: Fact, row: CaseRow) => Promise<Result<T>>;

/** Takes a step in a case that is held meanwhile. Refuses `not_found`, `not_yours`, and `remediation_settled` once it is closed. */
async function takeStep<T>(ctx: Context, { principal, caseId }: Stepping, take: Take<T>): Promise<Result<T>> {
  return writeFact<T>(ctx, async (fact) => {
    const row = checkSide(await lockCase(fact.trx, caseId), caseId, principal);
    if (!row.ok) return row;
    const { state } = row.value;
    return state === "closed" || state === "withdrawn"
      ? refuse("remediation_settled", `the remediation ${caseId} is ${state}`)
      : take(fact, row.value);
  });
}

function sideOf({ kind }: Principal): MessageRow["side"] {
  return kind === "creator" || kind === "marketplace" ? kind : "platform";
}

/** Adds a message that every side reads. Refuses also `remediation_full`. */
export async function sendMessage(
  ctx: Context,
  { text, ...stepping }: Stepping & { readonly text: string },
): Promise<Result<MessageRow>> {
  return takeStep<MessageRow>(ctx, stepping, async (fact, row) => {
    if ((await countMessages(fact.trx, row.case_id)) >= MAX_MESSAGES)
      return refuse("remediation_full", `expected at most ${MAX_MESSAGES} messages`);
    const message: MessageRow = {
      message_id: `rms_${nextUlid(fact.now * 1_000)}`,
      case_id: row.case_id,
      side: sideOf(stepping.principal),
      author: actorOf(stepping.principal),
      text,
      at: fact.now,
    };
    await insertMessage(fact.trx, message);
    recordStep(fact, row, "messaged", { message_id: message.message_id, by: message.author });
    return accept(message);
  });
}

/** What a marketplace offers. */
export interface Offering extends Stepping {
  readonly amountMicros: bigint;
  readonly currency: string;
  readonly text: string;
  readonly validDays: number;
}

/**
 * Makes an offer, which takes the place of one that stands. Refuses also `currency_wrong`,
 * `remediation_settled` once an offer was accepted, and `remediation_full`.
 */
export async function makeOffer(ctx: Context, offering: Offering): Promise<Result<OfferRow>> {
  return takeStep<OfferRow>(ctx, offering, async (fact, row) => {
    if (row.state === "accepted")
      return refuse("remediation_settled", `an offer in the remediation ${row.case_id} was accepted`);
    if (offering.currency !== row.currency)
      return refuse("currency_wrong", `expected ${row.currency}, the dataset's, got ${offering.currency}`);
    const offers = await readOffers(fact.trx, row.case_id);
    if (offers.length >= MAX_OFFERS) return refuse("remediation_full", `expected at most ${MAX_OFFERS} offers`);
    const by = actorOf(offering.principal);
    const standing = offers.find((offer) => offer.state === "standing");
    if (standing !== undefined) await endOffer(fact.trx, standing.offer_id, { state: "withdrawn", at: fact.now, by });
    const offer = await insertOffer(fact.trx, {
      offer_id: `rof_${nextUlid(fact.now * 1_000)}`,
      case_id: row.case_id,
      amount_micros: String(offering.amountMicros),
      currency: offering.currency,
      text: offering.text,
      state: "standing",
      offered_at: fact.now,
      offered_by: by,
      expires_at: fact.now + offering.validDays * DAY_SECONDS,
    });
    const changed = await updateCase(fact.trx, row.case_id, { state: "offered" });
    const { offer_id, amount_micros, currency, expires_at } = offer;
    recordStep(fact, changed, "offered", {
      offer_id,
      amount_micros,
      currency,
      expires_at,
      by,
      ...(standing === undefined ? {} : { replaces: standing.offer_id }),
    });
    return accept(offer);
  });
}

/** An offer, and who decides about it. */
export interface Deciding extends Stepping {
  readonly offerId: string;
}

/** The offer that stands, by its id. Refuses `not_found` and `remediation_no_offer`. */
async function standingOffer(fact: Fact, { case_id }: CaseRow, offerId: string): Promise<Result<OfferRow>> {
  const offer = (await readOffers(fact.trx, case_id)).find((row) => row.offer_id === offerId);
  if (offer === undefined) return refuse("not_found", `there is no offer ${offerId} in the remediation ${case_id}`);
  if (offer.state !== "standing") return refuse("remediation_no_offer", `the offer ${offerId} is ${offer.state}`);
  return offer.expires_at > fact.now
    ? accept(offer)
    : refuse("remediation_no_offer", `the offer ${offerId} has expired`);
}

/**
 * Accepts an offer: the marketplace owes the amount, and the creator's balance has it, in the same
 * fact. Accepted before, it answers the same. Refuses also `remediation_no_offer`.
 */
export async function acceptOffer(ctx: Context, deciding: Deciding): Promise<Result<CaseRow>> {
  return takeStep<CaseRow>(ctx, deciding, async (fact, row) => {
    if (row.state === "accepted") return answerAgain(fact, row, deciding.offerId);
    const offer = await standingOffer(fact, row, deciding.offerId);
    if (!offer.ok) return offer;
    const by = actorOf(deciding.principal);
    await endOffer(fact.trx, offer.value.offer_id, { state: "accepted", at: fact.now, by });
    const transactionId = compensate(fact, row, offer.value);
    const changed = await updateCase(fact.trx, row.case_id, { state: "accepted", transaction_id: transactionId });
    const { offer_id, amount_micros, currency } = offer.value;
    recordStep(fact, changed, "compensated", { offer_id, amount_micros, currency, transaction_id: transactionId, by });
    return accept(changed);
  });
}

async function answerAgain(fact: Fact, row: CaseRow, offerId: string): Promise<Result<CaseRow>> {
  const accepted = (await readOffers(fact.trx, row.case_id)).find((offer) => offer.state === "accepted");
  return accepted?.offer_id === offerId
    ? accept(row)
    : refuse("remediation_settled", `the offer ${accepted?.offer_id} was accepted`);
}

function compensate(fact: Fact, row: CaseRow, { offer_id, amount_micros, currency }: OfferRow): string {
  const amountMicros = BigInt(amount_micros);
  const { case_id, creator_id, marketplace_id, dataset_id, license_id, model_id, model_fingerprint } = row;
  const [transactionId = ""] = postTransactions(fact, [
    {
      kind: "compensation",
      reference: case_id,
      currency,
      entries: [
        { account: { kind: "marketplace", owner: marketplace_id }, amountMicros },
        { account: { kind: "creator", owner: creator_id }, amountMicros: -amountMicros },
      ],
      explanation: {
        case_id,
        offer_id,
        amount_micros,
        marketplace_id,
        dataset_id,
        model_id,
        model_fingerprint,
        ...(license_id === "" ? {} : { license_id }),
      },
    },
  ]);
  return transactionId;
}

/** Declines an offer: the case is open again, for another one. Refuses also `remediation_settled` and `remediation_no_offer`. */
export async function declineOffer(ctx: Context, deciding: Deciding): Promise<Result<CaseRow>> {
  return reopen(ctx, deciding, { offerState: "declined", step: "declined" });
}

/** Takes an offer back, by the marketplace that made it. Refuses as {@link declineOffer} does. */
export async function withdrawOffer(ctx: Context, deciding: Deciding): Promise<Result<CaseRow>> {
  return reopen(ctx, deciding, { offerState: "withdrawn", step: "offer-ended" });
}

async function reopen(
  ctx: Context,
  deciding: Deciding,
  { offerState, step }: { readonly offerState: "declined" | "withdrawn"; readonly step: "declined" | "offer-ended" },
): Promise<Result<CaseRow>> {
  return takeStep<CaseRow>(ctx, deciding, async (fact, row) => {
    if (row.state === "accepted")
      return refuse("remediation_settled", `an offer in the remediation ${row.case_id} was accepted`);
    const offer = await standingOffer(fact, row, deciding.offerId);
    if (!offer.ok) return offer;
    const by = actorOf(deciding.principal);
    await endOffer(fact.trx, offer.value.offer_id, { state: offerState, at: fact.now, by });
    const changed = await updateCase(fact.trx, row.case_id, { state: "open" });
    recordStep(fact, changed, step, { offer_id: offer.value.offer_id, outcome: offerState, by });
    return accept(changed);
  });
}

/**
 * Ends a case: `withdrawn` when its creator gives it up without having accepted anything, else
 * `closed`. An offer that stands ends with it.
 */
export async function closeCase(
  ctx: Context,
  { reason, ...stepping }: Stepping & { readonly reason: string },
): Promise<Result<CaseRow>> {
  return takeStep<CaseRow>(ctx, stepping, async (fact, row) => {
    const by = actorOf(stepping.principal);
    const isGivenUp = stepping.principal.kind === "creator" && row.state !== "accepted";
    const standing = (await readOffers(fact.trx, row.case_id)).find((offer) => offer.state === "standing");
    if (standing !== undefined) await endOffer(fact.trx, standing.offer_id, { state: "declined", at: fact.now, by });
    const state = isGivenUp ? "withdrawn" : "closed";
    const changed = await updateCase(fact.trx, row.case_id, { state, ended_at: fact.now, ended_by: by, reason });
    recordStep(fact, changed, "closed", { by });
    return accept(changed);
  });
}
